"""Intervals of ratios of sums over steps that depend on their neighbours: blocks of steps drawn with replacement.

The numerator and the denominator of a share come from the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from seatrial.analysis.findings.observed import Estimate
from seatrial.analysis.statistics import median_interval, share_interval
from seatrial.analysis.statistics.distributions import normal_above, t_quantile
from seatrial.analysis.statistics.series import (
    BLOCK_TIMES,
    FEWEST_BLOCKS,
    autocorrelation,
    integrated_autocorrelation_time,
)

Array = NDArray[np.float64]
RESAMPLES = 1000
SEED = 0
MOST_BLOCKS = 200
"""Longer blocks do no harm; more of them cost time."""
FEWEST_LONG_BLOCKS = 5
"""Blocks are made no longer than leaves so many: fewer say nothing of the spread."""
RUNS_OF_LOG_T = 3
"""From so many runs on their own spread serves where there are fewer than FEWEST_BLOCKS blocks."""
FEWEST_RUNS = 5
"""From so many runs on the interval is of the runs, by order statistics; below it of their steps."""


@dataclass(frozen=True)
class Apart:
    """A quantity that is not of steps: its sum in each run, and [RESAMPLES] drawn sums of all (None: not known)."""

    of_runs: Array
    drawn: Array | None


@dataclass(frozen=True)
class Quantities:
    """Named quantities of every step of some runs, and such as are not of steps. All runs have the same names."""

    runs: Sequence[Mapping[str, Array]]
    apart: Mapping[str, Apart] = field(default_factory=dict)
    pieces: bool = False
    """Whether `runs` are pieces of runs: no spread of runs is taken from them."""

    @property
    def steps(self) -> int:
        return sum(len(next(iter(run.values()))) for run in self.runs)

    def share(self, part: str, whole: Sequence[str], cut: bool = True) -> Estimate:
        """The sum of `part` over that of all in `whole`; with `cut` it is a share, which no interval exceeds.

        A block lasts three autocorrelation times of what makes the ratio vary: part - ratio x whole of every step.
        """
        parts, wholes = self._of_runs([part]), self._of_runs(whole)
        value, ratios = float(parts.sum() / wholes.sum()), [float(r) for r in parts / wholes]
        pairs = [(self._of_steps(run, [part]), self._of_steps(run, whole)) for run in self.runs]
        length = max(_block(of_part - value * of_whole) for of_part, of_whole in pairs)
        blocks = sum(len(of_part) // length for of_part, _ in pairs)
        enough = len(ratios) >= FEWEST_RUNS or (len(ratios) >= RUNS_OF_LOG_T and blocks < FEWEST_BLOCKS)
        of_runs = enough and not self.pieces
        found = share_interval(ratios) if cut else median_interval(ratios)
        if of_runs and found.low is not None and found.high is not None:
            if len(ratios) >= FEWEST_RUNS:
                value = float(np.median(ratios))
            # log-t is of the runs' median: the figure of all steps together lies near it, not always within
            return Estimate(value, min(found.low, value), max(found.high, value), found.method, len(ratios))
        known = all(self.apart[name].drawn is not None for name in (part, *whole) if name in self.apart)
        if blocks < FEWEST_LONG_BLOCKS or not known:
            return Estimate(value, method=f"none ({self.steps} steps are too few)", n=self.steps)
        low, high = self._ends(pairs, part, whole, length)
        rough = f", {blocks} long blocks" if blocks < FEWEST_BLOCKS else ""
        words = f"block bootstrap of {self.steps} steps 95 %{rough}"
        return Estimate(value, min(low, value), max(high, value), words, self.steps)

    def _ends(
        self, pairs: Sequence[tuple[Array, Array]], part: str, whole: Sequence[str], length: int
    ) -> tuple[float, float]:
        """The percentiles of the resampled ratio, further out as a t with blocks - 1 degrees of freedom is."""
        draw = np.random.default_rng(SEED)
        drawn = np.sum([_drawn_sums(np.column_stack(pair), length, draw) for pair in pairs], axis=0)
        of_part, of_whole = drawn[:, 0], drawn[:, 1]
        of_part = of_part + self._drawn([part])
        of_whole = of_whole + self._drawn(whole)
        blocks = sum(len(pair[0]) // length for pair in pairs)
        # blocks that overlap in so short a series differ less than blocks of a long one would
        wide = math.sqrt(blocks / (blocks - 1) / (1 - min(0.5, len(pairs) * length / self.steps)))
        tail = normal_above(wide * t_quantile(0.975, blocks - 1))
        low, high = np.quantile(of_part / of_whole, [tail, 1 - tail])
        return float(low), float(high)

    def _of_runs(self, names: Sequence[str]) -> Array:
        of_steps = np.array([self._of_steps(run, names).sum() for run in self.runs])
        return of_steps + np.sum([self.apart[n].of_runs for n in names if n in self.apart], axis=0)

    def _of_steps(self, run: Mapping[str, Array], names: Sequence[str]) -> Array:
        nothing = np.zeros(len(next(iter(run.values()))))
        return nothing + np.sum([run[name] for name in names if name not in self.apart], axis=0)

    def _drawn(self, names: Sequence[str]) -> Array:
        known = [self.apart[name].drawn for name in names if name in self.apart]
        return np.zeros(RESAMPLES) + np.sum([drawn for drawn in known if drawn is not None], axis=0)


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


def _block(series: Array) -> int:
    time = (integrated_autocorrelation_time(series.tolist()) or 1.0) if _is_correlated(series) else 1.0
    length = max(math.ceil(BLOCK_TIMES * time), math.ceil(len(series) / MOST_BLOCKS))
    return max(1, min(length, len(series) // FEWEST_LONG_BLOCKS))


def _is_correlated(column: Array) -> bool:
    """Whether neighbours depend on each other by more than chance shows: lag 1 beyond two standard errors."""
    rho = autocorrelation(column.tolist())
    return rho is not None and abs(float(rho[1])) > 2 / math.sqrt(len(column))


def _drawn_sums(run: Array, most: int, draw: np.random.Generator) -> Array:
    """[RESAMPLES, k]: sums over blocks of at most `most` steps, drawn until they have as many steps as the run."""
    n = len(run)
    length = min(most, n)
    until = np.vstack([np.zeros(run.shape[1]), np.cumsum(run, axis=0)])
    sums = until[length:] - until[:-length]
    count = math.ceil(n / length)
    starts = draw.integers(0, n - length + 1, size=(RESAMPLES, count))
    found: Array = sums[starts].sum(axis=1) * (n / (count * length))
    return found
