"""Where the bytes of the samples came from, by what the kernel fetched while each was read.

- storage: nearly all of them were fetched from below the page cache. What was fetched for one sample counts for no
  other: read-ahead that answers later reads makes them reads of the page cache.
- page_cache: they were not, at least in part: what was timed is no reading from storage.
- memory_file_system: the files lie in memory.
- unknown: nothing here counts what this file system fetches.

Each has metrics of its own (config/metrics/dataload.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from seatrial.config.metrics.origin import ENOUGH, LEAST_FIRST, Origin
from seatrial.measure.storage.backing import Backing, is_network

if TYPE_CHECKING:
    from seatrial.measure.dataload.loader import Batch


class Fetched(NamedTuple):
    """Bytes that the kernel fetched of samples of `stored` bytes, at most its own bytes for each."""

    fetched: int
    stored: int


def fetched_for(batches: Sequence[Batch]) -> Fetched | None:
    """What was fetched of the samples of all batches; None where the kernel does not count."""
    fetched = [batch.fetched for batch in batches if batch.fetched is not None]
    if not batches or len(fetched) < len(batches):
        return None
    return Fetched(sum(fetched), sum(batch.stored for batch in batches))


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
    return min(of_ranks, key=LEAST_FIRST.index)
