"""The studies of the four laptop trainings: what they plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from seatrial.analysis.statistics import median_interval
from seatrial.checks import check_plan
from seatrial.plan import make_plan
from seatrial.reference.own_points import key_of

CONF = Path(__file__).parents[2] / "conf"
KINDS = {"finetune": "llm_finetune", "diffusion": "diffusion", "moe": "moe", "retrieval": "hybrid_attention"}


def planned(study):
    plan = make_plan([f"study={study}"], CONF)
    check_plan(plan)
    return {case.experiment: case for case in plan.cases}


@pytest.mark.parametrize(("study", "repeats"), [("train", 3), ("reference_points", 10)])
def test_a_case_of_each_training_with_its_repeats(study, repeats):
    cases = planned(study)
    assert {name: case.workload.kind for name, case in cases.items()} == KINDS
    assert {case.repeats for case in cases.values()} == {repeats}


def test_reference_points_are_made_of_what_the_study_trains():
    train, points = planned("train"), planned("reference_points")
    assert {name: key_of(case) for name, case in train.items()} == {
        name: key_of(case) for name, case in points.items()
    }


def test_the_hybrid_has_its_smallest_window():
    smallest = min(case.workload.window for case in make_plan(["study=windows"], CONF).cases)
    assert planned("train")["retrieval"].workload.window == smallest


def test_every_point_of_the_study_of_experts_has_repeats_enough_for_an_interval():
    plan = make_plan(["study=experts"], CONF)
    check_plan(plan)
    assert len(plan.cases) == 24
    for case in plan.cases:
        assert median_interval([0.5 + 0.01 * repeat for repeat in range(case.repeats)]).low is not None


@pytest.mark.parametrize("study", sorted(file.stem for file in (CONF / "study").glob("*.yaml")))
def test_every_study_that_comes_along_is_within_the_limits_that_it_sets_itself(study):
    make_plan([f"study={study}"], CONF).refuse_if_too_large()
