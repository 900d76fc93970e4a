"""Medians with intervals that hold at small n. Every interval names its method and its coverage.

- n < 2: no interval, because nothing is known of the spread.
- 2 <= n < 5: log-t. Assumes that the values are log-normal: exp of the t interval of the mean of the logs.
- n >= 5: order statistics. Assumes nothing about the distribution: the number of values below the median is
  binomial(n, 1/2). Its coverage moves in steps; an interval names the coverage that it has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

from seatrial.analysis.statistics.distributions import (
    binomial_at_most,
    binomials_at_most,
    normal_below,
    t_quantile,
)

SMALL_N = 5
"""From this many values on, order statistics are used."""
SAME = 1e-6
"""Values no further apart than this part of the greatest count as equal: no clock or counter here resolves more
of a repeat (our choice; a microsecond in a second)."""
FEW = 200
LARGEST_LOG = 700.0
"""Keeps the upper end of an absurdly wide log-t interval finite."""
Side = Literal["lower", "upper"]


class Interval(NamedTuple):
    """A two-sided interval of the median; `low` and `high` None where there is none."""

    low: float | None
    high: float | None
    method: str


class Bound(NamedTuple):
    """A one-sided confidence bound of the median; `value` None where there is none at that confidence."""

    value: float | None
    method: str


def are_equal(values: Sequence[float]) -> bool:
    """Whether values differ by no more than what they are measured to (`SAME`)."""
    return not len(values) or max(values) - min(values) <= SAME * max(abs(min(values)), abs(max(values)))


def median(values: Sequence[float]) -> float | None:
    """The median, or None of nothing."""
    n = len(values)
    if not n:
        return None
    if n > FEW:
        return float(np.median(values))
    total = sum(values)
    if total != total:  # NaN, or infinities of both signs
        return float(np.median(values))
    ordered = sorted(values)  # of few values ten times as fast
    return float(ordered[n // 2] if n % 2 else (ordered[n // 2 - 1] + ordered[n // 2]) / 2)


def median_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Two-sided interval of the median; from 5 values on [x_k, x_(n+1-k)] with the largest k that suffices.

    Where even [min, max] falls short of `confidence` (n = 5 at 95 %: 93.75 %), that interval is given and its
    method names the coverage that it has. Raises ValueError for values that are not finite.
    """
    ordered = _finite_sorted(values)
    n = len(ordered)
    if n < 2:
        return Interval(None, None, "none (n < 2)")
    if n < SMALL_N:
        if ordered[0] <= 0:
            return Interval(None, None, "none (log-t needs positive values)")
        low, high = _log_t(ordered, (1 + confidence) / 2)
        return Interval(low, high, f"log-t {_percent(confidence)}")
    k = max(1, _rank(n, (1 - confidence) / 2))
    coverage = 1 - 2 * _below(k, n)
    return Interval(ordered[k - 1], ordered[n - k], f"order statistics {_percent(coverage)}")


def reached_median(values: Sequence[float], never: int) -> float | None:
    """The median of `values` and of `never` runs at infinity; None of nothing, and where it is infinite."""
    middle = median([*values, *([math.inf] * never)])
    return middle if middle is not None and math.isfinite(middle) else None


def reached_interval(values: Sequence[float], never: int, confidence: float = 0.95) -> Interval:
    """The interval of `reached_median`; an infinite end is None. With `never` > 0 by order statistics at any n.

    Infinity has no log. Its method says how many stand at infinity, and what is missing for it: an upper end, the
    median. Raises ValueError for values that are not finite.
    """
    ordered = _finite_sorted(values)
    n = len(ordered) + never
    if not never or n < 2:
        found = median_interval(ordered, confidence)
    else:
        ordered += [math.inf] * never
        k = max(1, _rank(n, (1 - confidence) / 2))
        coverage = 1 - 2 * _below(k, n)
        low, high = (end if math.isfinite(end) else None for end in (ordered[k - 1], ordered[n - k]))
        found = Interval(low, high, f"order statistics {_percent(coverage)}")
    if not never:
        return found
    lacking = "" if reached_median(values, never) is not None else ", so there is no median"
    no_end = ", no upper end" if found.low is not None and found.high is None else ""
    return found._replace(method=f"{found.method}{no_end}; {never} of {n} never reached it{lacking}")


