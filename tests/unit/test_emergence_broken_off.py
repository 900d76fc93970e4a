"""Tokens to retrieval of runs that failed: diverged is never, broken off is not known any further."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from test_emergence import NEVER, QUICK, TOKENS_PER_STEP, reaches, table_of, windows

from seatrial.analysis.survival import Reach, exact_p, times_longer
from seatrial.record import Error, measurement


def broken_off(study: Any, case: Any, repeat: int, kind: str, accuracies: dict[int, float]) -> None:
    """A run that failed after these accuracies by step; the loss was never met."""
    found = [measurement("train.retrieval_accuracy", [value], {"step": step}) for step, value in accuracies.items()]
    found += [measurement("train.evaluation_loss", [2.0], {"step": step}) for step in accuracies]
    study.record(case, repeat, *found, outcome="failed", error=Error(kind=kind, message="it ended"))


def reach_of(paths: Any, window: int, repeat: int, quality: str = "retrieval_accuracy") -> tuple[float, float]:
    """After how many steps, and by how many, a run reached a quality."""
    runs = pd.read_csv(paths.emergence_runs).set_index(["quality_metric", "window", "repeat"])
    row = runs.loc[(quality, window, repeat)]
    return row["after_tokens"] / TOKENS_PER_STEP, row["by_tokens"] / TOKENS_PER_STEP


def test_a_run_that_diverged_never_reaches_it(make_study: Any) -> None:
    study, (_, large) = windows(make_study, (QUICK, QUICK), ((400, 420), QUICK[:2]))
    for repeat, accuracies in ((2, {0: 0.1, 20: 0.1}), (3, {}), (4, {0: 0.1, 20: 0.99})):
        broken_off(study, large, repeat, "diverged", accuracies)
    paths = study.analyse()
    row = table_of(paths).loc[("retrieval_accuracy", 32)]
    assert (row["runs"], row["reached"], row["left_out"]) == (5, 3, 0)
    assert row["median_steps"] == 420  # of 20, 400, 420, never, never: not the survivors' 400
    for repeat in (2, 3):
        after, by = reach_of(paths, 32, repeat)
        assert after == 1000 and math.isnan(by)
    assert reach_of(paths, 32, 4) == (0, 20)
    after, by = reach_of(paths, 32, 4, "evaluation_loss")
    assert after == 1000 and math.isnan(by)


@pytest.mark.parametrize("kind", ["timeout", "out_of_memory", "crashed", "node_fail"])
def test_a_run_that_broke_off_counts_until_its_last_evaluation(make_study: Any, kind: str) -> None:
    study, (_, large) = windows(make_study, (QUICK, QUICK), ((400, 420), QUICK[:2]))
    broken_off(study, large, 2, kind, {0: 0.1, 20: 0.1, 40: 0.1})
    broken_off(study, large, 3, kind, {0: 0.1, 20: 0.99, 40: 0.1})
    broken_off(study, large, 4, kind, {})
    paths = study.analyse()
    row = table_of(paths).loc[("retrieval_accuracy", 32)]
    assert (row["runs"], row["reached"], row["left_out"]) == (4, 3, 1)
    after, by = reach_of(paths, 32, 2)
    assert after == 40 and math.isnan(by)
    assert reach_of(paths, 32, 3) == (0, 20)  # what was met before it broke off was met
    assert row["median_steps"] == 400  # at risk 4 at 20, then 2: shares 3/4, 3/8


def test_missing_runs_are_left_out_and_counted(make_study: Any) -> None:
    study, _ = windows(make_study, (QUICK, QUICK), ((400, 420, 460), QUICK[:3]))
    row = table_of(study.analyse()).loc[("retrieval_accuracy", 32)]
    assert (row["runs"], row["reached"], row["left_out"]) == (3, 3, 2)


def test_a_run_that_broke_off_early_is_not_taken_for_one_that_never_gets_there() -> None:
    times = (100, 140, 150, 210, 260)
    reference = reaches(*times)
    one = [*reaches(*times), Reach(20, None), Reach(20, None), Reach(20, None)]
    never = [*reaches(*times), *reaches(NEVER, NEVER, NEVER)]
    assert exact_p(reference, one, 1000) == 1.0
    p = exact_p(reference, never, 1000)
    assert p is not None and p < 0.5
    assert times_longer(reference, one, (1000, 1000)).low == times_longer(reference, reference, (1000, 1000)).low


def test_nobody_is_watched_beyond_the_smaller_budget() -> None:
    one, other = reaches(100, 110, NEVER, budget=120), reaches(100, 110, 900, budget=1000)
    assert exact_p(one, other, 120) == 1.0
