"""Where the bytes of the samples came from, by what each process that read them made the kernel fetch.

- storage: nearly all of them were fetched from below the page cache.
- page_cache: they were not, at least in part: what was timed is no reading from storage.
- memory_file_system: the files lie in memory.
- unknown: nothing here counts what this file system fetches.

Each has metrics of its own (config/metrics/dataload.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from seatrial.config.metrics.dataload import Origin
from seatrial.measure.storage.backing import Backing, is_network

if TYPE_CHECKING:
    from seatrial.measure.dataload.loader import Batch

ENOUGH = 0.9
"""Share of the bytes that must have been fetched."""


class Fetched(NamedTuple):
    """Bytes that the kernel fetched for the samples of `stored` bytes."""

    fetched: float
    stored: int


def fetched_for(batches: Sequence[Batch]) -> Fetched | None:
    """What the processes fetched for all but the first batch of each: before it there is no count of theirs.

    None where the kernel does not count, or no process made a second batch.
    """
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    stored = 0
    for batch in batches:
        if batch.fetched is None:
            return None
        if batch.process in first:
            stored += batch.stored
        first.setdefault(batch.process, batch.fetched)
        last[batch.process] = batch.fetched
    if not stored:
        return None
    return Fetched(sum(last[process] - first[process] for process in first), stored)


def reached(backing: Backing, found: Fetched | None) -> Origin:
    """What the counts say of files on `backing`."""
    if backing.kind == "memory":
        return "memory_file_system"
    if found is None:
        return "unknown"
    if found.fetched >= ENOUGH * found.stored:
        return "storage"
    # the count of a process knows block devices; not every file system of a network takes part in it
    return "unknown" if backing.kind == "unknown" or is_network(backing.file_system) else "page_cache"


def least(of_ranks: Sequence[Origin]) -> Origin:
    """The least that any rank gives reason for."""
    order: tuple[Origin, ...] = ("memory_file_system", "unknown", "page_cache", "storage")
    return min(of_ranks, key=order.index)
