"""How often intervals hold: those over the samples of one repeat, which a verdict may rest on, and the tables'."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from judge_share import SEED, STUDIES, at_least, at_most
from judge_spread import runs
from measure import Result
from scipy import signal, stats

from seatrial.analysis.bounds import bound_of_samples
from seatrial.analysis.ratio import interpolated_estimate
from seatrial.analysis.statistics import (
    Interval,
    block_bootstrap_interval,
    compare_paired,
    compare_unpaired,
    median_interval,
)
from seatrial.analysis.survival import Reach, reach_interval
from seatrial.reference.interpolation import COVERAGE, FLOOR, leave_one_out
from seatrial.reference.published import as_results, load_published
from seatrial.reference.selection import comparable

CORRELATIONS = (0.0, 0.3, 0.6, 0.8)
SAMPLES = (10, 50, 100, 200, 400, 1000)
ENOUGH = 0.05
"""A bound that fewer than this share of series are given has no line of its own: that of wrong ones holds it."""
MOST_DRAWN = 20
"""Times STUDIES: so many series are drawn until STUDIES of them are given a bound."""
BURN_IN = 200


def results() -> list[Result]:
    """All lines on intervals."""
    draw = np.random.default_rng(SEED + 1)
    found = [line for rho in CORRELATIONS for n in SAMPLES for line in _of_one_repeat(rho, n, draw)]
    found += [_slow_drift(n, draw) for n in (200, 1000)]
    found += _interpolated()
    found += [_of_the_tables(n, draw) for n in (3, 5, 10)]
    found += [_series(draw), _reached(draw), _paired(draw), _unpaired(draw)]
    return found


def _correlated(rho: float, n: int, draw: np.random.Generator) -> np.ndarray:
    """[studies, n]: normal series with a correlation of `rho` between neighbours, about 0, with variance 1."""
    noise = draw.standard_normal((STUDIES, n + BURN_IN))
    return np.asarray(signal.lfilter([math.sqrt(1 - rho * rho)], [1.0, -rho], noise, axis=1)[:, BURN_IN:])


def _of_one_repeat(rho: float, n: int, draw: np.random.Generator) -> list[Result]:
    """The bound over one repeat's samples that a pass rests on, where neighbours have this correlation.

    A bound above the truth is a wrong pass or fail. A series that is given none is inconclusive.
    """
    given: list[bool] = []
    drawn = 0
    while len(given) < STUDIES and drawn < MOST_DRAWN * STUDIES:
        found = _holding(_correlated(rho, n, draw))
        given += [one for one in found if one is not None]
        drawn += len(found)
        if not given:
            break
    wrong = np.zeros(drawn, dtype=bool)
    wrong[: given.count(False)] = True
    where = f"over the {n} samples of one repeat, correlation {rho:g}"
    share = len(given) / drawn
    note = f"{100 * share:.1f} % of series have a bound"
    lines = [at_most(f"wrong lower bound {where}", draw.permutation(wrong), 5.0, note)]
    if share >= ENOUGH:
        lines.append(at_least(f"lower bound {where}", np.array(given), 94.0, "of those given; nominal 95 %"))
    return lines


def _slow_drift(n: int, draw: np.random.Generator) -> Result:
    """Where a tenth of the variance drifts slowly below independent noise, which a short series does not show."""
    slow = math.sqrt(0.1) * _correlated(0.98, n, draw)
    found = _holding(slow + math.sqrt(0.9) * draw.standard_normal(slow.shape))
    given = [one for one in found if one is not None]
    name = f"lower bound over {n} samples of one repeat, a tenth of the variance drifts (0.98)"
    return at_least(
        name, np.array(given), None, f"beyond what it assumes; {100 * len(given) / len(found):.0f} % given"
    )


def _holding(series: np.ndarray) -> list[bool | None]:
    """Whether the lower bound over each series lies below the truth, 0; None where there is no bound."""
    found = [bound_of_samples(one.tolist(), "lower", 0.95).value for one in series]
    return [None if value is None else value <= 0 for value in found]


def _interpolated() -> list[Result]:
    """Published medians left out, beside the bounds of their interpolation by the others of their benchmark."""
    pools: dict[str, list[float]] = {}
    for p in leave_one_out(comparable(as_results(load_published()))):
        pools.setdefault(p.benchmark, []).append(p.log_error)
    low, high = [], []
    for errors in pools.values():
        for i, error in enumerate(errors):
            others = sorted(abs(e) for j, e in enumerate(errors) if j != i)
            rank = math.ceil(COVERAGE * (len(others) + 1) - 1e-9)
            if rank > len(others):
                continue
            factor = max(FLOOR, math.exp(others[rank - 1]))
            known = interpolated_estimate(1.0, factor, COVERAGE, len(others))
            assert known.error is not None
            half = float(stats.t.ppf(0.95, known.degrees_of_freedom)) * known.error
            low.append(error >= -half)
            high.append(error <= half)
    words = "real left-out medians, not simulated; nominal 95 %"
    return [
        at_least(f"{side} bound of an interpolated reference", np.array(hits), 94.0, words)
        for side, hits in (("lower", low), ("upper", high))
    ]


def _of_the_tables(n: int, draw: np.random.Generator) -> Result:
    found = [median_interval(np.exp(logs).tolist()) for logs in runs("skewed", STUDIES, n, draw)]
    return _coverage(f"interval of a median in the tables, runs skewed, n = {n}", found, 1.0)


def _series(draw: np.random.Generator) -> Result:
    found = [block_bootstrap_interval(series.tolist()) for series in _correlated(0.6, 400, draw)]
    return _coverage("moving-block bootstrap of 400 correlated steps (0.6)", found, 0.0)


def _reached(draw: np.random.Generator) -> Result:
    """Kaplan-Meier where runs were given up at different times."""
    found = []
    for logs, ends in zip(runs("skewed", STUDIES, 10, draw), draw.uniform(0.9, 1.3, (STUDIES, 10)), strict=True):
        watched = [Reach(t, t) if t <= e else Reach(e, None) for t, e in zip(np.exp(logs), ends, strict=True)]
        found.append(reach_interval(watched))
    return _coverage("median time by Kaplan-Meier, runs given up at random, n = 10", found, 1.0)


def _paired(draw: np.random.Generator) -> Result:
    return _compared("paired", lambda a, b: compare_paired(a, b), draw)


def _unpaired(draw: np.random.Generator) -> Result:
    return _compared("unpaired", lambda a, b: compare_unpaired(a, b), draw)


def _compared(
    name: str, compare: Callable[[Sequence[float], Sequence[float]], object], draw: np.random.Generator
) -> Result:
    """Two sets of ten runs with the same spread and median: how often their ratio's interval holds 1."""
    both = runs("skewed", STUDIES, 20, draw)
    found = []
    for logs in both:
        test = compare(np.exp(logs[:10]).tolist(), np.exp(logs[10:]).tolist())
        found.append(Interval(test.low, test.high, test.method))  # type: ignore[attr-defined]
    return _coverage(f"ratio of two sets of 10 runs, {name}", found, 1.0)


def _coverage(name: str, found: Sequence[Interval], truth: float) -> Result:
    """How often an interval holds the truth, of those that there are; an end that is open holds."""
    there = [i for i in found if not (i.low is None and i.high is None and i.method.startswith("none"))]
    hits = [
        (i.low is None or i.low <= truth + 1e-12) and (i.high is None or i.high >= truth - 1e-12) for i in there
    ]
    return at_least(name, np.array(hits), None, there[0].method.partition(",")[0])
