"""Which of many stand out: robust z, and the false discovery rate where many are asked at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

MAD_TO_SIGMA = 1.4826
"""1 / the 75 % point of the standard normal distribution: MAD times this estimates a normal standard deviation."""
MEAN_DEVIATION_TO_SIGMA = math.sqrt(math.pi / 2)
"""The same for the mean absolute deviation (Iglewicz and Hoaglin 1993)."""


def robust_z(values: Sequence[float]) -> list[float]:
    """How many robust standard deviations each value lies from the median: (x - median) / (1.4826 MAD).

    Where MAD = 0, more than half of the values being equal, the mean absolute deviation stands in for it (Iglewicz
    and Hoaglin 1993): z then says how few differ, not how far, so a caller asks for a least difference besides.
    Where all are equal every z is 0. Of fewer than 5 values MAD is itself so uncertain that healthy ones exceed 3.5
    often (docs/statistics.md has how often). Raises ValueError for values that are not finite.
    """
    found = np.asarray(values, dtype=float)
    if not np.isfinite(found).all():
        raise ValueError("a value is not finite; what was not measured does not stand out")
    if not len(found):
        return []
    away = found - np.median(found)
    scale = MAD_TO_SIGMA * float(np.median(np.abs(away)))
    if scale == 0:
        scale = MEAN_DEVIATION_TO_SIGMA * float(np.mean(np.abs(away)))
    return [float(z) for z in (away / scale if scale > 0 else away)]


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p, in the order given: of those that are at most q, on average at most a share q is false.

    Holds for independent tests and positively dependent ones (Benjamini and Hochberg 1995, Benjamini and Yekutieli
    2001). Raises ValueError for a p outside 0 to 1, also for NaN.
    """
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError("a p lies outside 0 to 1")
    found, n = np.array(p_values, dtype=float), len(p_values)
    order = np.argsort(found)
    adjusted = found[order] * (n / np.arange(1.0, n + 1))
    found[order] = np.minimum.accumulate(adjusted[::-1])[::-1]  # none is above that of a greater p
    return [float(q) for q in np.minimum(found, 1.0)]
