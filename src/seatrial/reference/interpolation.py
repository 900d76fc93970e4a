"""A reference between two accelerator counts: log-log interpolation of the medians around it, and its error.

The medians next to a count, below and above, are joined by a power law; each must lie within a factor of REACH of
the count, and nothing is ever extrapolated. A count's median may rest on one result: where the results are
few is where interpolation is needed at all (large machines), and left-out medians are predicted no worse from
single submitters than from several. How many results and submitters it rests on is always said.

How far off such a prediction is comes from the data: every inner count is left out in turn and predicted from its
neighbours by the same rule. The band holds COVERAGE of these errors. It is never narrower than FLOOR, because most
predictions are of a submitter's results from the same submitter's: for somebody else the errors may be larger.
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
"""The share of left-out medians that the band holds: the highest for which a handful of predictions suffices, so
that the errors can be those of the same benchmark in the same round."""
LEAST_PREDICTIONS = math.ceil(COVERAGE / (1 - COVERAGE) - 1e-9)
"""From this many on a band of COVERAGE exists: ceil(COVERAGE * (m + 1)) <= m."""
FLOOR = 1.15
"""Least factor of a band; 81 % of the 109 predictions over rounds v3.1 to v6.0 are within it."""


@dataclass(frozen=True)
class CountMedian:
    """The median of the results at one count of accelerators."""

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
    """Share of left-out medians within it; None where there are too few predictions to say."""
    predictions: int
    """How many left-out medians it rests on. Neighbouring ones share results, so they are not independent."""
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
                predictions.append(Prediction(benchmark, round_, family, count, left_out.minutes, predicted))
    return tuple(predictions)


def error_band(pools: Iterable[tuple[str, Sequence[PublishedResult]]]) -> ErrorBand:
    """The band from the first pool with LEAST_PREDICTIONS predictions; pools from the most alike to the widest.

    Its factor is that of the ceil(COVERAGE * (m + 1))-th smallest of m errors, the rank at which a further error of
    the kind lies within it with probability COVERAGE (split conformal prediction), and at least FLOOR. Where no
    pool suffices, the coverage is not known and the factor is the largest error of the last pool, at least FLOOR.
    """
    name, errors = "", []
    for name, results in pools:
        errors = sorted(abs(p.log_error) for p in leave_one_out(results))
        if len(errors) >= LEAST_PREDICTIONS:
            rank = math.ceil(COVERAGE * (len(errors) + 1) - 1e-9)
            return _band(math.exp(errors[rank - 1]), COVERAGE, len(errors), name)
    return _band(math.exp(errors[-1]) if errors else 1.0, None, len(errors), name)


def _band(factor: float, coverage: float | None, predictions: int, pool: str) -> ErrorBand:
    return ErrorBand(max(factor, FLOOR), coverage, predictions, pool, factor < FLOOR)
