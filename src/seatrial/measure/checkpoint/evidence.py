"""What the bytes of an iteration reached, by what this machine's counters say of them.

- storage: the counters of the device (or of the mount, over a network) moved by nearly all bytes in every
  iteration. They count others' bytes too, so that alone they are not enough: a write must have been synced or
  direct, and of a read this process's own counter must say that the kernel fetched it.
- page_cache: they did not. What was timed is a copy in memory.
- memory_file_system: the path lies in memory.
- unknown: nothing here counts the bytes of this file system.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from seatrial.config.metrics import METRICS

Direction = Literal["write", "read"]
Reached = Literal["storage", "page_cache", "memory_file_system", "unknown"]

ENOUGH = 0.9
"""Share of the bytes that must have moved. Files hold nothing that can be compressed or is there twice."""
MUCH_MORE = 1.5
"""Above this share somebody else used the device at the same time, or it writes more than once."""
METRIC_OF: dict[Reached, str] = {
    "page_cache": "checkpoint.page_cache_bandwidth",
    "memory_file_system": "checkpoint.memory_bandwidth",
    "unknown": "checkpoint.unproven_bandwidth",
}
"""What a bandwidth is called that is none of storage, so that no criterion on storage can pass by it."""


@dataclass(frozen=True)
class Evidence:
    """Of one direction: `device` and `own` are shares of the bytes by iteration; NaN where nothing counts them.

    `synced` false: a write that the kernel may keep to itself.
    """

    direction: Direction
    kinds: Sequence[str]
    device: Sequence[float]
    own: Sequence[float]
    synced: bool = True

    @property
    def reached(self) -> Reached:
        """The least that any rank and any iteration gives reason for."""
        if "memory" in self.kinds:
            return "memory_file_system"
        if "unknown" in self.kinds or any(math.isnan(share) for share in self.device):
            return "unknown"
        if min(self.device) < ENOUGH or (self.direction == "write" and not self.synced):
            return "page_cache"
        if self.direction == "read" and any(share < ENOUGH for share in self.own):
            return "page_cache"
        return "storage"

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
        least, most = min(self.device), max(self.device)
        said = f"{self.direction}: the counters moved by {least:.2f} to {most:.2f} of the bytes"
        if self.reached == "page_cache":
            if self.direction == "write" and not self.synced:
                return f"{said}, and nothing was synced: the page cache took them"
            if least >= ENOUGH:
                own = min(share for share in self.own if not math.isnan(share))
                return f"{said}, but not for this probe, whose own count is {own:.2f}: it read the page cache"
            return f"{said}: the page cache answered"
        if most > MUCH_MORE:
            return f"{said}: others used it at the same time, or it writes more than once"
        return said
