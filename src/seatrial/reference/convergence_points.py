"""The check against MLCommons' reference convergence points (RCP) and the factor that follows from it.

A run that converges faster than the reference got lucky, or trained something else: within what luck allows the
time is multiplied by RCP mean / own mean, beyond it the result fails. Points, pruning, interpolation and limits are
the installed `mlperf-logging`'s (rcp_checker); its own check is not called, because it writes and deletes files.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seatrial.ingest.mlperf.result import Run
from seatrial.reference.own_points import Spread

POINTS = "pruned_rcps"
"""The set that the official summarizer uses: points slower than the line between their neighbours are left out."""
SLACK_405B_SAMPLES = 46_080
"""One evaluation interval of llama31_405b, granted since v5.0 (rcp_checker, _eval_submission_record)."""
SLACK_BENCHMARK, SLACK_SINCE = "llama31_405b", (5, 0)

COUNTED_IN_SAMPLES = {"llama2_70b_lora", "llama31_8b", "flux1"}
"""Benchmarks of Seatrial's kinds whose reference points are in samples, not epochs or tokens."""


@dataclass(frozen=True)
class ConvergenceCheck:
    """What the reference convergence points say of a result."""

    passed: bool
    factor: float
    """What the olympic mean is multiplied with; 1 where the own mean is not below the reference's, or unknown."""
    reference_mean: float | None
    own_mean: float | None
    words: str


@dataclass(frozen=True)
class PublishedPoint:
    """The reference convergence point of a benchmark at one global batch size, in samples."""

    spread: Spread
    runs: int
    """Reference runs behind it; 0 where it lies between two points."""


def published_point(ruleset: str, benchmark: str, batch: int) -> PublishedPoint | str | None:
    """The installed package's point for trainings of our own; in words why there is none for this batch size.

    None for a benchmark without points, or whose points do not count samples, as our trainings do.
    """
    checker = _checker(ruleset, benchmark) if benchmark in COUNTED_IN_SAMPLES else None
    if checker is None:
        return None
    point, words = _point(checker, batch)
    if point is None:
        return words
    runs = len(point["Epochs to converge"])
    # between two points the package reckons with twice the runs of a result (_create_interp_rcp)
    kept = runs - 2 if runs else 2 * checker.submission_runs
    said = f"of MLPerf's {benchmark} at batch size {batch} (rules {ruleset}, {words})"
    return PublishedPoint(Spread(float(point["RCP Mean"]), float(point["RCP Stdev"]), kept, said), runs)


def check_convergence(runs: Sequence[Run], ruleset: str, failures_allowed: int) -> ConvergenceCheck:
    """Hold the runs of one closed-division result against the reference points of `ruleset` (5.1.0).

    `failures_allowed` runs may have missed the quality; they count as the slowest.
    """
    problem = _problem(runs, failures_allowed)
    if problem is not None:
        return _impossible(problem)
    benchmark = next(run.benchmark for run in runs if run.benchmark)
    batch = next(run.global_batch_size for run in runs if run.global_batch_size is not None)
    checker = _checker(ruleset, benchmark)
    if checker is None:
        return _impossible(f"no reference convergence points of {benchmark}")
    point, words = _point(checker, batch)
    if point is None:
        return _impossible(words)
    own = _trimmed_mean([run.to_quality for run in runs], failures_allowed)
    if own is None:
        return _impossible("too few runs for a mean")
    reference = float(point["RCP Mean"])
    least = float(point["Min Epochs"])
    if benchmark == SLACK_BENCHMARK and _version(ruleset) >= SLACK_SINCE:
        least -= SLACK_405B_SAMPLES
    compared = f"mean {own:.6g}, reference {reference:.6g} at batch size {batch:g} ({words})"
    if own < least:
        words = f"refused by the reference convergence points: the mean may be {least:.6g} at least; {compared}"
        return ConvergenceCheck(False, 1.0, reference, own, words)
    return ConvergenceCheck(True, max(1.0, reference / own), reference, own, compared)


def _impossible(problem: str) -> ConvergenceCheck:
    return ConvergenceCheck(False, 1.0, None, None, f"not checked against reference convergence points: {problem}")


def _problem(runs: Sequence[Run], failures_allowed: int) -> str | None:
    """Why the logs cannot be checked at all."""
    if not runs:
        return "no logs"
    unreadable = next((run for run in runs if run.convergence_problem), None)
    if unreadable is not None:
        return f"{unreadable.path.rpartition('/')[2]}, {unreadable.convergence_problem}"
    # a run that died before it said so does not stop the check: the official tool leaves that to the order in which
    # the file system happens to list the logs
    batches = {run.global_batch_size for run in runs if run.global_batch_size is not None}
    if len(batches) > 1:
        return f"the logs have different global_batch_size ({', '.join(f'{b:g}' for b in sorted(batches))})"
    if not batches:
        return "the logs have no global_batch_size"
    if len({run.benchmark for run in runs if run.benchmark}) != 1:
        return "the logs name different benchmarks, or none"
    missed = sum(not run.converged for run in runs)
    return f"{missed} runs did not converge" if missed > failures_allowed else None


def _point(checker: Any, batch: float) -> tuple[dict[str, Any] | None, str]:
    """The reference point for a batch size: exact, interpolated, or that of the smallest batch size."""
    exact = checker._find_rcp(batch, POINTS)
    if exact is not None:
        return exact, "reference point"
    below, above = checker._find_top_min_rcp(batch, POINTS), checker._find_bottom_max_rcp(batch, POINTS)
    if below is not None and above is not None:
        between = f"between those of {below['BS']} and {above['BS']}"
        return checker._create_interp_rcp(batch, below, above)[1], between
    if above is not None:
        return checker._find_min_rcp(POINTS), f"that of the smallest known batch size, {above['BS']}"
    return None, f"no reference point for a batch size as large as {batch:g}"


@functools.cache
def _checker(ruleset: str, benchmark: str) -> Any:
    """The installed package's reference points of one benchmark; None where it has none."""
    from mlperf_logging.rcp_checker.rcp_checker import RCP_Checker

    try:
        return RCP_Checker("training", ruleset, benchmark, False)
    except (KeyError, FileNotFoundError):
        return None


def _trimmed_mean(positions: Sequence[float | None], dropped: int) -> float | None:
    """Mean without the `dropped` smallest and largest; a run that did not converge is the largest."""
    ordered = sorted(position for position in positions if position is not None)
    kept = ordered[dropped : len(positions) - dropped]
    return float(np.mean(kept)) if kept else None


def _version(ruleset: str) -> tuple[int, int]:
    major, minor, *_ = ruleset.split(".")
    return int(major), int(minor)
