"""When runs reach something, some of them never within their budget: medians, tests, and how many times longer.

A run that has not reached it is censored at its budget: it counts as "not until then", never as a time. One that
broke off is censored where it was last looked at; that is right where breaking off has nothing to do with how late
it would have got there (non-informative censoring). The time of one that has reached it is known to lie between two
evaluations; intervals are taken from the outer ends.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seatrial.analysis.statistics import Interval
from seatrial.analysis.statistics.distributions import binomial_at_most, binomials_at_most

if TYPE_CHECKING:
    from scipy.stats import CensoredData

MOST_ARRANGEMENTS = 20_000
"""Up to this many ways to divide the runs into two groups all are tried, beyond it as many at random."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reach:
    """One run: not yet reached at `after`, reached at `by`; `by` None: not while it was watched, until `after`."""

    after: float
    by: float | None

    @property
    def seen(self) -> float:
        """When it was seen reached, or how long it was watched in vain."""
        return self.after if self.by is None else self.by


class Effect(NamedTuple):
    """How many times longer; `value` the ratio of medians, None where one is not reached; None ends are open."""

    value: float | None
    low: float | None
    high: float | None
    method: str


class _Watch(NamedTuple):
    """When runs reached it or were last watched, and which of them reached it; both [runs]."""

    times: Floats
    reached: NDArray[np.bool_]


class Curve(NamedTuple):
    """Share of runs that have not reached it from each of `times` on, with pointwise 95 % bounds (NaN: none)."""

    times: Floats
    share: Floats
    low: Floats
    high: Floats


def kaplan_meier(runs: Sequence[Reach]) -> Curve:
    """Kaplan and Meier's estimate with Greenwood's variance, bounds on the log-log scale.

    Raises ValueError where there are no runs.
    """
    if not runs:
        raise ValueError("no runs, no curve")
    from scipy.stats import ecdf  # rarely needed, and slow to import

    estimate = ecdf(_censored(runs)).sf
    with warnings.catch_warnings():
        # Where every run has reached it the formula has no bounds: they stay NaN.
        warnings.filterwarnings("ignore", "The confidence interval is undefined", RuntimeWarning)
        bounds = estimate.confidence_interval(method="log-log") if _some_reached(runs) else None
    share = np.asarray(estimate.probabilities, dtype=float)
    unknown = np.full_like(share, np.nan)
    return Curve(
        np.asarray(estimate.quantiles, dtype=float),
        share,
        unknown if bounds is None else np.asarray(bounds.low.probabilities, dtype=float),
        unknown if bounds is None else np.asarray(bounds.high.probabilities, dtype=float),
    )


def median_reach(runs: Sequence[Reach]) -> float | None:
    """The time by which half of the runs have reached it, by Kaplan-Meier; None where half never do.

    Where the curve stays at 1/2 it is the middle of that stretch, as the median of an even number of times is the
    mean of the two in the middle; None where the stretch does not end while anybody is watched.
    """
    if not runs:
        return None
    curve = kaplan_meier(runs)
    half = _first(curve.times, curve.share <= 0.5 + 1e-12)
    below = _first(curve.times, curve.share < 0.5 - 1e-12)
    return None if half is None or below is None else (half + below) / 2


