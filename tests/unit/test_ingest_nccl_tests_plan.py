"""What tools of others need of a target is refused while it is planned, and names its key."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from seatrial.checks import check_plan
from seatrial.errors import ConfigError
from seatrial.plan import make_plan
from seatrial.plan_text import totals
from seatrial.planned import Plan

CONF = Path(__file__).parents[2] / "conf"
STUDY = """# @package _global_
defaults:
  - /workload@experiments.fabric.workload: collective
  - /workload@experiments.logs.workload: nccl_tests_logs
  - /workload@experiments.fio.workload: fio_results
  - /workload@experiments.storage.workload: mlperf_storage_results
  - _self_
  - override /target: dgx_h100
title: tools
experiments:
  fabric: {repeats: 1, workload: {implementation: nccl_tests, size_bytes: null, sizes: {largest: 1048576}}}
  logs: {repeats: 2}
  fio: {repeats: 3}
  storage: {repeats: 4}
target:
  nodes: 2
  storage: {scratch: {name: scratch, write_gbps: {value: 30, source: data sheet}}}
max_accelerator_hours: null
max_node_hours: null
"""


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planned") / "conf"
    shutil.copytree(CONF, folder)
    (folder / "study" / "tools.yaml").write_text(STUDY, encoding="utf-8")
    return folder


def planned(conf: Path, *words: str) -> Plan:
    plan = make_plan(["study=tools", *words], conf)
    check_plan(plan)
    return plan


def test_a_sound_study_is_planned_and_says_what_is_to_be_ingested(conf):
    plan = planned(conf, "experiments.fio.workload.storage=scratch", "experiments.storage.workload.storage=scratch")
    assert (plan.repeats, plan.repeats_to_ingest, len(plan.running)) == (10, 9, 1)
    assert plan.ingest_commands == [
        "seatrial ingest nccl-tests PATH",
        "seatrial ingest fio PATH",
        "seatrial ingest mlperf-storage PATH",
    ]
    import datetime as dt

    assert any("seatrial ingest fio PATH" in line for line in totals(plan, dt.date(2026, 1, 2)))


@pytest.mark.parametrize(
    ("words", "key", "allowed"),
    [
        (["experiments.fio.workload.storage=scrtch"], "experiments.fio.workload.storage", "scratch"),
        (["experiments.storage.workload.storage=tape"], "experiments.storage.workload.storage", "scratch"),
        (["experiments.logs.workload.dtype=float"], "experiments.logs.workload.dtype", "float32"),
        (["target.tasks_per_node=4"], "target.tasks_per_node", "8, target.accelerators_per_node"),
        (["experiments.fabric.workload.backend=gloo"], "experiments.fabric.workload.backend", "auto, nccl"),
        (["target=mini_slurm", "target.device=cpu"], "experiments.fabric.workload.implementation", "torch"),
    ],
)
def test_what_cannot_be_names_its_key_and_what_is_allowed(conf, words, key, allowed):
    with pytest.raises(ConfigError) as problem:
        planned(conf, *words)
    assert problem.value.key == key and allowed in str(problem.value.allowed)


@pytest.mark.parametrize("kind", ["nccl_tests_logs", "fio_results", "mlperf_storage_results"])
def test_what_was_handed_over_is_never_run_and_says_how_it_is_ingested(kind):
    from ranks import case

    from seatrial.errors import Unsupported
    from seatrial.train.kinds import WORK

    content = {"kind": kind}
    content |= {"operation": "all_reduce"} if kind == "nccl_tests_logs" else {}
    content |= {"suite": "training"} if kind == "mlperf_storage_results" else {}

    class Context:
        def __init__(self) -> None:
            self.case = case(content)

    with pytest.raises(Unsupported, match=r"seatrial ingest [a-z-]+ PATH --study try"):
        WORK[kind](Context())  # type: ignore[arg-type]
