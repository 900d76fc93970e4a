"""Slow disks: the blkio controller of cgroup v1 limits what the processes of some nodes move to and from a device.

Limited are direct reads and writes, reads past the page cache, and what fsync sends. What the kernel writes back by
itself (of pages that stayed dirty for 30 s, or above vm.dirty_background_ratio) is not: keep messages small.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from faults.cluster import Cluster

CONTROLLER = Path("/sys/fs/cgroup/blkio")
LIMITS = ("blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device")


def why_not(folder: Path) -> str | None:
    """Why the disk below `folder` cannot be throttled on this machine, or None."""
    if not (CONTROLLER / "cgroup.procs").exists():
        return f"disks cannot be throttled: cgroup v1's blkio controller is not mounted at {CONTROLLER}"
    try:
        _device(folder)
        Path(tempfile.mkdtemp(prefix="trial", dir=CONTROLLER)).rmdir()
    except (OSError, ValueError) as problem:
        return f"disks cannot be throttled: {problem}"
    return None


@contextmanager
def throttled_disk(cluster: Cluster, nodes: Sequence[str], bytes_per_second: int, folder: Path) -> Iterator[None]:
    """All `nodes` together read at most so many bytes per second from the disk below `folder`, and write as many.

    With all nodes of the cluster this is a shared file system of that rate; with one, its own slow disk.
    """
    device = _device(folder)
    before = {node: _group(cluster.processes(node)[0]) for node in nodes}
    group = Path(tempfile.mkdtemp(prefix=f"{cluster.base.name}-fault", dir=CONTROLLER))
    try:
        for limit in LIMITS:
            (group / limit).write_text(f"{device} {bytes_per_second}")
        for node in nodes:
            _move(cluster, node, group)
        yield
    finally:
        for node in nodes:
            _move(cluster, node, before[node])
        for pid in (group / "cgroup.procs").read_text().split():  # a job's process that its parent left behind
            _put(int(pid), CONTROLLER)
        group.rmdir()


def _device(folder: Path) -> str:
    """major:minor of the whole disk below `folder`. Raises ValueError where that is no block device."""
    number = folder.stat().st_dev
    entry = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if not entry.exists():
        total, _, _ = shutil.disk_usage(folder)
        raise ValueError(f"{folder} ({total / 1e9:.0f} GB) does not lie on a block device of its own")
    disk = entry.resolve()
    if (disk / "partition").exists():  # limits are the whole disk's
        disk = disk.parent
    return (disk / "dev").read_text().strip()


def _group(process: psutil.Process) -> Path:
    """The blkio group that a process is in."""
    for line in Path(f"/proc/{process.pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "blkio" in controllers.split(","):
            return CONTROLLER / path.lstrip("/")
    raise ValueError(f"process {process.pid} is in no blkio group")


def _move(cluster: Cluster, node: str, group: Path) -> None:
    """Put all processes of a node into `group`; again until none was started meanwhile in another one."""
    for _ in range(100):
        outside = [process for process in cluster.processes(node) if _outside(process, group)]
        if not outside:
            return
        for process in outside:
            _put(process.pid, group)
    raise RuntimeError(f"the processes of {node} could not be put into {group}")


def _outside(process: psutil.Process, group: Path) -> bool:
    try:
        return _group(process) != group
    except FileNotFoundError:  # it ended meanwhile
        return False


def _put(pid: int, group: Path) -> None:
    try:
        (group / "cgroup.procs").write_text(str(pid))
    except ProcessLookupError:
        return  # it ended meanwhile
