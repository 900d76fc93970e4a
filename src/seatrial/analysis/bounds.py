"""The one-sided bounds of a median that a verdict rests on: over repeats, or over the samples of a single one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from seatrial.analysis.statistics import (
    SMALL_N,
    Bound,
    Side,
    integrated_autocorrelation_time,
    median_bound,
    order_bound,
)

LONG_SERIES = 20
"""From this many samples on a single repeat shows how much its samples depend on their neighbours."""


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

    A bound that depends on the figure taken for them is none.
    """
    if not failed.repeats:
        return _of_repeats(values, side, confidence)
    edge = max(values) if failed.better == "lower" else min(values)
    beyond = edge + math.copysign(1 + abs(edge), failed.worst)
    one, other = (_of_repeats([*values, *([v] * failed.repeats)], side, confidence) for v in (edge, beyond))
    return one if one.value == other.value else Bound(None, "none (it would be a failed run's)")


def bound_of_samples(samples: Sequence[float], side: Side, confidence: float) -> Bound:
    """One-sided bound of the median over the samples of a single repeat.

    What depends on its neighbours tells less: a series long enough to show it is cut into batches as long as its
    autocorrelation time, and order statistics are over the batches' medians.
    """
    values, note = list(samples), ""
    if len(values) >= LONG_SERIES and all(math.isfinite(v) for v in values):
        batch = math.ceil(integrated_autocorrelation_time(values) or 1.0)
        if batch > 1:
            values = [float(np.median(part)) for part in np.array_split(values, len(values) // batch or 1)]
            note = f", over {len(values)} batches of {batch} samples"
    found = order_bound(values, side, confidence)
    if found.value is None and len(values) >= SMALL_N:
        found = median_bound(values, side, confidence)  # the confidence is one corrected for many groups
    return found._replace(method=found.method + note)


def _of_repeats(values: Sequence[float], side: Side, confidence: float) -> Bound:
    """One-sided bound of the median over repeats.

    Times to quality come in steps of one evaluation, and few of them are soon equal by chance: log-t would take
    that for certainty.
    """
    if 2 <= len(values) < SMALL_N and min(values) == max(values):
        return Bound(None, f"none ({len(values)} equal values show no spread; order statistics need {SMALL_N})")
    return median_bound(values, side, confidence)
