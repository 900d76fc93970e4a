"""How much equal runs are expected to differ before anything runs, and who says so.

In this order: the criterion itself, the study's `noise.metrics`, an earlier study of one's own (`noise.earlier`),
and for times of an MLPerf benchmark the published results. Where none of them says it, it is not known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from seatrial.analysis.measurements import read_measurements
from seatrial.analysis.statistics import log_spread, spread_from_range
from seatrial.case import Case
from seatrial.config.criterion import COMPARED, RATIO, Criterion, Noise
from seatrial.paths import StudyPaths
from seatrial.reference.names import canonical_benchmark
from seatrial.reference.published import as_results, load_published
from seatrial.reference.selection import comparable, of_benchmark

TIMES = frozenset({*COMPARED, RATIO, "train.time_to_quality", "train.time_to_evaluation", "mlperf.time_to_train"})
"""What scatters as published times do: with the evaluations and the samples that a run needs."""
LEAST_RUNS = 3
LEAST_REPEATS = 2


@dataclass(frozen=True)
class Expected:
    """The expected standard deviation of the logs of runs (about the coefficient of variation), and its source."""

    value: float
    source: str


def expected_noise(criterion: Criterion, case: Case | None, noise: Noise, round_: str) -> Expected | None:
    """What is expected of a criterion on a case (None: of a published subject); None where nobody says it.

    Raises UnreadableFile where the earlier study is not there or was not collected.
    """
    if criterion.noise is not None:
        return Expected(criterion.noise.value, criterion.noise.source)
    stated = noise.metrics.get(criterion.metric)
    if stated is not None:
        return Expected(stated.value, stated.source)
    if noise.earlier is not None:
        found = earlier_noise(Path(noise.earlier).expanduser(), criterion.metric)
        if found is not None:
            return found
    benchmark = getattr(case.workload, "benchmark", None) if case is not None else None
    if criterion.metric in TIMES and benchmark is not None:
        return published_noise(benchmark, round_)
    return None


@cache
def earlier_noise(folder: Path, metric: str) -> Expected | None:
    """The run-to-run spread of a metric in a study of one's own, pooled over its cases and labels."""
    frame = read_measurements(StudyPaths(folder))
    rows = frame[(frame["metric"] == metric) & (frame["outcome"] == "completed")]
    squares, freedom, groups = 0.0, 0, 0
    for _, group in rows.groupby(["case_id", "labels"], sort=True):
        medians = [float(v) for v in group.groupby("repeat", sort=True)["median"].median() if math.isfinite(v)]
        spread = log_spread(medians) if len(medians) >= LEAST_REPEATS else None
        if spread is not None:
            squares, freedom, groups = (
                squares + spread**2 * (len(medians) - 1),
                freedom + len(medians) - 1,
                groups + 1,
            )
    if not freedom:
        return None
    words = f"{groups} case{'s' if groups > 1 else ''} of {folder}, {freedom} degrees of freedom"
    return Expected(math.sqrt(squares / freedom), words)


@cache
def published_noise(benchmark: str, round_: str) -> Expected | None:
    """The median spread within a published result of a benchmark: of that round, else of all rounds.

    From the fastest and the slowest run of each: their expected range is d2(n) standard deviations.
    """
    results = comparable(as_results(of_benchmark(load_published(), benchmark)))
    of_round = [r for r in results if r.round == round_]
    for chosen, words in ((of_round, round_), (list(results), "all rounds")):
        spreads = _within([(r.min_minutes, r.max_minutes, r.successful_runs) for r in chosen])
        if spreads:
            of = f"{len(spreads)} published results of {canonical_benchmark(benchmark)} {words}"
            most = f"in 9 of 10 at most {100 * float(np.quantile(spreads, 0.9)):.3g} %"
            return Expected(float(np.median(spreads)), f"median within {of}; {most}")
    return None


def _within(results: Sequence[tuple[float | None, float | None, int | None]]) -> list[float]:
    found = []
    for least, most, n in results:
        if least is not None and most is not None and n is not None and n >= LEAST_RUNS:
            spread = spread_from_range(least, most, n)
            if spread is not None:
                found.append(spread)
    return found
