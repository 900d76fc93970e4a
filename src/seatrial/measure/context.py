"""What a piece of work knows of the rank it runs on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.case import Case
from seatrial.record import Measurement, Quality

if TYPE_CHECKING:
    import torch


@dataclass
class RankContext:
    """One rank of one repeat.

    The process group is initialised before the work starts where world_size > 1. Rank 0's `measurements`
    and `quality` go into the record, also when the work fails later: what was measured is kept.
    """

    case: Case
    repeat: int
    seed: int
    rank: int
    local_rank: int
    world_size: int
    device: torch.device
    folder: Path
    """Where the record will lie; other files of the repeat lie beside it."""
    prepared: Path | None = None
    """The prepared base model of the case, where it needs one."""
    measurements: list[Measurement] = field(default_factory=list)
    quality: Quality | None = None
    resumed: int = 0
    devices: list[str] = field(default_factory=list)
    """Every rank's device (`cpu`, `cuda:0`), by rank; filled on rank 0 only, for the labels."""

    facts: dict[str, Any] = field(default_factory=dict)
    """What the work adds to the record's provenance (the data it read, with version and hash)."""

    def beside(self, suffix: str) -> Path:
        """The path `<repeat>.<suffix>` beside the record."""
        return self.folder / f"{self.repeat}.{suffix}"
