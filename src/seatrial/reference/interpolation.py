"""A reference between two accelerator counts: log-log interpolation between those around it, and its error.

The medians next to a count, below and above, are joined by a power law; each must lie within a factor of REACH of
the count, and nothing is ever extrapolated. What stands at a count may be a single result: where the results are
few is where interpolation is needed at all (large machines), and left-out medians are predicted no worse from
single submitters than from several. Whether it is a median, of how many results and submitters, or a single result
and whose, is always said.

How far off such a prediction is comes from the data: every inner count is left out in turn and predicted from its
neighbours by the same rule. The band holds COVERAGE of these errors or more. That is what was seen, and no
confidence: the errors are few, share neighbours, and come from other families or benchmarks where there are too few
of the same. It is never narrower than FLOOR, because most predictions are of a submitter's results from the same
submitter's: for somebody else the errors may be larger.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from seatrial.reference.names import canonical_benchmark
from seatrial.reference.published import PublishedResult
from seatrial.reference.selection import fastest_first, submitters_of

REACH = 4.0
"""A neighbour's count lies within this factor of the count that is asked for."""
COVERAGE = 0.8
"""The share of left-out medians that the band holds at least: the highest for which a handful of predictions
suffices, so that the errors can be those of the same benchmark in the same round."""
LEAST_PREDICTIONS = math.ceil(COVERAGE / (1 - COVERAGE) - 1e-9)
"""From this many on a band of COVERAGE exists: ceil(COVERAGE * (m + 1)) <= m."""
FLOOR = 1.15
"""Least factor of a band; 81 % of the 109 predictions over rounds v3.1 to v6.0 are within it."""


@dataclass(frozen=True)
class CountMedian:
    """The median of the results at one count of accelerators, or the single result there (n is 1)."""

    accelerators: int
    minutes: float
    n: int
    submitters: int
    quartiles: tuple[float, float]
    """25th and 75th percentile, in minutes; both the one result's minutes where n is 1."""
    results: tuple[PublishedResult, ...]
    """Fastest first."""


@dataclass(frozen=True)
class Prediction:
    """A median that is known, beside what its neighbours say of it."""

    benchmark: str
    round: str
    family: str
    accelerators: int
    n: int
    """How many results the median is of; 1: a single result."""
    minutes: float
    predicted_minutes: float

    @property
    def log_error(self) -> float:
        """log(minutes / predicted); above 0: slower than predicted."""
        return math.log(self.minutes / self.predicted_minutes)


@dataclass(frozen=True)
class ErrorBand:
    """How far an interpolated median may be off, as a factor on either side."""

    factor: float
    coverage: float | None
    """The share that its rank is chosen for, COVERAGE: it would hold for a further error were these independent and
    of its kind. None where there are too few predictions."""
    predictions: int
    """How many left-out medians it rests on. Neighbouring ones share results, so they are not independent."""
    within: int
    """How many of these were predicted within the factor."""
    single_results: int
    """How many of these are no medians, but single results."""
    pool: str
    """Of what these are, in words."""
    is_floor: bool
    """Whether FLOOR decides, the errors seen being smaller."""


def count_medians(results: Sequence[PublishedResult]) -> tuple[CountMedian, ...]:
    """The median at every count, ascending; of comparable results of one benchmark, round, division and family."""
    at: dict[int, list[PublishedResult]] = {}
    for result in results:
        at.setdefault(result.accelerators, []).append(result)
    return tuple(_count_median(count, fastest_first(at[count])) for count in sorted(at))


def _count_median(accelerators: int, results: tuple[PublishedResult, ...]) -> CountMedian:
    minutes = [r.minutes for r in results]
    return CountMedian(
        accelerators, median(minutes), len(results), submitters_of(results), quartiles(minutes), results
    )


def quartiles(minutes: Sequence[float]) -> tuple[float, float]:
    """25th and 75th percentile."""
    low, high = np.percentile(minutes, [25, 75])
    return float(low), float(high)


def bracket(medians: Sequence[CountMedian], accelerators: int) -> tuple[CountMedian, CountMedian] | None:
    """The medians next to `accelerators`, below and above; None where one is missing or beyond REACH."""
    below = [m for m in medians if m.accelerators < accelerators]
    above = [m for m in medians if m.accelerators > accelerators]
    if not below or not above:
        return None
    low = max(below, key=lambda m: m.accelerators)
    high = min(above, key=lambda m: m.accelerators)
    if accelerators > REACH * low.accelerators or high.accelerators > REACH * accelerators:
        return None
    return low, high


def interpolate(below: CountMedian, above: CountMedian, accelerators: int) -> float:
    """Minutes at `accelerators` on the power law through both medians."""
    share = math.log(accelerators / below.accelerators) / math.log(above.accelerators / below.accelerators)
    return math.exp((1 - share) * math.log(below.minutes) + share * math.log(above.minutes))


def leave_one_out(results: Sequence[PublishedResult]) -> tuple[Prediction, ...]:
    """Every median between two others, predicted from these by the rule; `results` are comparable, of one division.

    Benchmarks, rounds and families are kept apart.
    """
    groups: dict[tuple[str, str, str], list[PublishedResult]] = {}
    for r in results:
        groups.setdefault((canonical_benchmark(r.benchmark), r.round, r.accelerator_family), []).append(r)
    predictions = []
    for (benchmark, round_, family), members in sorted(groups.items()):
        medians = count_medians(members)
        for left_out in medians[1:-1]:
            around = bracket(medians, left_out.accelerators)
            if around is not None:
                predicted = interpolate(*around, left_out.accelerators)
                count = left_out.accelerators
                predictions.append(
                    Prediction(benchmark, round_, family, count, left_out.n, left_out.minutes, predicted)
                )
    return tuple(predictions)


def error_band(pools: Iterable[tuple[str, Sequence[PublishedResult]]]) -> ErrorBand:
    """The band from the first pool with LEAST_PREDICTIONS predictions; pools from the most alike to the widest.

    Its factor is that of the ceil(COVERAGE * (m + 1))-th smallest of m errors, and at least FLOOR. At this rank a
    further error would lie within it with probability COVERAGE were all independent and of one kind (split
    conformal prediction), which they are not. Where no pool suffices, the coverage is not known and the
    factor is the largest error of the last pool, at least FLOOR.
    """
    name = ""
    found: Sequence[Prediction] = ()
    for name, results in pools:
        found = tuple(sorted(leave_one_out(results), key=lambda p: abs(p.log_error)))
        if len(found) >= LEAST_PREDICTIONS:
            rank = math.ceil(COVERAGE * (len(found) + 1) - 1e-9)
            return _band(abs(found[rank - 1].log_error), COVERAGE, found, name)
    return _band(abs(found[-1].log_error) if found else 0.0, None, found, name)


def _band(error: float, coverage: float | None, found: Sequence[Prediction], pool: str) -> ErrorBand:
    """`error`: the logarithm of the factor, where it is not below FLOOR's."""
    widest = max(error, math.log(FLOOR))
    return ErrorBand(
        factor=math.exp(widest),
        coverage=coverage,
        predictions=len(found),
        within=sum(abs(p.log_error) <= widest for p in found),
        single_results=sum(p.n == 1 for p in found),
        pool=pool,
        is_floor=error < math.log(FLOOR),
    )
