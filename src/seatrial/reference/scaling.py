"""How the time to train falls with the number of accelerators: log t = a + b log n by least squares.

One point per submission, twins once, rounded claims never; one accelerator family, round and benchmark to a fit.
A line describes a family over its own range of counts and is no reference: the curves are concave (efficiency
falls, and the batch size jumps), and R2 above 0.97 goes with single submissions up to 40 % off the line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from seatrial.reference.names import canonical_benchmark
from seatrial.reference.published import PublishedResult, as_results, is_partial, load_published
from seatrial.reference.selection import (
    check_benchmark,
    check_division,
    check_family,
    check_round,
    comparable,
    of_benchmark,
    submitters_of,
)


class ScalingPoint(NamedTuple):
    """One submission beside the line: `residual_factor` is minutes over fitted minutes, above 1 slower than it."""

    result: PublishedResult
    fitted_minutes: float
    residual_factor: float


@dataclass(frozen=True)
class ScalingFit:
    """log minutes = intercept + exponent * log accelerators (natural logarithms) of one family."""

    benchmark: str
    round: str
    family: str
    exponent: float
    """-1: twice the accelerators, half the time."""
    intercept: float
    r_squared: float | None
    """None where all times are equal; 1 wherever there are only two points."""
    n: int
    counts: tuple[int, ...]
    """The different accelerator counts, ascending."""
    points: tuple[ScalingPoint, ...]
    """Every submission, by count and then time."""

    @property
    def worst_factor(self) -> float:
        """The largest factor by which a submission is off the line, on either side; 1 or more."""
        return max(max(p.residual_factor, 1 / p.residual_factor) for p in self.points)

    @property
    def submitters(self) -> int:
        """Different submitters among the points."""
        return submitters_of([p.result for p in self.points])

    def minutes_at(self, accelerators: float) -> float:
        """The line's value. Raises ValueError outside the range of counts it was fitted on."""
        if not self.counts[0] <= accelerators <= self.counts[-1]:
            raise ValueError(f"{accelerators} lies outside {self.counts[0]} to {self.counts[-1]}: no extrapolation")
        return math.exp(self.intercept + self.exponent * math.log(accelerators))


@dataclass(frozen=True)
class Unfitted:
    """A family of which no line can be drawn."""

    family: str
    results: tuple[PublishedResult, ...]
    counts: tuple[int, ...]
    why: str


@dataclass(frozen=True)
class Scaling:
    """The fits of one benchmark in one round, by family's name."""

    benchmark: str
    round: str
    division: str
    fits: tuple[ScalingFit, ...]
    unfitted: tuple[Unfitted, ...]
    partial: bool
    """Whether the table holds only a part of the round."""


def fit_scaling(results: Sequence[PublishedResult]) -> ScalingFit:
    """The line through the submissions of one benchmark, round, division and family.

    Twins count once; rounded claims and machines without accelerators are left out. Raises ValueError where results
    are unlike or have fewer than two different counts.
    """
    used = sorted(comparable(results), key=lambda r: r.accelerators)
    kinds = {(canonical_benchmark(r.benchmark), r.round, r.division, r.accelerator_family) for r in used}
    if len(kinds) > 1:
        raise ValueError(f"a fit never mixes unlike results: {sorted(kinds)}")
    counts = _counts(used)
    if len(counts) < 2:
        raise ValueError(f"a line needs two different counts of accelerators, not {list(counts)}")
    x = np.log([r.accelerators for r in used])
    y = np.log([r.minutes for r in used])
    exponent = float(np.dot(x - x.mean(), y - y.mean()) / np.dot(x - x.mean(), x - x.mean()))
    intercept = float(y.mean() - exponent * x.mean())
    residuals = y - (intercept + exponent * x)
    total = float(np.dot(y - y.mean(), y - y.mean()))
    return ScalingFit(
        benchmark=canonical_benchmark(used[0].benchmark),
        round=used[0].round,
        family=used[0].accelerator_family,
        exponent=exponent,
        intercept=intercept,
        r_squared=1 - float(np.dot(residuals, residuals)) / total if total > 0 else None,
        n=len(used),
        counts=counts,
        points=tuple(
            ScalingPoint(r, r.minutes / math.exp(e), math.exp(e))
            for r, e in zip(used, residuals.tolist(), strict=True)
        ),
    )


def find_scaling(
    benchmark: str,
    round_: str,
    family: str | None = None,
    *,
    division: str = "closed",
    table: pd.DataFrame | None = None,
) -> Scaling:
    """The fit of every family (or of `family`) with results on `benchmark` in `round_`.

    `table` None: the shipped results. Raises ConfigError for a division, round, benchmark or family that the
    table does not have.
    """
    table = load_published() if table is None else table
    check_division(division)
    check_round(round_, table)
    check_benchmark(benchmark, table)
    if family is not None:
        check_family(family, table)
    rows = of_benchmark(table[(table["round"] == round_) & (table["division"] == division)], benchmark)
    by_family: dict[str, list[PublishedResult]] = {family: []} if family is not None else {}
    for result in comparable(as_results(rows)):
        if family in (None, result.accelerator_family):
            by_family.setdefault(result.accelerator_family, []).append(result)
    fits, unfitted = [], []
    for name, results in sorted(by_family.items()):
        counts = _counts(results)
        if len(counts) >= 2:
            fits.append(fit_scaling(results))
        else:
            unfitted.append(Unfitted(name, tuple(results), counts, _why_unfitted(len(results), counts)))
    name, partial = canonical_benchmark(benchmark), is_partial(table, round_)
    return Scaling(name, round_, division, tuple(fits), tuple(unfitted), partial)


def _counts(results: Sequence[PublishedResult]) -> tuple[int, ...]:
    return tuple(sorted({r.accelerators for r in results}))


def _why_unfitted(n: int, counts: tuple[int, ...]) -> str:
    if not counts:
        return "no results"
    plural = "s" if n > 1 else ""
    return f"{n} result{plural}, all at {counts[0]} accelerators: a line needs two different counts"
