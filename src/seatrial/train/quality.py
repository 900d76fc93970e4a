"""Where a training meets its quality target, between two evaluations."""

from __future__ import annotations

import math
from typing import Literal

Direction = Literal["higher", "lower"]


def meets(value: float, target: float, direction: Direction) -> bool:
    """Whether an evaluation meets the target; meeting it exactly counts."""
    return value <= target if direction == "lower" else value >= target


def crossing_fraction(before: float, after: float, target: float, direction: Direction = "lower") -> float:
    """How far between two evaluations the target is crossed, in (0, 1].

    Log-linear: the logarithm of the quality is taken to change evenly with training
    between the evaluations, `(ln before - ln target) / (ln before - ln after)`; evenly in the value itself
    where one of them is not positive. Raises ValueError unless `before` misses the target and `after` meets it.
    """
    if meets(before, target, direction) or not meets(after, target, direction):
        raise ValueError(f"{before} to {after} does not cross {target} ({direction} is better)")
    if min(before, after, target) > 0:
        # log1p keeps full precision where the three are close to each other.
        fraction = math.log1p((target - before) / before) / math.log1p((after - before) / before)
    else:
        fraction = (before - target) / (before - after)
    # Rounding may leave the open end at 0 or step over 1; neither is a place between the two.
    return min(1.0, max(fraction, math.ulp(1.0)))


def between(before: float, after: float, fraction: float) -> float:
    """The value `fraction` of the way from `before` to `after`."""
    return before + (after - before) * fraction
