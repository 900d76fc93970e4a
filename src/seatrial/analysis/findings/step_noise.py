"""How unsteady the step time is within runs, each run held against its own median."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from seatrial.analysis.findings.observed import Estimate, Noise
from seatrial.analysis.findings.resampling import Array, Quantities
from seatrial.analysis.findings.shift import Shift
from seatrial.analysis.statistics.distributions import beta_quantile, binomial_quantile
from seatrial.analysis.statistics.level_shift import PERMUTATIONS, level_shift
from seatrial.analysis.statistics.series import integrated_autocorrelation_time
from seatrial.config.findings import FindingRules

FEWEST_STEPS = 20
"""Of fewer steps the 95th percentile is the greatest one."""
FEWEST_OF_TAIL = 72
"""Independent steps from which order statistics bound a 95th percentile on both sides at 95 %: 0.95^n <= 0.025.
(A one-sided upper bound at 95 % takes 59.)"""
SHIFT_P = 0.01
"""A run has changed its level below this p, over the number of runs (Bonferroni)."""


@dataclass(frozen=True)
class _Run:
    """Steps over the run's median and over its usual level, and the place where its level changed."""

    of_median: Array
    of_level: Array
    shift: Shift | None = None

    def pieces(self, left_out: int) -> list[Array]:
        return [self.of_level] if self.shift is None else np.split(self.of_level, [self.shift.step - 1 - left_out])


def step_noise(steps: Sequence[Array], hiccup: float, rules: FindingRules) -> Noise | None:
    """CoV, P95 / P50, hiccups (steps over `hiccup` medians), what slow steps cost; None for short runs.

    Every step is divided by its run's median (for what slow steps cost: by its usual level), so that runs of
    different speed are no noise within runs. `steps` are without `rules.warm_up_steps`.
    """
    left_out = rules.warm_up_steps
    places = [place for place, of_run in enumerate(steps) if len(of_run) >= FEWEST_STEPS]
    if not places:
        return None
    least_p = max(SHIFT_P / len(places), 1 / (PERMUTATIONS + 1))
    runs = [_run(steps[place], place + 1, left_out, least_p, rules.least_share.value) for place in places]
    known = [run.of_median for run in runs]
    squared = Quantities([{"squared": (x - 1) ** 2, "steps": np.ones(len(x))} for x in known])
    lost = _lost(runs, left_out)
    return Noise(
        cov=_root(squared.share("squared", ["steps"], cut=False)),
        p95_over_p50=_tail(known),
        hiccups=_hiccups(known, hiccup),
        lost=_not_below_zero(lost),
        saved=max(0.0, -lost.value),
        shifts=tuple(run.shift for run in runs if run.shift is not None),
    )


def _run(seconds: Array, number: int, left_out: int, least_p: float, least_share: float) -> _Run:
    """A change of level that costs no more than `least_share` of the run's time is none."""
    of_median = seconds / float(np.median(seconds))
    found = level_shift(seconds)
    if found is None or found.p > least_p:
        return _Run(of_median, of_median)
    n = len(seconds)
    slow = n - found.at if found.after > found.before else found.at
    if slow * abs(found.after - found.before) <= least_share * float(seconds.sum()):
        return _Run(of_median, of_median)
    shift = Shift(number, found.at + left_out + 1, n + left_out, found.before, found.after, found.p)
    return _Run(of_median, seconds / min(found.before, found.after), shift)


def _lost(runs: Sequence[_Run], left_out: int) -> Estimate:
    """Of a run that changed its level blocks are drawn on either side of the step, which is taken as known."""
    shifted = any(run.shift is not None for run in runs)
    split = shifted and len(runs) < 5
    series = [x for run in runs for x in (run.pieces(left_out) if split else [run.of_level])]
    found = Quantities([{"over": x - 1, "time": x} for x in series], pieces=split)
    return found.share("over", ["time"])


def _not_below_zero(found: Estimate) -> Estimate:
    low, high = (None if end is None else max(0.0, end) for end in (found.low, found.high))
    return replace(found, value=max(0.0, found.value), low=low, high=high)


def _root(found: Estimate) -> Estimate:
    """The spread about the median over the median: never less than the CoV but for the mean in its place."""
    low, high = (None if end is None else math.sqrt(end) for end in (found.low, found.high))
    return replace(found, value=math.sqrt(found.value), low=low, high=high)


def _independent(known: Sequence[Array]) -> float:
    """As many steps as tell about as much if they did not depend on their neighbours."""
    return sum(len(x) / (integrated_autocorrelation_time(x.tolist()) or 1.0) for x in known)


def _tail(known: Sequence[Array]) -> Estimate:
    """P95 over P50 of all steps, by order statistics of as many as are independent of each other.

    The ranks are the greatest and the least that hold with 97.5 % each (binomial; David and Nagaraja 2003, 7.1);
    of fewer than FEWEST_OF_TAIL even the greatest value is too low too often, and there is no interval.
    """
    series = np.sort(np.concatenate(known))
    n = math.floor(_independent(known) + 1e-9)
    value = float(np.quantile(series, 0.95))
    if n < FEWEST_OF_TAIL:
        return Estimate(value, method=f"none ({n} independent steps, {FEWEST_OF_TAIL} needed)", n=len(series))
    first = binomial_quantile(0.025, n, 0.95)
    last = binomial_quantile(0.975, n, 0.95) + 1
    low, high = np.quantile(series, [(first - 1) / (n - 1), (min(last, n) - 1) / (n - 1)])
    words = f"order statistics 95 %, {n} independent steps"
    return Estimate(value, min(float(low), value), max(float(high), value), words, len(series))


def _hiccups(known: Sequence[Array], hiccup: float) -> Estimate:
    """The share of hiccups, after Clopper and Pearson with the effective number of steps (Korn and Graubard 1998).

    None seen is "up to 3.7 over n" at 95 % on two sides (the rule of three is the one-sided one).
    """
    hit = [(x > hiccup).astype(np.float64) for x in known]
    steps = sum(len(x) for x in known)
    share = float(sum(x.sum() for x in hit)) / steps
    n = min(_independent(known), _independent(hit))
    count = share * n
    low = beta_quantile(0.025, count, n - count + 1) if count > 0 else 0.0
    high = beta_quantile(0.975, count + 1, n - count) if count < n else 1.0
    return Estimate(share, low, high, f"Clopper-Pearson 95 %, {n:.0f} independent steps", steps)
