"""What a number of repeats can settle: the chance that a one-sided bound of the median clears a criterion.

Runs are taken for log-normal with a standard deviation `noise` of their logs (about the coefficient of variation).
The bounds are those that a verdict rests on (`statistics.median_bound`): below 5 repeats log-t, whose chance is
that of the noncentral t; from 5 on order statistics, whose chance is binomial. Both are exact. Where log-t may
reach less far than the values themselves (4 repeats at 95 %), all of them must lie beyond the criterion too, and
the chance is a share of fixed points, within 0.001. For a ratio the spread of both sides is combined as
`ratio.ratio` does, and the chance is the noncentral t's with Welch's degrees of freedom, which is an approximation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from seatrial.analysis.statistics import SMALL_N
from seatrial.analysis.statistics.distributions import (
    binomial_more_than,
    binomials_at_most,
    normal_below,
    t_quantile,
)

MOST_REPEATS = 1000
"""Above this many repeats a criterion counts as one that repeats will not settle."""
POINTS = 2**16
"""Of which the chance is a share, where there is no formula for it."""
LARGEST_DIFFERENCE = math.log(1000.0)
"""Beyond a factor of 1000 nothing is said to be told apart."""


def settles(n: int, noise: float, difference: float, confidence: float) -> float:
    """The chance that `n` repeats settle a criterion whose bound lies `difference` (a log) from the true median.

    0 for fewer than two repeats: one says nothing about the next.
    """
    if n < 2:
        return 0.0
    if noise <= 0:
        return 1.0 if difference > 0 else 0.0
    worst_allowed = _order_misses(n, confidence)
    if worst_allowed is None:
        return _log_t_settles(n, difference / noise, t_quantile(confidence, n - 1))
    beyond = normal_below(difference / noise)
    return binomial_more_than(n - worst_allowed - 1, n, beyond)


def detectable(n: int, noise: float, confidence: float, power: float) -> float | None:
    """The least difference (a log) that `n` repeats settle with `power`; None where there is none."""
    if n < 2 or settles(n, noise, LARGEST_DIFFERENCE, confidence) < power:
        return None
    if noise <= 0:
        return 0.0
    return _root(lambda d: settles(n, noise, d, confidence) - power)


def repeats_for(difference: float, noise: float, confidence: float, power: float, more_than: int = 1) -> int | None:
    """The least number of repeats above `more_than` that settles `difference` (a log) with `power`.

    None where that is above MOST_REPEATS, or there is no difference.
    """
    if difference <= 0:
        return None
    start = max(2, more_than + 1)
    for n in range(start, SMALL_N):
        if settles(n, noise, difference, confidence) >= power:
            return n
    first = max(start, SMALL_N)
    sizes = np.arange(first, MOST_REPEATS + 1)
    allowed = _allowed_misses(confidence)[first:]
    beyond = 1.0 if noise <= 0 else float(special.ndtr(difference / noise))
    # at least sizes - allowed of them beyond the bound
    chance = special.bdtrc(sizes - np.maximum(allowed, 0) - 1, sizes, beyond)
    enough = (chance >= power) & (allowed >= 0)
    return int(sizes[np.argmax(enough)]) if enough.any() else None


def ratio_settles(
    n: int, noise: float, difference: float, confidence: float, error: float, degrees: float
) -> float:
    """As `settles`, of the ratio to a reference whose log has standard error `error` with `degrees` of freedom."""
    if n < 2:
        return 0.0
    combined, freedom = _combined(n, noise, error, degrees)
    if combined == 0:
        return 1.0 if difference > 0 else 0.0
    return _noncentral(t_quantile(confidence, freedom), freedom, difference / combined)


def ratio_detectable(
    n: int, noise: float, confidence: float, power: float, error: float, degrees: float
) -> float | None:
    """As `detectable`, of a ratio to a reference."""

    def chance(difference: float) -> float:
        return ratio_settles(n, noise, difference, confidence, error, degrees)

    if chance(LARGEST_DIFFERENCE) < power:
        return None
    return _root(lambda d: chance(d) - power)


def ratio_repeats_for(
    difference: float,
    noise: float,
    confidence: float,
    power: float,
    error: float,
    degrees: float,
    more_than: int = 1,
) -> int | None:
    """As `repeats_for`, of a ratio to a reference; None where the reference's own error is too large for it."""
    if difference <= 0 or ratio_settles(MOST_REPEATS, noise, difference, confidence, error, degrees) < power:
        return None
    low, high = max(2, more_than + 1), MOST_REPEATS
    while low < high:  # the chance grows with the repeats
        middle = (low + high) // 2
        if ratio_settles(middle, noise, difference, confidence, error, degrees) >= power:
            high = middle
        else:
            low = middle + 1
    return low


