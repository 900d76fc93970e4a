"""How large arrays must be so that no cache holds them from one pass to the next."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from seatrial.config.target import Target
from seatrial.measure.context import RankContext
from seatrial.units import MIB, format_bytes

if TYPE_CHECKING:
    import torch

TIMES_CACHE = 4
"""An array has at least this many times the last-level caches' size (STREAM's rule: McCalpin, stream.c)."""
CPUS = Path("/sys/devices/system/cpu")
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


class Caches(NamedTuple):
    """Bytes of all last-level caches that what is measured may use, and where that was read; None: nobody says."""

    size: int | None
    words: str

    @property
    def least_array(self) -> int | None:
        """Bytes from which on an array is read from memory."""
        return None if self.size is None else TIMES_CACHE * self.size

    def metric(self, array_bytes: int) -> str:
        """What a bandwidth over arrays of this size is called; none that a cache may have given is memory's."""
        if self.least_array is None:
            return "memory.unproven_bandwidth"
        return "memory.bandwidth" if array_bytes >= self.least_array else "memory.cached_bandwidth"

    def reason(self, array_bytes: int) -> str:
        """Why the bandwidth is called so."""
        each = f"arrays of {format_bytes(array_bytes)}"
        if self.size is None:
            return f"{each}; {self.words}: a cache may have answered"
        sizes = f"{each}, {array_bytes / self.size:.3g} times the {format_bytes(self.size)} of {self.words}"
        if self.metric(array_bytes) == "memory.bandwidth":
            return sizes
        return f"{sizes}: a cache may have answered; memory is read from {TIMES_CACHE} times on"


def largest_caches(ctx: RankContext) -> Caches:
    """The largest that any rank finds; unknown where one rank's are. All ranks must call it."""
    mine = last_level_caches(ctx.device, ctx.case.target)
    if ctx.world_size == 1:
        return mine
    import torch.distributed as dist

    said: list[Caches] = [mine] * ctx.world_size
    dist.all_gather_object(said, mine)
    return max(said, key=lambda caches: float("inf") if caches.size is None else caches.size)


def last_level_caches(device: torch.device, target: Target) -> Caches:
    """Of an accelerator what the driver or the target states, the larger of both; else of this process's CPUs."""
    if device.type == "cpu":
        return cpu_caches(os.sched_getaffinity(0))
    import torch

    fact = target.accelerator.last_level_cache_mib if target.accelerator is not None else None
    declared = int(fact.value * MIB) if fact is not None and fact.value is not None else None
    if torch.version.hip is not None and declared is None:
        # what ROCm calls L2 lies before the Infinity Cache of those that have one
        return Caches(None, "target.accelerator.last_level_cache_mib is not stated, and ROCm does not tell")
    level_2 = int(torch.cuda.get_device_properties(device).L2_cache_size)
    if declared is not None and declared > level_2:
        return Caches(declared, f"the last-level cache that the target states for {device}")
    return Caches(level_2, f"the L2 cache of {device}") if level_2 else Caches(None, f"{device} states no cache")


def cpu_caches(cpus: set[int]) -> Caches:
    """The last-level caches of these CPUs together: threads on all of them share the work."""
    sizes: dict[tuple[int, str], int] = {}
    for cpu in cpus:
        found = _last_level(CPUS / f"cpu{cpu}" / "cache")
        if found is None:
            return Caches(None, f"{CPUS} does not tell the caches of this machine")
        level, shared, size = found
        sizes[level, shared] = size
    return Caches(sum(sizes.values()), f"{len(sizes)} last-level cache(s) of {len(cpus)} CPU(s)")


def _last_level(folder: Path) -> tuple[int, str, int] | None:
    """Level, the CPUs that share it, and bytes of a CPU's last cache of data; None where nobody says."""
    found = []
    for index in folder.glob("index*"):
        try:
            kind, level, shared, size = (
                (index / name).read_text(encoding="ascii").strip()
                for name in ("type", "level", "shared_cpu_list", "size")
            )
        except OSError:
            continue
        if kind != "Instruction" and size[:-1].isdigit() and size[-1] in UNITS:
            found.append((int(level), shared, int(size[:-1]) * UNITS[size[-1]]))
    return max(found, default=None)
