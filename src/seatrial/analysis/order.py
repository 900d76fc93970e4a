"""Medians and quantiles of many short rows at a time: rows are sorted, which processors do many times as fast as
numpy's own medians look for two places of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def row_medians(values: Floats) -> Floats:
    """[rows]: the medians of [rows, values], of an even number the mean of the two in the middle.

    NaN where a value is NaN, or there is none.
    """
    n = values.shape[1]
    if not n:
        return np.full(len(values), np.nan)
    return _middle(np.sort(values, axis=1))


def row_quantiles(values: Floats, quantiles: Sequence[float]) -> list[Floats]:
    """[rows] each: quantiles of [rows, values], at least one value; interpolated linearly (`numpy.quantile`)."""
    ordered, n = np.sort(values, axis=1), values.shape[1]
    found = []
    for quantile in quantiles:
        place = quantile * (n - 1)
        first = int(place)
        low, high, share = ordered[:, first], ordered[:, min(first + 1, n - 1)], place - first
        # as numpy does it, so that what was found before is found again to the last digit
        between = low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share)
        found.append(np.where(np.isnan(ordered[:, -1]), np.nan, between))
    return found


def group_medians(keys: NDArray[np.int64], values: Floats) -> tuple[NDArray[np.int64], Floats]:
    """[groups] each: the keys that there are, ascending, and the median of the values of each."""
    order = np.lexsort((values, keys))
    ordered = values[order]
    found, first, counts = np.unique(keys[order], return_index=True, return_counts=True)
    low, high = ordered[first + (counts - 1) // 2], ordered[first + counts // 2]
    return found, np.where(counts % 2, high, (low + high) / 2)


def midranks(values: Floats) -> Floats:
    """The ranks of one row of values from 1 on; equal ones share the mean of theirs."""
    ordered = np.sort(values)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") + 1) / 2


def _middle(ordered: Floats) -> Floats:
    n = ordered.shape[1]
    middle = ordered[:, n // 2] if n % 2 else (ordered[:, n // 2 - 1] + ordered[:, n // 2]) / 2
    return np.where(np.isnan(ordered[:, -1]), np.nan, middle)  # NaN is sorted to the end
