"""The studies of probes that come along: what they plan, and on how many ranks."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from seatrial.checks import check_plan
from seatrial.plan import make_plan
from seatrial.plan_text import totals

CONF = Path(__file__).parents[2] / "conf"
PROBES = {"gemm", "memory", "collective", "bisection", "moe_alltoall", "checkpoint", "dataload"}


def test_the_laptops_study_asks_every_probe_on_two_ranks_where_ranks_talk():
    plan = make_plan(["study=probes_laptop"], CONF)
    check_plan(plan)
    assert {case.workload.kind for case in plan.cases} == PROBES
    ranks = {case.workload.kind: case.target.world_size for case in plan.cases}
    assert {kind for kind, size in ranks.items() if size == 2} == {"collective", "bisection", "moe_alltoall"}


@pytest.mark.parametrize("target", ["dgx_h100", "gb200_nvl72", "mi300x_oam8"])
def test_the_clusters_study_uses_every_rank_of_the_target_and_holds_collectives_against_a_ceiling(target, tmp_path):
    from seatrial.measure.ceilings import collective_ceiling

    words = [
        "study=probes",
        f"target={target}",
        "target.nodes=4",
        f"experiments.checkpoints.workload.path={tmp_path}",
        f"experiments.input.workload.dataset.path={tmp_path}",
    ]
    if target == "mi300x_oam8":
        words += ["experiments.switched_off.sweep.axes={target.ablation: [null]}"]  # AMD has none
    plan = make_plan(words, CONF)
    check_plan(plan)
    assert {case.workload.kind for case in plan.cases} == PROBES
    assert {case.target.world_size for case in plan.cases} == {4 * plan.study.target.tasks_per_node}
    for case in plan.cases:
        if case.workload.kind == "collective" and case.target.ablation is None:
            assert collective_ceiling(case.target, case.workload.operation) is not None


def test_a_word_that_a_sweep_overrides_is_said_not_to_count_there():
    plan = make_plan(["study=probes_laptop", "target.tasks_per_node=4"], CONF)
    said = "target.tasks_per_node=4 does not count in bisection, collectives, experts, whose sweep sets "
    assert said + "target.tasks_per_node" in totals(plan, dt.date(2026, 11, 23))
    without = totals(make_plan(["study=probes_laptop"], CONF), dt.date(2026, 11, 23))
    assert not any("does not count" in line for line in without)
