"""Own trainings against reference convergence points of their own configuration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlperf_logging.rcp_checker.rcp_checker import RCP_Checker
from train_cases import base_model, case, finetune

from seatrial.plan import make_plan
from seatrial.reference.own_points import Point, check, data_of, key_of, new_point, point_of, shipped_points

ROOT = Path(__file__).parents[2]
SAMPLES = [480.0, 480.0, 560.0, 560.0, 560.0, 560.0, 640.0, 640.0, 640.0, 720.0]
DATA = {"train": "a", "evaluation": "b"}
TARGET = {"metric": "evaluation_loss", "target": 2.5}


def point(samples: list[float] = SAMPLES) -> Point:
    return Point(name="try", key="k", global_batch_size=8, samples=samples, seeds=[], data=DATA, source="a test")


def official_least(samples: list[float], runs: int) -> float:
    """What MLCommons' own checker accepts at least, for a result of `runs`."""
    checker = RCP_Checker.__new__(RCP_Checker)
    checker.submission_runs, checker.alpha, checker.tolerance = runs, 0.05, 1e-6
    ordered = sorted(samples)
    mean, spread = float(np.mean(ordered[1:-1])), float(np.std(ordered))
    return float(checker._find_min_acceptable_mean(mean, spread, len(ordered) - 2))


@given(
    samples=st.lists(st.floats(1e3, 2e3), min_size=6, max_size=40).filter(lambda s: max(s) - min(s) > 1),
    runs=st.integers(3, 20),
)
def test_the_limit_is_the_official_checkers(samples: list[float], runs: int) -> None:
    found = check(point(samples), [1500.0] * runs, DATA)
    assert found.least_accepted == pytest.approx(official_least(samples, runs), abs=0.01)


def test_the_rules_own_example_is_met() -> None:
    """15.75 +- 0.43 epochs: no submission may need fewer than 15.21 (training_rules.adoc)."""
    checker = RCP_Checker.__new__(RCP_Checker)
    checker.submission_runs, checker.alpha, checker.tolerance = 5, 0.05, 1e-6
    assert checker._find_min_acceptable_mean(15.75, 0.43, 8) == pytest.approx(15.21, abs=0.01)


def test_runs_like_the_reference_stand_as_it_does() -> None:
    assert check(point(), [560.0, 640.0, 560.0], DATA).standing == "as_reference"


def test_runs_that_learn_from_too_few_samples_did_other_work() -> None:
    found = check(point(), [240.0, 240.0, 320.0], DATA)
    assert found.standing == "faster"
    assert "not the same work" in found.words


def test_runs_that_need_more_samples_than_chance_explains_are_slower() -> None:
    assert check(point(), [900.0, 960.0, 960.0, 1040.0], DATA).standing == "slower"
    assert check(point(), [560.0, 560.0], DATA, not_converged=2).standing == "slower"


def test_one_run_that_missed_the_target_is_the_worst_that_is_left_out() -> None:
    found = check(point(), [560.0, 640.0, 560.0], DATA, not_converged=1)
    assert found.standing == "as_reference"
    assert found.own_mean == 600.0


@pytest.mark.parametrize("samples", [[], [560.0], [560.0, 560.0]])
def test_too_few_runs_are_not_yet_known(samples: list[float]) -> None:
    found = check(point(), samples, DATA)
    assert found.standing == "not_known"
    assert found.own_mean is None


def test_what_only_makes_a_machine_faster_leaves_the_configuration_the_same() -> None:
    one = case(finetune(quality=TARGET, batch_size=8))
    same = [
        case(finetune(quality=TARGET, batch_size=4, gradient_accumulation=2)),
        case(finetune(quality=TARGET, batch_size=4), ranks=2),
        case(finetune(quality=TARGET, batch_size=8, cpu_threads=1, checkpoint_interval_steps=5)),
        case(finetune(quality=TARGET, batch_size=8, parallelism={"tp": 2}), ranks=2),
    ]
    assert {key_of(what) for what in same} == {key_of(one)}
    other = [
        case(finetune(quality=TARGET, batch_size=8), ranks=2),
        case(finetune(quality=TARGET, batch_size=8, learning_rate=0.01)),
        case(finetune(quality=TARGET, batch_size=8, dtype="bfloat16")),
        case(finetune(quality=TARGET, batch_size=8, model=base_model(seed=2))),
    ]
    assert key_of(one) not in {key_of(what) for what in other}


def test_point_made_from_runs_is_found_again_for_their_configuration() -> None:
    what = case(finetune(quality=TARGET))
    made = Point.model_validate(new_point(what, SAMPLES, list(range(1, 11)), DATA, "a test"))
    assert point_of(what, [made]) == made
    assert point_of(case(finetune(quality=TARGET, weight_decay=0.1)), [made]) is None


def test_runs_on_other_data_are_not_held_against_the_point() -> None:
    """Python's library is another text in every release."""
    found = check(point(), [240.0, 240.0, 320.0], {**DATA, "train": "c"})
    assert (found.standing, found.words) == ("not_known", "the reference runs had other data: train")


def test_data_of_a_run_are_what_its_record_says() -> None:
    provenance = {
        "datasets": {"train": {"sha256": "a", "origin": "x"}, "evaluation": {"sha256": "b"}},
        "base_model": {"corpus": {"sha256": "c"}, "loss": 3.0},
    }
    assert data_of(provenance) == {"train": "a", "evaluation": "b", "base model": "c"}
    assert data_of({}) == {}


def test_each_laptop_training_has_its_point() -> None:
    cases = make_plan(["study=train"], ROOT / "conf").cases
    assert len(cases) == 4
    for what in cases:
        shipped = point_of(what)
        assert shipped is not None, what.experiment
        assert len(shipped.samples) == len(set(shipped.seeds)) == 10
        assert all(value % shipped.global_batch_size == 0 for value in shipped.samples)
    assert len(shipped_points()) == 4
