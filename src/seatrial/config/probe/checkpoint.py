"""Parameters of the probe checkpoint."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.base import Closed, NonNegativeInt, PositiveFloat, PositiveInt, Slug, Threshold
from seatrial.config.probe.base import Probe
from seatrial.config.target import Reliability
from seatrial.errors import FieldMistake

PAGE = 4096
"""What direct reads and writes are aligned to, in bytes."""


class Model(Closed):
    """A model that the measured bandwidth is extrapolated to."""

    parameters: PositiveInt
    accelerators: PositiveInt
    """That train it: any of them stops the job."""
    source: str | None = None
    """Of the number of accelerators."""


class Schedule(Closed):
    """What the interval between checkpoints is reckoned with; changes nothing of what is measured."""

    reliability: Reliability | None = None
    """How often something breaks, where the target does not say so itself."""
    accelerators: PositiveInt | None = None
    """Of the job that is saved, not of `models`; None: those of the case, on a target without any its ranks."""
    overhead: Threshold = Threshold(
        value=0.05,
        source="checkpoints beyond 5 % of training time: the usual point at which to look at storage",
    )
    interval_minutes: PositiveFloat | None = None
    """An interval that is given; None: the one that costs least."""
    models: dict[str, Model] = {}
    """Models by name, each with a failure rate by its own accelerators."""
    extrapolation: Threshold = Threshold(
        value=10.0,
        source="caches and burst buffers hold what is small: beyond an order of magnitude it is another regime",
    )
    """How many times the bytes that were measured a model may have and still be held against `overhead`."""
    scale: Threshold = Threshold(
        value=2.0,
        source="storage gives more nodes more, up to a limit that fewer do not show: doubling is near enough",
    )
    """How many times as many accelerators as were measured, or as few, a model may have for the same."""


class Checkpoint(Probe):
    """All ranks write and read `parameters` x `bytes_per_parameter` bytes, each its shard."""

    kind: Literal["checkpoint"]
    warmup: NonNegativeInt = 1
    iterations: PositiveInt = 10
    parameters: PositiveInt
    bytes_per_parameter: PositiveFloat = 14.0
    """14: weights in 2 bytes, master weights and both moments of Adam in 4 each."""
    format: Literal["plain", "dcp"] = "plain"
    """plain: a file for each rank; dcp: torch.distributed.checkpoint."""
    path: str | None = None
    """A folder that is there; the probe makes a folder of its own in it and removes it."""
    storage: Slug | None = None
    """Instead of `path`: a name in the target's `storage`, which has the path and the ceilings."""
    fsync: bool = True
    """A write is done when files and folder are on the device, not when the kernel has taken them."""
    writeback: Literal["each_block", "at_end"] = "each_block"
    """Of plain files that are synced: the kernel is asked to write each block out as soon as it has it, so that
    copying and writing overlap, or nothing before fsync does."""
    direct: bool = False
    """Around the page cache (O_DIRECT); plain files only."""
    drop_caches: bool = False
    """Empty the machine's whole page cache before every read; needs root and hurts others on the machine."""
    read_from: Literal["own", "next_node"] = "own"
    """Whose shard a rank reads: what another node wrote cannot lie in its own cache. Nodes must share the path."""
    kept: PositiveInt | None = None
    """How many checkpoints lie there at once, to be read again; None: all of them."""
    block_bytes: Annotated[int, Field(ge=PAGE, multiple_of=PAGE, strict=True)] = 16 * 1024**2
    """Bytes of one read or write of a plain file."""
    schedule: Schedule = Schedule()

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.storage is None):
            raise FieldMistake(
                "give exactly one of path (a folder) and storage (a name in target.storage)",
                field="path",
                value=self.path,
                allowed="a path, or null with storage set",
            )
        return self

    @model_validator(mode="after")
    def _direct_files_are_plain(self) -> Self:
        if self.direct and self.format != "plain":
            raise FieldMistake(
                "torch.distributed.checkpoint writes through the page cache",
                field="direct",
                value=True,
                allowed="false, or format plain",
            )
        return self

    @model_validator(mode="after")
    def _keeps_no_more_than_it_writes(self) -> Self:
        if self.kept is not None and self.kept > self.iterations:
            raise FieldMistake(
                f"only {self.iterations} checkpoints are written (iterations)",
                field="kept",
                value=self.kept,
                allowed=f"1 to {self.iterations}, or null for all",
            )
        return self

    @property
    def size_bytes(self) -> int:
        """Bytes of one checkpoint, all ranks together."""
        return round(self.parameters * self.bytes_per_parameter)

    @property
    def kept_at_once(self) -> int:
        """Checkpoints that lie there at once."""
        return self.kept or self.iterations