def _order_misses(n: int, confidence: float) -> int | None:
    """How many values may lie on the wrong side for order statistics to settle; None where log-t is used."""
    if n < SMALL_N or n > MOST_REPEATS:
        return None
    allowed = int(_allowed_misses(confidence)[n])
    return allowed if allowed >= 0 else None


@cache
def _allowed_misses(confidence: float) -> NDArray[np.int64]:
    """[MOST_REPEATS + 1]: the largest k with P(binomial(n, 1/2) <= k) <= 1 - confidence for every n; -1: none."""
    sizes = np.arange(MOST_REPEATS + 1)
    n = np.maximum(sizes, 1)
    # the inverse by a k that is no whole number; it is NaN where even k = 0 is too likely
    allowed = np.ceil(np.nan_to_num(special.bdtrik(1 - confidence, n, 0.5))).astype(np.int64)
    over = binomials_at_most(allowed, n, 0.5) > (1 - confidence) * (1 + 1e-12)
    return np.asarray(np.where(over, allowed - 1, allowed), dtype=np.int64)


def _combined(n: int, noise: float, error: float, degrees: float) -> tuple[float, float]:
    """Standard error of the log of a ratio, and its degrees of freedom after Welch and Satterthwaite."""
    factor = 1.0 if n <= 2 else math.sqrt(math.pi / 2)
    own, other = (factor * noise) ** 2 / n, error**2
    if own + other == 0:
        return 0.0, min(n - 1.0, degrees)
    share = own / (own + other)
    return math.sqrt(own + other), 1 / (share**2 / (n - 1) + (1 - share) ** 2 / degrees)


def _log_t_settles(n: int, away: float, limit: float) -> float:
    """The chance that t exceeds `limit` and no value lies below 0, `away` standard deviations below the median."""
    if limit >= n - 1:  # t is n - 1 where one value is 0 and the others are equal: the first implies the second
        return _noncentral(limit, n - 1, away * math.sqrt(n))
    return float(np.searchsorted(_cleared_from(n, limit), away)) / POINTS


@cache
def _cleared_from(n: int, limit: float) -> NDArray[np.float64]:
    """[POINTS] ascending: how far away each of so many draws of n normal values must lie for both to hold.

    The draws are Sobol's points, without scrambling: the same for everyone.
    """
    from scipy.stats import qmc  # rarely needed, and slow to import

    cells = qmc.Sobol(n, scramble=False).random_base2(POINTS.bit_length() - 1)
    values = special.ndtri(cells + 0.5 / POINTS)
    of_t = limit * values.std(axis=1, ddof=1) / math.sqrt(n) - values.mean(axis=1)
    return np.asarray(np.sort(np.maximum(of_t, -values.min(axis=1))), dtype=float)


def _noncentral(limit: float, freedom: float, shift: float) -> float:
    """P(T > limit) of the noncentral t; 1 where the shift is beyond what its series can hold."""
    if shift > 10 * (limit + 1) + 30:
        return 1.0
    from scipy.stats import nct  # as above

    return float(nct.sf(limit, freedom, shift))


def _root(gap: Callable[[float], float]) -> float:
    from scipy.optimize import brentq  # as above

    return float(brentq(gap, 0.0, LARGEST_DIFFERENCE, xtol=1e-7))
