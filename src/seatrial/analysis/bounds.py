"""The one-sided bounds of a median that a verdict rests on: over repeats, or over the samples of a single one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from seatrial.analysis.power import detectable
from seatrial.analysis.statistics import (
    SMALL_N,
    Bound,
    Side,
    are_equal,
    autocorrelation_time,
    autocorrelation_time_error,
    log_spread,
    median_bound,
    order_bound,
)

BATCHES = 15
"""A single repeat's samples are cut into so many batches: more of them tell little more (Schmeiser 1982 finds 10 to
30 enough), and the longer a batch, the less it depends on its neighbour."""
BATCH_TIMES = 3.0
"""Batches of fewer integrated autocorrelation times still depend on each other; 15 of 3 make 45 in all."""
ROUNDS = 30
"""Far more than that length takes to settle: every round leaves a fifth of the error."""
MOST_SAMPLES = 1_000_000
"""Above this many samples a criterion counts as one that a longer repeat will not settle."""


@dataclass(frozen=True)
class Failed:
    """Repeats that failed and count all the same: MLCommons takes one failed run of a result as its slowest."""

    repeats: int
    better: Literal["higher", "lower"]
    """Which way the metric gets better."""

    @property
    def worst(self) -> float:
        return math.inf if self.better == "lower" else -math.inf


NONE_FAILED = Failed(0, "lower")


def bound_of_repeats(values: Sequence[float], failed: Failed, side: Side, confidence: float) -> Bound:
    """One-sided bound of the median over `values` and the failed repeats, which have no figure.

    A bound that depends on the figure taken for them is none: order statistics alone may not.
    """
    if not failed.repeats:
        return _of_repeats(values, side, confidence)
    edge = max(values) if failed.better == "lower" else min(values)
    beyond = edge + math.copysign(1 + abs(edge), failed.worst)
    one, other = (order_bound([*values, *([v] * failed.repeats)], side, confidence) for v in (edge, beyond))
    return one if one.value == other.value else Bound(None, "none (it would be a failed run's)")


def bound_of_samples(samples: Sequence[float], side: Side, confidence: float) -> Bound:
    """One-sided bound of the median over the samples of a single repeat, which depend on their neighbours.

    Order statistics over the medians of BATCHES batches (which hold in 98.2 % where 95 % are asked for). None for a
    series shorter than `samples_needed`. Raises ValueError for samples that are not finite.
    """
    needed = samples_needed(samples)
    if len(samples) < needed:
        return Bound(None, f"none ({len(samples)} samples of one repeat, about {needed} are needed)")
    found = order_bound(_batch_medians(samples), side, confidence)
    return found._replace(method=f"{found.method}, over {BATCHES} batches of {len(samples) // BATCHES} samples")


def samples_needed(samples: Sequence[float]) -> int:
    """How many samples a repeat like this one needs for `bound_of_samples`; not more than it has, if those suffice.

    Batches must be BATCH_TIMES autocorrelation times long, with one standard error of that time added: series whose
    time comes out too short by chance are those that would be given a bound first. A series too short to show any
    correlation needs what independent samples would (71). By simulation (`make bench-judge`) the bound then holds.
    """
    known = autocorrelation_time(samples)
    if known is not None:
        now = math.ceil(BATCHES * BATCH_TIMES * (known.value + known.error))
        if now <= len(samples):
            return now
    time = 1.0 if known is None else known.value
    least = BATCHES * BATCH_TIMES * time
    needed = least
    for _ in range(ROUNDS):  # the standard error falls as the series grows
        needed = least * (1 + autocorrelation_time_error(time, math.ceil(needed)))
    return math.ceil(needed) if known is None else max(len(samples) + 1, math.ceil(needed))


def samples_to_settle(samples: Sequence[float], distance: float, confidence: float, power: float) -> int | None:
    """How many samples of a repeat like this one settle a bound `distance` (a log) from its median with `power`.

    The medians of batches spread as 1 / sqrt(samples). None where they are not positive, where the bound is too
    near (MOST_SAMPLES), and for a series shorter than `samples_needed`.
    """
    spread = log_spread(_batch_medians(samples)) if len(samples) >= samples_needed(samples) else None
    if spread is None or distance <= 0:
        return None
    told_apart = detectable(BATCHES, spread, confidence, power)
    if told_apart is None:
        return None
    needed = len(samples) * (told_apart / distance) ** 2
    return max(len(samples) + 1, math.ceil(needed)) if needed <= MOST_SAMPLES else None


def _batch_medians(samples: Sequence[float]) -> list[float]:
    return [float(np.median(part)) for part in np.array_split(np.asarray(samples, dtype=float), BATCHES)]


def _of_repeats(values: Sequence[float], side: Side, confidence: float) -> Bound:
    """One-sided bound of the median over repeats.

    Times to quality come in steps of one evaluation, and few of them are soon equal by chance: log-t would take
    that for certainty.
    """
    if 2 <= len(values) < SMALL_N and are_equal(values):
        return Bound(None, f"none ({len(values)} equal values show no spread; order statistics need {SMALL_N})")
    return median_bound(values, side, confidence)
