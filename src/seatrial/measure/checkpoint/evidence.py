"""What the bytes of an iteration reached, by what this machine's counters say of them.

- storage: on every machine the counters of the device (or of the mount, over a network) moved by nearly all bytes
  of its ranks in every iteration. They count others' bytes too, so that alone they are not enough: a write must
  have been synced or direct, and of a read every rank's pages must have been out of the page cache right before,
  and every process's own counter, where it sees this file system, must say that the kernel fetched them.
- page_cache: one of them did not. What was timed is in part a copy in memory.
- memory_file_system: the path lies in memory.
- unknown: nothing here counts the bytes of this file system.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from seatrial.config.metrics import METRICS
from seatrial.config.metrics.origin import ENOUGH, Origin

Direction = Literal["write", "read"]
COLD = 0.1
"""Share of a rank's pages that may lie in the page cache before they are read: what ENOUGH leaves."""
MUCH_MORE = 1.5
"""Above this share somebody else used the device at the same time, or it writes more than once."""
METRIC_OF: dict[Origin, str] = {
    "page_cache": "checkpoint.page_cache_bandwidth",
    "memory_file_system": "checkpoint.memory_bandwidth",
    "unknown": "checkpoint.unproven_bandwidth",
}
"""What a bandwidth is called that is none of storage, so that no criterion on storage can pass by it."""


@dataclass(frozen=True)
class Evidence:
    """Of one direction, by iteration, each the worst of its kind.

    `device`: bytes that a machine's counters moved by over those of its ranks, of the machine with the least
    (`most`: with the most); `own`: a process's own count over the rank's bytes, of the rank with the least.
    NaN where nothing counts them. `resident`, of a read: the share of a rank's pages that lay in the page cache
    right before, of the rank with the most. `synced` false: a write that the kernel may keep to itself.
    """

    direction: Direction
    kinds: Sequence[str]
    device: Sequence[float]
    own: Sequence[float]
    synced: bool = True
    resident: Sequence[float] = ()
    most: Sequence[float] = ()

    @property
    def reached(self) -> Origin:
        """The least that any rank and any iteration gives reason for."""
        if "memory" in self.kinds:
            return "memory_file_system"
        if "unknown" in self.kinds or any(math.isnan(share) for share in self.device):
            return "unknown"
        if min(self.device) < ENOUGH or (self.direction == "write" and not self.synced):
            return "page_cache"
        if self.direction == "read" and (self._not_fetched or self._warm):
            return "page_cache"
        return "storage"

    @property
    def _not_fetched(self) -> bool:
        return any(share < ENOUGH for share in self.own)

    @property
    def _warm(self) -> bool:
        """Also where nobody looked."""
        return not self.resident or max(self.resident) > COLD

    @property
    def metric(self) -> str:
        """The metric that holds the bandwidth."""
        name = METRIC_OF.get(self.reached, f"checkpoint.{self.direction}_bandwidth")
        assert name in METRICS
        return name

    def words(self) -> str:
        """What the counters say, in one sentence."""
        verb = "written" if self.direction == "write" else "read"
        if self.reached == "memory_file_system":
            return f"{self.direction}: the path lies in memory, and no storage was {verb}"
        if self.reached == "unknown":
            return f"{self.direction}: nothing on this machine counts the bytes of this file system"
        least, most = min(self.device), max(self.most or self.device)
        said = f"{self.direction}: the counters moved by {least:.2f} to {most:.2f} of the bytes"
        if self.reached == "page_cache":
            if self.direction == "write" and not self.synced:
                return f"{said}, and nothing was synced: the page cache took them"
            if least < ENOUGH:
                return f"{said}: the page cache answered"
            if self._not_fetched:
                own = min(share for share in self.own if not math.isnan(share))
                return f"{said}, but not for this probe, a rank's own count is {own:.2f}: it read the page cache"
            held = max(self.resident, default=math.nan)
            return f"{said}, but the page cache held {held:.2f} of a rank's pages before: it may have answered"
        if most > MUCH_MORE:
            return f"{said}: others used it at the same time, or it writes more than once"
        return said


@dataclass(frozen=True)
class OfRank:
    """One rank's part in a direction: its machine, its bytes, and by iteration what its counters moved by.

    `device` is 0 where another rank of the machine reads the counter; NaN where nothing counts.
    """

    machine: str
    size: float
    device: Sequence[float]
    own: Sequence[float]
    resident: Sequence[float] = ()


def judged(direction: Direction, kinds: Sequence[str], ranks: Sequence[OfRank], synced: bool) -> Evidence:
    """The worst machine and the worst rank of each iteration: a sum over ranks would hide one that cached."""
    machines: dict[str, list[OfRank]] = {}
    for rank in ranks:
        machines.setdefault(rank.machine, []).append(rank)
    shares = []
    for together in machines.values():
        size = sum(rank.size for rank in together)
        shares.append([sum(moved) / size for moved in zip(*(rank.device for rank in together), strict=True)])
    own = [[moved / rank.size for moved in rank.own] for rank in ranks]
    return Evidence(
        direction,
        kinds,
        device=[math.nan if any(map(math.isnan, of)) else min(of) for of in zip(*shares, strict=True)],
        own=[min((s for s in of if not math.isnan(s)), default=math.nan) for of in zip(*own, strict=True)],
        synced=synced,
        resident=[max(of) for of in zip(*(rank.resident for rank in ranks), strict=True)],
        most=[max(of) for of in zip(*shares, strict=True)],
    )
