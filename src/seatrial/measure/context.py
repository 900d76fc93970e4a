"""What a piece of work knows of the rank it runs on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.case import Case
from seatrial.config.base import Closed
from seatrial.errors import MeasurementFailed
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
    prepared: Sequence[Path] = ()
    """The folders of the case's preparations, in the order of `case.preparations`."""
    measurements: list[Measurement] = field(default_factory=list)
    quality: Quality | None = None
    refresh: Callable[[], None] | None = None
    """Brings `measurements` and `quality` up to date; called before the record is written, whatever the outcome."""
    resumed: int = 0
    devices: list[str] = field(default_factory=list)
    """Every rank's device (`cpu`, `cuda:0`), by rank; filled on rank 0 only, for the labels."""

    facts: dict[str, Any] = field(default_factory=dict)
    """What the work adds to the record's provenance (the data it read, with version and hash)."""

    def prepared_for(self, spec: Closed) -> Path:
        """The folder that was prepared from `spec`, one of the case's preparations.

        Raises MeasurementFailed (crashed) where it was not given.
        """
        for known, folder in zip(self.case.preparations, self.prepared, strict=False):
            if known == spec:
                return folder
        raise MeasurementFailed("crashed", f"the prepared {getattr(spec, 'name', spec)!r} was not given")

    def beside(self, suffix: str) -> Path:
        """The path `<repeat>.<suffix>` beside the record."""
        return self.folder / f"{self.repeat}.{suffix}"