def share_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The interval of the median of shares of a whole, which none exceeds: an upper end above 1 is 1."""
    found = median_interval(values, confidence)
    if found.high is None or found.high <= 1:
        return found
    return found._replace(high=1.0, method=f"{found.method}, cut at 1")


def median_bound(values: Sequence[float], side: Side, confidence: float = 0.95) -> Bound:
    """One-sided bound of the median that holds with at least `confidence`.

    Where order statistics cannot reach `confidence` with so few values (n = 5 at 99 %), log-t is used and
    named, and never lies inside the values: at 95 % this widens it for n = 4 alone (log-t reaches beyond all values
    where its t is at least n - 1). With the skew of published runs four repeats else fail by chance in 5.5 %.
    Raises ValueError for values that are not finite.
    """
    ordered = _finite_sorted(values)
    n = len(ordered)
    if n < 2:
        return Bound(None, "none (n < 2)")
    k = _rank(n, 1 - confidence) if n >= SMALL_N else 0
    if k >= 1:
        coverage = 1 - _below(k, n)
        value = ordered[k - 1] if side == "lower" else ordered[n - k]
        return Bound(value, f"order statistics {_percent(coverage)}")
    if ordered[0] <= 0:
        return Bound(None, "none (log-t needs positive values)")
    low, high = _log_t(ordered, confidence)
    method = f"log-t {_percent(confidence)}"
    if side == "lower" and low > ordered[0]:
        return Bound(ordered[0], f"{method}, widened to the least value")
    if side == "upper" and high < ordered[-1]:
        return Bound(ordered[-1], f"{method}, widened to the largest value")
    return Bound(low if side == "lower" else high, method)


def reached_lower_bound(values: Sequence[float], never: int, confidence: float = 0.95) -> Bound:
    """Lower bound of the median of `values` and of `never` runs at infinity, which it may be; `never` at least 1.

    By order statistics, also where all stand at infinity: two runs that never get there are no surer than two slow
    ones. Raises ValueError for values that are not finite.
    """
    n = len(values) + never
    k = _rank(n, 1 - confidence)
    if k < 1:
        return Bound(None, f"none ({n} runs are too few for order statistics at {_percent(confidence)})")
    value = [*_finite_sorted(values), *([math.inf] * never)][k - 1]
    return Bound(value, f"order statistics {_percent(1 - _below(k, n))}")


def order_bound(values: Sequence[float], side: Side, confidence: float = 0.95) -> Bound:
    """One-sided bound of the median by order statistics alone; None where there are too few values for it."""
    ordered = _finite_sorted(values)
    k = _rank(len(ordered), 1 - confidence)
    if k < 1:
        return Bound(
            None, f"none ({len(ordered)} values are too few for order statistics at {_percent(confidence)})"
        )
    value = ordered[k - 1] if side == "lower" else ordered[len(ordered) - k]
    return Bound(value, f"order statistics {_percent(1 - binomial_at_most(k - 1, len(ordered), 0.5))}")


def olympic_mean(values: Sequence[float], not_converged: int = 0) -> float | None:
    """MLPerf's score: the mean without the fastest and the slowest run; None for fewer than three runs.

    One run that did not converge may be the slowest that is dropped; with more there is no score
    (MLPerf training rules, "Benchmark Results").
    """
    ordered = _finite_sorted(values)
    if len(ordered) + not_converged < 3 or not_converged > 1:
        return None
    kept = ordered[1:] if not_converged else ordered[1:-1]
    return float(np.mean(kept)) if kept else None


def log_spread(values: Sequence[float]) -> float | None:
    """Standard deviation of the logs (about the coefficient of variation); None for n < 2 or values <= 0."""
    if len(values) < 2 or min(values) <= 0:
        return None
    return float(np.std(np.log(values), ddof=1))


def spread_from_range(low: float, high: float, n: int) -> float | None:
    """Standard deviation of the logs of `n` runs of which only the extremes are published.

    The expected range of n normal values is d2(n) standard deviations (Tippett 1925).
    """
    if n < 2 or not 0 < low <= high:
        return None
    return math.log(high / low) / expected_range(n)


def expected_range(n: int) -> float:
    """d2(n): the expected range of `n` standard normal values, 2 E[max]."""
    grid = np.linspace(-9.0, 9.0, 3601)
    cdf = normal_below(grid)
    return float(np.trapezoid(1 - cdf**n - (1 - cdf) ** n, grid))


def _log_t(ordered: Sequence[float], quantile: float) -> tuple[float, float]:
    if ordered[0] == ordered[-1]:
        return ordered[0], ordered[0]
    logs = np.log(ordered)
    n = len(logs)
    half = t_quantile(quantile, n - 1) * float(np.std(logs, ddof=1)) / math.sqrt(n)
    middle = float(np.mean(logs))
    return math.exp(middle - half), math.exp(min(middle + half, LARGEST_LOG))


@lru_cache(maxsize=1000)
def _rank(n: int, tail: float) -> int:
    """The largest k with P(median < x_k) = P(binomial(n, 1/2) <= k - 1) <= tail; 0 where there is none."""
    if n < 1:
        return 0
    cdf = binomials_at_most(np.arange(n // 2 + 1), n, 0.5)
    return int(np.searchsorted(cdf, tail * (1 + 1e-12), side="right"))


@lru_cache(maxsize=1000)
def _below(k: int, n: int) -> float:
    """P(binomial(n, 1/2) < k)."""
    return binomial_at_most(k - 1, n, 0.5)


def _finite_sorted(values: Sequence[float]) -> list[float]:
    if not all(math.isfinite(v) for v in values):
        raise ValueError("a value is not finite; what was not measured has no interval")
    return sorted(float(v) for v in values)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.4g} %" if fraction < 0.999 else f"{100 * fraction:.6g} %"