def reach_interval(runs: Sequence[Reach], confidence: float = 0.95) -> Interval:
    """Two-sided interval of the median time; an end that is None is open. Its method names its coverage.

    Where nobody was given up before another reached it (one budget for all), the censored are the last in order,
    and order statistics hold exactly at any n. Else Brookmeyer and Crowley's: where the log-log bounds of the
    curve hold 1/2.
    """
    n = len(runs)
    if n < 2:
        return Interval(None, None, "none (n < 2)")
    reached = [run for run in runs if run.by is not None]
    if len(reached) == n or min(r.after for r in runs if r.by is None) >= max((r.seen for r in reached), default=0):
        tails = binomials_at_most(np.arange(n // 2 + 1), n, 0.5)
        k = max(1, int(np.searchsorted(tails, (1 - confidence) / 2, side="right")))
        coverage = 1 - 2 * binomial_at_most(k - 1, n, 0.5)
        first = sorted(run.after for run in runs)[k - 1]
        last = sorted(math.inf if run.by is None else run.by for run in runs)[n - k]
        return Interval(first, None if math.isinf(last) else last, f"order statistics {100 * coverage:.4g} %")
    curve = kaplan_meier(runs)
    low = _first(curve.times, curve.low <= 0.5)
    if low is not None:
        low = max((run.after for run in reached if run.by == low), default=low)
    high = _first(curve.times, curve.high < 0.5)
    return Interval(low, high, f"Kaplan-Meier, log-log {100 * confidence:.4g} %")


def logrank_p(one: Sequence[Reach], other: Sequence[Reach]) -> float | None:
    """The two-sided p of the log-rank test (its large-sample form); None where nobody reached it."""
    if not one or not other or not _some_reached([*one, *other]):
        return None
    from scipy.stats import logrank  # rarely needed, and slow to import

    p = float(logrank(_censored(one), _censored(other)).pvalue)
    return p if math.isfinite(p) else None


def exact_p(one: Sequence[Reach], other: Sequence[Reach], until: float = math.inf) -> float | None:
    """The two-sided p of the log-rank test among all ways to divide the runs into two groups; right at any n.

    Where there are more than MOST_ARRANGEMENTS, among as many drawn ones and the one found, so that it is never 0
    and right at any n too (Phipson and Smyth 2010). None where nobody reached it. Nobody is watched beyond `until`,
    the smaller of the groups' budgets.
    """
    if not one or not other or not _some_reached([*one, *other]):
        return None
    later, earlier = _tails(_late(one), _late(other), until)
    return min(1.0, 2 * min(later, earlier))


def times_longer(
    reference: Sequence[Reach], runs: Sequence[Reach], budgets: tuple[float, float], confidence: float = 0.95
) -> Effect:
    """How many times longer `runs` take than `reference`, with its interval; `budgets` of the two in that order.

    Every factor f is in the interval that the log-rank statistic, among all divisions of the runs, does not refuse
    when the times of `runs` are divided by f and both groups are watched equally long. That is exact for any n and
    any censoring by the budget (runs that broke off make it approximate), where the two differ by a factor alone
    (accelerated failure time); where divisions are drawn at random the method says Monte Carlo. Because a time is
    known only between two evaluations, the lower end takes it as early as it can be in `runs` and as late as it can
    be in the reference, the upper end the other way round.
    """
    value = None
    medians = median_reach(reference), median_reach(runs)
    if medians[0] and medians[1]:
        value = medians[1] / medians[0]
    tail = (1 - confidence) / 2
    how = "exact" if is_exact(len(reference), len(runs)) else f"Monte Carlo ({MOST_ARRANGEMENTS:,} divisions)"
    method = f"inverted {how} log-rank test {100 * confidence:.4g} %"
    if not reference or not runs or not _some_reached([*reference, *runs]):
        return Effect(value, None, None, "none (no run reached it)")
    if 1 / math.comb(len(reference) + len(runs), len(runs)) > tail:
        return Effect(value, None, None, f"none ({len(reference)} and {len(runs)} runs cannot show it)")
    low = _lowest_not_refused(_late(reference), _early(runs), budgets, tail)
    # The other way round the reference takes 1 / f times as long.
    high = _lowest_not_refused(_late(runs), _early(reference), budgets[::-1], tail)
    return Effect(value, low, None if high is None else 1 / high, method)


def is_exact(first: int, second: int) -> bool:
    """Whether all divisions into groups of these sizes are tried, not some drawn at random."""
    return math.comb(first + second, second) <= MOST_ARRANGEMENTS


def _lowest_not_refused(reference: _Watch, runs: _Watch, budgets: tuple[float, float], tail: float) -> float | None:
    """The least factor f at which `runs` / f are not significantly later than the reference; None: any, however
    small. Whether they are changes only where two times, or a time and a budget, change places."""
    known = [
        [t for t in (*group.times, budget) if 0 < t < math.inf]
        for group, budget in zip((reference, runs), budgets, strict=True)
    ]
    edges = sorted({late / early for early in known[0] for late in known[1]})
    for index, edge in enumerate(edges):
        inside = edge / 2 if index == 0 else math.sqrt(edges[index - 1] * edge)
        scaled = _Watch(runs.times / inside, runs.reached)
        later, _ = _tails(reference, scaled, min(budgets[0], budgets[1] / inside))
        if later > tail:
            return edges[index - 1] if index else None
    return edges[-1] if edges else None


def _tails(reference: _Watch, runs: _Watch, until: float) -> tuple[float, float]:
    """Among all divisions into groups of these sizes, the share in which the second is at least as late as `runs`
    are, and at least as early, by the log-rank statistic; nobody is watched beyond `until`."""
    times = np.concatenate([reference.times, runs.times])
    reached = np.concatenate([reference.reached, runs.reached]) & (times <= until)
    scores = _logrank_scores(np.minimum(times, until), reached)
    first = len(reference.times)
    sums = _divisions(first, len(runs.times)) @ scores
    found = float(scores[first:].sum())
    # of random divisions the one that was found is one more
    more = 0 if is_exact(first, len(runs.times)) else 1
    later, earlier = int((sums <= found + 1e-9).sum()), int((sums >= found - 1e-9).sum())
    return (later + more) / (len(sums) + more), (earlier + more) / (len(sums) + more)


def _logrank_scores(times: Floats, reached: NDArray[np.bool_]) -> Floats:
    """1 - (Nelson-Aalen hazard so far) for those who reached it, minus the hazard for the others: early is high."""
    hazard = np.zeros(len(times))
    for time in np.unique(times[reached]):
        at_risk = times >= time
        hazard[at_risk] += (reached & (times == time)).sum() / at_risk.sum()
    return reached - hazard


@cache
def _divisions(first: int, second: int) -> Floats:
    """[divisions, first + second]: 1 for members of the second group; all there are, or many from a fixed seed."""
    n = first + second
    if is_exact(first, second):
        chosen = np.array(list(itertools.combinations(range(n), second)))
    else:
        draws = np.random.default_rng(0).random((MOST_ARRANGEMENTS, n))
        chosen = draws.argsort(axis=1)[:, :second]
    member = np.zeros((len(chosen), n))
    np.put_along_axis(member, chosen, 1.0, axis=1)
    return member


def _censored(runs: Sequence[Reach]) -> CensoredData:
    from scipy.stats import CensoredData  # rarely needed, and slow to import

    return CensoredData.right_censored([r.seen for r in runs], [r.by is None for r in runs])


def _late(runs: Sequence[Reach]) -> _Watch:
    """Those that reached it as late as they can have."""
    return _Watch(np.array([r.seen for r in runs], dtype=float), _which_reached(runs))


def _early(runs: Sequence[Reach]) -> _Watch:
    """Those that reached it as early as they can have."""
    return _Watch(np.array([r.after for r in runs], dtype=float), _which_reached(runs))


def _which_reached(runs: Sequence[Reach]) -> NDArray[np.bool_]:
    return np.array([run.by is not None for run in runs], dtype=bool)


def _some_reached(runs: Sequence[Reach]) -> bool:
    return any(run.by is not None for run in runs)


def _first(times: Floats, where: NDArray[np.bool_]) -> float | None:
    places = np.flatnonzero(where)
    return float(times[places[0]]) if len(places) else None
