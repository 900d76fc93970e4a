"""Sets of half-open intervals as sorted, disjoint rows of an array: their union, difference and overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Intervals = NDArray[np.float64]
"""[n, 2]: begin and end, sorted, disjoint."""
NONE: Intervals = np.empty((0, 2))


def union(spans: Intervals) -> Intervals:
    """The spans put together; those without a length are left out."""
    kept = spans[spans[:, 1] > spans[:, 0]]
    if not len(kept):
        return NONE
    ordered = kept[np.argsort(kept[:, 0], kind="stable")]
    reached = np.maximum.accumulate(ordered[:, 1])
    first = np.concatenate(([True], ordered[1:, 0] > reached[:-1]))
    last = np.concatenate((first[1:], [True]))
    return np.column_stack((ordered[first, 0], reached[last]))


def without(spans: Intervals, taken: Intervals) -> Intervals:
    """`spans` less `taken`; both disjoint."""
    if not len(spans) or not len(taken):
        return spans
    low, high = min(spans[0, 0], taken[0, 0]) - 1, max(spans[-1, 1], taken[-1, 1]) + 1
    free = np.column_stack((np.concatenate(([low], taken[:, 1])), np.concatenate((taken[:, 0], [high]))))
    return overlap(spans, free)


def overlap(one: Intervals, other: Intervals) -> Intervals:
    """What lies in both; both disjoint."""
    if not len(one) or not len(other):
        return NONE
    first = np.searchsorted(other[:, 1], one[:, 0], side="right")
    last = np.searchsorted(other[:, 0], one[:, 1], side="left")
    counts = np.maximum(last - first, 0)
    rows = np.repeat(np.arange(len(one)), counts)
    columns = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
    begins = np.maximum(one[rows, 0], other[columns, 0])
    ends = np.minimum(one[rows, 1], other[columns, 1])
    return union(np.column_stack((begins, ends)))


def within(spans: Intervals, begin: float, end: float) -> float:
    """How much of [begin, end) the disjoint spans cover."""
    return float(np.clip(np.minimum(spans[:, 1], end) - np.maximum(spans[:, 0], begin), 0, None).sum())
