"""A ratio of two medians with an interval that combines the uncertainty of both sides, on the log scale.

Assumes that times are log-normal about their medians: se^2 = se_measured^2 + se_reference^2, degrees of freedom
after Welch and Satterthwaite. A reference's error is its submitters' spread or, where it is interpolated, its error
band. Where one side's spread is not known there is a ratio but no interval; a few values that are equal do not show
their spread, as times come in steps of one evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, stdev

from seatrial.analysis.statistics import SAME, SMALL_N
from seatrial.analysis.statistics.distributions import t_quantile

LARGEST_LOG = 600.0
"""Keeps the bound of an absurd spread finite."""
LARGEST_FREEDOM = 1e6
"""Degrees of freedom of an error that is as good as known."""


@dataclass(frozen=True)
class Estimate:
    """A median in minutes; `error` is the standard error of its logarithm, None where the spread is not known."""

    minutes: float
    error: float | None
    degrees_of_freedom: float


@dataclass(frozen=True)
class Ratio:
    """measured / reference with the standard error of its logarithm."""

    value: float
    error: float | None
    degrees_of_freedom: float | None

    def bound(self, side: str, confidence: float) -> float | None:
        """One-sided bound at `confidence`, `side` lower or upper; None where the spread is not known."""
        if self.error is None or self.degrees_of_freedom is None:
            return None
        step = t_quantile(confidence, self.degrees_of_freedom) * self.error
        return self.value * math.exp(min(step, LARGEST_LOG) if side == "upper" else -step)

    def reference_error(self, n: int, spread: float | None) -> tuple[float, float] | None:
        """Standard error and degrees of freedom of the reference, where `n` runs with `spread` were measured.

        The measured side is taken out of the error and of Welch's degrees of freedom again; None where one of them
        is not known.
        """
        own = estimate(1.0, spread, n).error
        if self.error is None or self.degrees_of_freedom is None or own is None:
            return None
        rest = max(self.error**2 - own**2, 0.0)
        if rest == 0:
            return 0.0, 1.0
        share = own**2 / self.error**2
        inverse = 1 / self.degrees_of_freedom - share**2 / (n - 1)
        return math.sqrt(rest), (1 - share) ** 2 / inverse if inverse > 0 else LARGEST_FREEDOM


def estimate(minutes: float, spread: float | None, n: int) -> Estimate:
    """The median of `n` log-normal times whose logs have standard deviation `spread`.

    Its standard error is spread / sqrt(n) for n <= 2, where the median is the mean, and at most
    sqrt(pi / 2) times that for larger n. Fewer than SMALL_N equal values have no known error.
    """
    if spread is None or n < 2 or (spread <= SAME and n < SMALL_N):
        return Estimate(minutes, None, 0.0)
    factor = 1.0 if n <= 2 else math.sqrt(math.pi / 2)
    return Estimate(minutes, factor * spread / math.sqrt(n), n - 1.0)


def reference_estimate(minutes: float, by_submitter: Sequence[Sequence[float]]) -> Estimate:
    """A published median over results; `by_submitter` holds each submitter's results in minutes.

    Results of one submitter are not independent. The spread is therefore that of the logs of the submitters'
    medians (n - 1 below the line), the degrees of freedom are submitters - 1, and the median counts as one over
    (sum of counts)^2 / sum of counts^2 submitters (Kish's effective sample size): where one submitter has most of
    the results, the median is that submitter's. Where all submitters' medians are equal the error is not known.
    """
    logs = [math.log(median(results)) for results in by_submitter]
    if len(logs) < 2 or max(logs) - min(logs) <= SAME:
        return Estimate(minutes, None, 0.0)
    counts = [len(results) for results in by_submitter]
    effective = sum(counts) ** 2 / sum(count**2 for count in counts)
    error = math.sqrt(math.pi / 2) * stdev(logs) / math.sqrt(effective)
    return Estimate(minutes, error, len(logs) - 1.0)


def interpolated_estimate(minutes: float, factor: float, coverage: float | None, predictions: int) -> Estimate:
    """An interpolated median; of `predictions` left-out ones a share of `coverage` was predicted within `factor`.

    The errors are taken for t-distributed about 0 on the log scale, with predictions - 1 degrees of freedom; they
    contain the spread of the medians next to the count. No error where the coverage is not known.
    """
    if coverage is None or predictions < 2:
        return Estimate(minutes, None, 0.0)
    degrees = predictions - 1.0
    return Estimate(minutes, math.log(factor) / t_quantile((1 + coverage) / 2, degrees), degrees)


def ratio(measured: Estimate, reference: Estimate) -> Ratio:
    """measured / reference."""
    value = measured.minutes / reference.minutes
    if measured.error is None or reference.error is None:
        return Ratio(value, None, None)
    a, b = measured.error**2, reference.error**2
    if a + b == 0:
        return Ratio(value, 0.0, min(measured.degrees_of_freedom, reference.degrees_of_freedom))
    share, rest = a / (a + b), b / (a + b)
    inverse = share**2 / measured.degrees_of_freedom + rest**2 / reference.degrees_of_freedom
    return Ratio(value, math.sqrt(a + b), 1 / inverse)
