"""Intervals of ratios of sums over steps that depend on their neighbours: blocks of steps drawn with replacement.

The numerator and the denominator of a share come from the same steps, and so do all shares of a run: one drawing of
blocks gives the intervals of all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from seatrial.analysis.findings.observed import Estimate
from seatrial.analysis.statistics import median_interval, share_interval
from seatrial.analysis.statistics.series import (
    BLOCK_TIMES,
    FEWEST_BLOCKS,
    autocorrelation,
    integrated_autocorrelation_time,
)

Array = NDArray[np.float64]
RESAMPLES = 1000
MOST_BLOCKS = 200
"""Longer blocks do no harm; more of them cost time."""
FEWEST_OF_ONE_RUN = 5
"""Blocks; with fewer there is no interval. Of several runs FEWEST_BLOCKS, because their own spread serves else."""
FEWEST_RUNS = 5
"""From so many runs on the interval is of the runs, by order statistics; below it of their steps."""


@dataclass(frozen=True)
class Resampled:
    """Sums of named quantities: of each run [runs], and of resampled sets of all runs [RESAMPLES] (empty: too few).

    `wide`: how many standard deviations out the interval's ends are taken, as the spread is known from few blocks.
    """

    of_runs: Mapping[str, Array]
    drawn: Mapping[str, Array]
    wide: float
    steps: int

    def share(self, part: str, whole: Sequence[str], cut: bool = True) -> Estimate:
        """The sum of `part` over that of all in `whole`; with `cut` it is a share, which no interval exceeds."""
        parts, wholes = self.of_runs[part], np.sum([self.of_runs[name] for name in whole], axis=0)
        value, ratios = float(parts.sum() / wholes.sum()), [float(r) for r in parts / wholes]
        drawn = all(name in self.drawn for name in (part, *whole))
        if drawn and len(ratios) < FEWEST_RUNS:
            of_drawn = self.drawn[part] / np.sum([self.drawn[name] for name in whole], axis=0)
            tail = float(stats.norm.sf(self.wide))
            low, high = (float(end) for end in np.quantile(of_drawn, [tail, 1 - tail]))
            words = f"block bootstrap of {self.steps} steps 95 %"
            return Estimate(value, min(low, value), max(high, value), words, self.steps)
        found = share_interval(ratios) if cut else median_interval(ratios)
        if found.low is None or found.high is None:
            return Estimate(value, method=f"none ({self.steps} steps are too few)", n=self.steps)
        if len(ratios) >= FEWEST_RUNS:
            value = float(np.median(ratios))
        # log-t is of the runs' median: the figure of all steps together lies near it, not always within
        return Estimate(value, min(found.low, value), max(found.high, value), found.method, len(ratios))

    def with_quantity(self, name: str, of_runs: Array, drawn: Array | None) -> Resampled:
        """One more quantity, which is not of steps: its sum in each run, and drawn ones."""
        more = dict(self.drawn) if drawn is None or not self.drawn else {**self.drawn, name: drawn}
        return Resampled({**self.of_runs, name: of_runs}, more, self.wide, self.steps)


def resample(runs: Sequence[Mapping[str, Array]], seed: int = 0) -> Resampled:
    """Draw blocks of steps of every run, each of which has [steps] of the same quantities, as many as it has.

    A block lasts three autocorrelation times of the quantity that needs most. The same seed gives the same.
    """
    names = list(runs[0])
    tables = [np.column_stack([run[name] for name in names]).astype(float) for run in runs]
    length = max(_block(table) for table in tables)
    steps = sum(len(table) for table in tables)
    of_runs = np.array([table.sum(axis=0) for table in tables])
    by_name = {name: of_runs[:, index] for index, name in enumerate(names)}
    blocks = sum(len(table) // length for table in tables)
    if blocks < (FEWEST_BLOCKS if len(tables) > 1 else FEWEST_OF_ONE_RUN):
        return Resampled(by_name, {}, 0.0, steps)
    draw = np.random.default_rng(seed)
    drawn = np.sum([_drawn_sums(table, min(length, len(table)), draw) for table in tables], axis=0)
    # blocks that overlap in so short a series differ less than blocks of a long one would
    wide = math.sqrt(blocks / (blocks - 1) / (1 - min(0.5, len(tables) * length / steps)))
    wide *= float(stats.t.ppf(0.975, blocks - 1))
    return Resampled(by_name, {name: drawn[:, index] for index, name in enumerate(names)}, wide, steps)


def drawn_sums(values: Sequence[float], seed: int = 1) -> Array | None:
    """[RESAMPLES] sums of as many values as there are, which do not depend on each other; None for one.

    Their mean is drawn from Student's t, because of two or three values a bootstrap knows too few sums.
    """
    n = len(values)
    if n < 2:
        return None if n else np.zeros(RESAMPLES)
    found, draw = np.asarray(values, dtype=float), np.random.default_rng(seed)
    away = draw.standard_t(n - 1, RESAMPLES) * math.sqrt(n) * float(np.std(found, ddof=1))
    return np.maximum(0.0, float(found.sum()) + away)


def _block(run: Array) -> int:
    times = [integrated_autocorrelation_time(column.tolist()) or 1.0 for column in run.T if _is_correlated(column)]
    return max(math.ceil(BLOCK_TIMES * max(times, default=1.0)), math.ceil(len(run) / MOST_BLOCKS), 1)


def _is_correlated(column: Array) -> bool:
    """Whether neighbours depend on each other by more than chance shows: lag 1 beyond two standard errors."""
    rho = autocorrelation(column.tolist())
    return rho is not None and abs(float(rho[1])) > 2 / math.sqrt(len(column))


def _drawn_sums(run: Array, length: int, draw: np.random.Generator) -> Array:
    """[RESAMPLES, k]: sums over blocks drawn until they have as many steps as the run."""
    n = len(run)
    until = np.vstack([np.zeros(run.shape[1]), np.cumsum(run, axis=0)])
    sums = until[length:] - until[:-length]
    count = math.ceil(n / length)
    starts = draw.integers(0, n - length + 1, size=(RESAMPLES, count))
    found: Array = sums[starts].sum(axis=1) * (n / (count * length))
    return found
