"""Whether a series became slower or faster at one point for good, and where."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seatrial.analysis.order import midranks
from seatrial.analysis.statistics.series import BLOCK_TIMES, integrated_autocorrelation_time

Array = NDArray[np.float64]
PERMUTATIONS = 999
SEED = 0
MOST_KEPT = 1000
"""Orders of longer series are drawn each time: to keep them takes much memory."""


class LevelShift(NamedTuple):
    """The first place of the later level, the medians before and from it on, and the p of "one level"."""

    at: int
    before: float
    after: float
    p: float


def level_shift(series: Array) -> LevelShift | None:
    """The single point at which the level of a series changes most (Pettitt 1979): the greatest CUSUM of its ranks,
    from there to the place that divides the two levels best.

    p: among PERMUTATIONS orders of the series' blocks (and the one found, so that it is never 0) the share in which
    the greatest CUSUM is as great. A block lasts three integrated autocorrelation times of what is left when both
    medians are taken off, so that neighbours that depend on each other are no shift. Ranks, because one stall of
    a hundred medians is none. None for fewer than four values and where all are equal. The seed is fixed.
    """
    n = len(series)
    if n < 4 or np.ptp(series) == 0:
        return None
    ranks = midranks(series)
    ranks -= ranks.mean()
    sums = np.abs(np.cumsum(ranks)[:-1])
    at = int(np.argmax(sums)) + 1
    greatest_sum = sums[at - 1]
    at = _nearer(series, at)
    before, after = float(np.median(series[:at])), float(np.median(series[at:]))
    rest = np.concatenate([series[:at] - before, series[at:] - after])
    length = math.ceil(BLOCK_TIMES * (integrated_autocorrelation_time(midranks(rest).tolist()) or 1.0))
    by_chance = _greatest_by_chance(ranks, length)
    p = (1 + int((by_chance >= greatest_sum * (1 - 1e-12)).sum())) / (PERMUTATIONS + 1)
    return LevelShift(at, before, after, p)


def _nearer(series: Array, at: int) -> int:
    """The place that leaves the fewest values on the other level's side of half way between the two medians.

    Where levels lie far apart the order of ranks within one of them moves the greatest CUSUM by some places.
    """
    before, after = float(np.median(series[:at])), float(np.median(series[at:]))
    own_side = np.where((series < (before + after) / 2) == (before < after), 1, -1)
    return int(np.argmax(np.cumsum(own_side)[:-1])) + 1


def _greatest_by_chance(ranks: Array, length: int) -> Array:
    """[PERMUTATIONS]: the greatest absolute CUSUM of ranks whose blocks stand in another order.

    The blocks begin at a place of the ring that is drawn too, so that the last, shorter one is not always the same.
    """
    n = len(ranks)
    orders = _orders(n, length) if n <= MOST_KEPT else _drawn_orders(n, length)
    found: Array = np.abs(np.cumsum(ranks[orders], axis=1)[:, :-1]).max(axis=1)
    return found


def _drawn_orders(n: int, length: int) -> NDArray[np.intp]:
    """[PERMUTATIONS, n]: where each value comes from. The same for every series as long: the seed is fixed."""
    draw = np.random.default_rng(SEED)
    starts = np.arange(0, n, length)
    order = draw.random((PERMUTATIONS, len(starts))).argsort(axis=1)
    places = (starts[order][:, :, None] + np.arange(length)).reshape(PERMUTATIONS, -1)
    inside = places[places < n].reshape(PERMUTATIONS, n)
    found: NDArray[np.intp] = (inside + draw.integers(0, n, size=(PERMUTATIONS, 1))) % n
    return found


_orders = lru_cache(maxsize=8)(_drawn_orders)
