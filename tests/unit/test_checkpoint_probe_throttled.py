"""A disk that is throttled to a rate drawn at run time is read to a tenth, in both directions."""

from __future__ import annotations

import os
import random
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from checkpoint_runs import alone, by_metric, counted

CONTROLLER = Path("/sys/fs/cgroup/blkio")
LIMITS = ("blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device")


@contextmanager
def throttled(folder: Path, rate: int) -> Iterator[None]:
    """This process moves at most `rate` bytes per second to and from the disk below `folder`."""
    number = folder.stat().st_dev
    disk = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    disk = disk.parent if (disk / "partition").exists() else disk
    try:
        device = (disk / "dev").read_text().strip()
        group = Path(tempfile.mkdtemp(prefix="checkpoint-trial-", dir=CONTROLLER))
    except OSError as problem:
        pytest.skip(f"disks cannot be throttled here, which takes root and cgroup v1's blkio: {problem}")
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    before = next(line.split(":", 2)[2] for line in lines if "blkio" in line.split(":")[1].split(","))
    try:
        for limit in LIMITS:
            (group / limit).write_text(f"{device} {rate}")
        (group / "cgroup.procs").write_text(str(os.getpid()))
        yield
    finally:
        (CONTROLLER / before.lstrip("/") / "cgroup.procs").write_text(str(os.getpid()))
        group.rmdir()


@pytest.mark.timeout(120)
def test_a_throttled_disk_is_read_to_a_tenth(tmp_path: Path) -> None:
    """The kernel throttles in slices of 0.1 s: an iteration takes about 2 s."""
    rate = random.randrange(30_000_000, 40_000_000)
    with throttled(counted(tmp_path), rate):
        found = by_metric(alone(tmp_path, parameters=5_000_000, iterations=3))
    rates = {way: statistics.median(found[f"{way}_bandwidth"].samples) * 1e9 for way in ("write", "read")}
    assert rates == pytest.approx({"write": rate, "read": rate}, rel=0.1)
