"""Whether two sets of repeats differ, and by which ratio: tests that hold at small n, with intervals that agree.

Both work on the logs of positive values (times, rates), so that what they say is a ratio. Where there are so few
values that no arrangement of them could show a difference, there is no p: that is "cannot be shown", not "equal".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seatrial.analysis.order import midranks
from seatrial.analysis.statistics.distributions import t_quantile
from seatrial.analysis.statistics.medians import SAME

MOST_DIVISIONS = 13_000
"""Up to this many ways to divide the values into two sets all are tried, beyond it as many at random."""
ROUNDING = 1e-12
"""Logs no further apart than this are equal."""
Floats = NDArray[np.float64]


class RatioTest(NamedTuple):
    """other / base: the ratio and its two-sided interval, the two-sided p of "no difference", and how.

    `ratio` is the ratio of medians, or of pairs the median ratio. `p` is None where `smallest_p`, the least that so
    few values can give, exceeds 1 - confidence: a difference cannot be shown. The interval then rests on an
    assumption that `method` names, or is None.
    """

    ratio: float | None
    low: float | None
    high: float | None
    p: float | None
    smallest_p: float
    method: str

    @property
    def can_be_shown(self) -> bool:
        """Whether any outcome with so many values could have shown a difference."""
        return self.p is not None


def compare_paired(base: Sequence[float], other: Sequence[float], confidence: float = 0.95) -> RatioTest:
    """other[i] / base[i] of repeats measured in pairs (A-B-A-B, same seed, same nodes), so that drift cancels.

    Wilcoxon's signed-rank test, exact at any n, and the interval that it inverts to (Walsh averages of the logs of
    the ratios). Assumes that the logs of the ratios are independent and symmetric about their median. The smallest
    two-sided p is 2 / 2^n: 95 % needs 6 pairs. With fewer the interval is log-t (the logs of the ratios normal),
    or none where all ratios are equal: so few equal values do not tell that there is no spread.
    Raises ValueError for sets of different length and for values that are not finite and positive.
    """
    logs = _logs(other)
    first = _logs(base)
    if len(logs) != len(first):
        raise ValueError(f"{len(first)} and {len(logs)} values are no pairs")
    logs = logs - first
    n = len(logs)
    if n == 0:
        return RatioTest(None, None, None, None, 1.0, "none (no pairs)")
    smallest = smallest_p_of_pairs(n)
    middle = float(np.median(logs))
    if smallest > (1 - confidence) * (1 + 1e-12):
        why = f"signed-rank test cannot show it ({n} pairs: smallest p {smallest:.3g})"
        if n < 2:
            return RatioTest(math.exp(middle), None, None, None, smallest, f"none; {why}")
        if not _spreads(logs):
            lacking = "none (log-t needs a spread: all ratios are equal)"
            return RatioTest(math.exp(middle), None, None, None, smallest, f"{lacking}; {why}")
        half = t_quantile((1 + confidence) / 2, n - 1) * float(np.std(logs, ddof=1)) / math.sqrt(n)
        return _result(
            middle,
            float(logs.mean()) - half,
            float(logs.mean()) + half,
            None,
            smallest,
            f"paired log-t {_percent(confidence)}; {why}",
        )
    ranks = _signed_rank_tail(n)
    averages = np.sort([(logs[i] + logs[j]) / 2 for i in range(n) for j in range(i, n)])
    k = int(np.searchsorted(ranks, (1 - confidence) / 2 * (1 + 1e-12), side="right"))
    low, high = float(averages[k - 1]), float(averages[len(averages) - k])
    p = _signed_rank_p(logs)
    return _result(middle, low, high, p, smallest, f"Wilcoxon signed-rank {_percent(confidence)}, {n} pairs")


def compare_unpaired(base: Sequence[float], other: Sequence[float], confidence: float = 0.95) -> RatioTest:
    """other / base of repeats that have nothing in common but what was measured.

    Brunner and Munzel's statistic among all divisions of the values into two such sets (Neubert and Brunner
    2007; 13,000 at random from a fixed seed where there are more), which holds where the spreads differ too,
    and the interval that it inverts to: the ratios f for which other / f does not differ from base. Where a
    value is in both sets, p is of the order next to the tie that speaks least for a difference, as the
    interval's ends are: where the interval holds 1, p is over 1 - confidence. The smallest two-sided p is 2 /
    C(n + m, n): 95 % needs 4 and 4, or 3 and 5. With fewer the interval is Welch's of the logs (normal), or
    none where the values of one set are all equal: so few do not tell that it has no spread.
    Raises ValueError for values that are not finite and positive.
    """
    first, second = _logs(base), _logs(other)
    n, m = len(first), len(second)
    if not n or not m:
        return RatioTest(None, None, None, None, 1.0, "none (one set is empty)")
    smallest = smallest_p_of_sets(n, m)
    middle = float(np.median(second) - np.median(first))
    if smallest > (1 - confidence) * (1 + 1e-12) or min(n, m) < 2:
        why = f"permutation test cannot show it ({n} and {m} values: smallest p {smallest:.3g})"
        if min(n, m) < 2:
            return RatioTest(math.exp(middle), None, None, None, smallest, f"none; {why}")
        if not (_spreads(first) and _spreads(second)):
            lacking = "none (log-t needs a spread: all values of a set are equal)"
            return RatioTest(math.exp(middle), None, None, None, smallest, f"{lacking}; {why}")
        from scipy.stats import ttest_ind  # rarely needed, and slow to import

        found = ttest_ind(second, first, equal_var=False).confidence_interval(confidence)
        return _result(
            middle,
            float(found.low),
            float(found.high),
            None,
            smallest,
            f"Welch log-t {_percent(confidence)}; {why}",
        )
    low, high = _inverted(first, second, (1 - confidence) / 2)
    p = _p_of_no_shift(first, second, low <= 0 <= high)
    method = f"Brunner-Munzel permutation {_percent(confidence)}, {n} and {m} values"
    return _result(middle, low, high, p, smallest, method)


def smallest_p_of_pairs(n: int) -> float:
    """The least two-sided p that `compare_paired` can give of n pairs."""
    return min(1.0, 2.0 ** (1 - n))


def smallest_p_of_sets(n: int, m: int) -> float:
    """The least two-sided p that `compare_unpaired` can give of n and m values."""
    return min(1.0, 2 / min(math.comb(n + m, n), MOST_DIVISIONS + 1))


def _spreads(logs: Floats) -> bool:
    """Whether they differ by more than what they are measured to."""
    return float(np.ptp(logs)) > SAME


def _result(middle: float, low: float, high: float, p: float | None, smallest: float, method: str) -> RatioTest:
    """From logs to ratios; an interval that leaves the ratio itself out (it need not hold it) is widened to it."""
    low, high = math.exp(max(min(low, middle), -700.0)), math.exp(min(max(high, middle), 700.0))
    return RatioTest(math.exp(middle), low, high, p, smallest, method)


def _logs(values: Sequence[float]) -> Floats:
    found = np.asarray(values, dtype=float)
    if not (np.isfinite(found).all() and (found > 0).all()):
        raise ValueError("a value is not finite and positive; what was not measured has no ratio")
    return np.log(found)


@cache
def _signed_rank_tail(n: int) -> Floats:
    """[n(n+1)/2 + 1]: P(W <= w) of the signed-rank statistic of n values without ties."""
    counts = np.ones(1)
    for rank in range(1, n + 1):
        step = np.zeros(rank + 1)
        step[0] = step[-1] = 0.5
        counts = np.convolve(counts, step)
    return np.cumsum(counts)


def _signed_rank_p(logs: Floats) -> float:
    """Two-sided p; ties share ranks, differences of zero take half of their rank to either side."""
    if not logs.any():
        return 1.0
    tied = len(np.unique(np.abs(logs))) < len(logs) or not logs.all()
    from scipy import stats  # rarely needed, and slow to import

    exact = stats.PermutationMethod(n_resamples=MOST_DIVISIONS, rng=np.random.default_rng(0))
    method = exact if tied else ("exact" if len(logs) <= 50 else "approx")
    return float(stats.wilcoxon(logs, zero_method="zsplit", method=method).pvalue)


def _inverted(first: Floats, second: Floats, tail: float) -> tuple[float, float]:
    """The shifts that the test does not refuse. Only the order of the values counts, so it changes its mind only
    where two values change places: at a difference of one of each set. Bisection between these."""
    edges = np.unique(np.subtract.outer(second, first))
    low = _first_kept(edges, lambda shift: _tails(first, second - shift)[0] > tail)
    high = -_first_kept(-edges[::-1], lambda shift: _tails(first, second + shift)[1] > tail)
    return low, high


def _p_of_no_shift(first: Floats, second: Floats, inside: bool) -> float:
    """The two-sided p. Values that the sets share are taken apart either way, as beside the interval's ends, and
    the greater p counts; within the interval (`inside`) also that of the tie itself."""
    gaps = np.abs(np.subtract.outer(second, first)).ravel()
    if gaps.min() > ROUNDING:
        return min(1.0, 2 * min(_tails(first, second)))
    apart = float(gaps[gaps > ROUNDING].min(initial=1.0)) / 2
    shifts = (-apart, 0.0, apart) if inside else (-apart, apart)
    return min(1.0, max(2 * min(_tails(first, second + shift)) for shift in shifts))


def _first_kept(edges: Floats, kept: Callable[[float], bool]) -> float:
    """The least of the ascending `edges` beyond which a shift is kept; shifts are tried between the edges."""
    few, many = 0, len(edges) - 1
    while few < many:
        middle = (few + many) // 2
        if kept(float(edges[middle] + edges[middle + 1]) / 2):
            many = middle
        else:
            few = middle + 1
    return float(edges[few])


def _tails(first: Floats, second: Floats) -> tuple[float, float]:
    """Share of divisions in which the second set is at least as high, and at least as low, as it was found."""
    n = len(first)
    ranks = midranks(np.concatenate([first, second]))
    found = float(_brunner_munzel(ranks, np.arange(n)[None, :], np.arange(n, len(ranks))[None, :])[0])
    by_chance = _by_chance(tuple(np.sort(ranks).tolist()), n)
    near = 1e-9 * max(1.0, abs(found)) if math.isfinite(found) else 0.0
    higher = len(by_chance) - int(np.searchsorted(by_chance, found - near, side="left"))
    lower = int(np.searchsorted(by_chance, found + near, side="right"))
    # of random divisions the one that was found is one more
    more = int(math.comb(len(ranks), n) > MOST_DIVISIONS)
    return (higher + more) / (len(by_chance) + more), (lower + more) / (len(by_chance) + more)


@lru_cache(maxsize=256)
def _by_chance(ranks: tuple[float, ...], n: int) -> Floats:
    """[divisions] ascending: the statistic of every division of these ranks into n and the others."""
    return np.sort(_brunner_munzel(np.array(ranks), *_divisions(n, len(ranks) - n)))


def _brunner_munzel(ranks: Floats, first: NDArray[np.intp], second: NDArray[np.intp]) -> Floats:
    """[divisions]: the studentised difference of mean ranks; +-inf where the sets do not overlap at all."""
    n, m = first.shape[1], second.shape[1]
    one, other = ranks[first], ranks[second]
    inner = _ranks_within(one), _ranks_within(other)
    spread = np.var(one - inner[0], axis=1, ddof=1) / (m * m * n) + np.var(other - inner[1], axis=1, ddof=1) / (
        n * n * m
    )
    difference = (other.mean(axis=1) - one.mean(axis=1)) / (n + m)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = difference / np.sqrt(spread)
    return np.where(difference == 0, 0.0, found)


def _ranks_within(values: Floats) -> Floats:
    """[divisions, n]: mid-ranks of each row."""
    from scipy.stats import rankdata  # rarely needed, and slow to import

    return np.asarray(rankdata(values, axis=1), dtype=float)


@cache
def _divisions(n: int, m: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """[divisions, n] and [divisions, m]: places of the two sets; all there are, or many from a fixed seed."""
    if math.comb(n + m, n) <= MOST_DIVISIONS:
        first = np.array(list(itertools.combinations(range(n + m), n)), dtype=np.intp)
        taken = np.zeros((len(first), n + m), dtype=bool)
        np.put_along_axis(taken, first, True, axis=1)
        return first, np.nonzero(~taken)[1].reshape(len(first), m)
    if n > m:
        return _divisions(m, n)[::-1]
    order = np.random.default_rng(0).random((MOST_DIVISIONS, n + m)).argsort(axis=1)
    if n == m:
        # each with its mirror image, so that exchanged sets have the same p
        order[MOST_DIVISIONS // 2 :] = np.roll(order[: MOST_DIVISIONS // 2], n, axis=1)
    return order[:, :n], order[:, n:]


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.4g} %"
