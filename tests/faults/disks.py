"""Slow disks: the blkio controller limits what the processes of some nodes move to and from a block device.

Limited are direct reads and writes, reads past the page cache, and what fsync sends. What the kernel writes back by
itself (of pages that stayed dirty for 30 s, or above vm.dirty_background_ratio) is not: keep what is written small.
Limits hold in slices of 0.1 s: what is timed should take a second or more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from faults import groups
from faults.cluster import Cluster

CONTROLLER = "blkio"
LIMITS = ("blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device")


def why_not(folder: Path) -> str | None:
    """Why the disk below `folder` cannot be throttled on this machine, or None."""
    why = groups.why_not(CONTROLLER)
    if why is None:
        try:
            _device(folder)
        except ValueError as problem:
            why = str(problem)
    return None if why is None else f"disks cannot be throttled: {why}"


@contextmanager
def throttled_disk(
    cluster: Cluster, nodes: Sequence[str], bytes_per_second: int, folder: Path, reads: bool = True
) -> Iterator[None]:
    """All `nodes` together read at most so many bytes per second from the disk below `folder`, and write as many.

    Without `reads` only writing is slow: programs that are no longer in the page cache start as fast as ever.
    With all nodes of the cluster this is a shared file system of that rate; with one, its own slow disk.
    """
    rate = f"{_device(folder)} {bytes_per_second}"
    with groups.limited(cluster, nodes, CONTROLLER, dict.fromkeys(LIMITS if reads else LIMITS[1:], rate)):
        yield


def _device(folder: Path) -> str:
    """major:minor of the whole disk below `folder`. Raises ValueError where that is no block device."""
    number = folder.stat().st_dev
    entry = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if not entry.exists():
        raise ValueError(f"{folder} does not lie on a block device")
    disk = entry.resolve()
    if (disk / "partition").exists():  # limits are the whole disk's
        disk = disk.parent
    return (disk / "dev").read_text().strip()
