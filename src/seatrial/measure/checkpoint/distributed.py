"""Checkpoints through torch.distributed.checkpoint: every rank has its tensors, rank 0 the index."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.config.probe.checkpoint import Checkpoint
from seatrial.errors import MeasurementFailed
from seatrial.measure.checkpoint.plain import sync_folder
from seatrial.measure.checkpoint.shards import Shards

if TYPE_CHECKING:
    import torch

TENSOR_BYTES = 64 * 1024**2
"""A shard is saved as tensors of this size, as a model's is."""


class DistributedFiles:
    """Writes the shard of `rank` and reads the shard of `source` through torch.distributed.checkpoint."""

    def __init__(self, folder: Path, workload: Checkpoint, shards: Shards, rank: int, source: int) -> None:
        self.folder, self.workload, self.shards = folder, workload, shards
        self.rank, self.source = rank, source
        warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable or uninitialized")

    def files(self, rank: int, number: int) -> list[Path]:
        """The files of a rank's shard, as FileSystemWriter names them; those of rank 0 with the index."""
        place = self._place(number)
        found = sorted(place.glob(f"__{rank}_*.distcp"))
        return [*found, place / ".metadata"] if rank == 0 and found else found

    def write(self, number: int) -> None:
        """The timed write, with its planning; on return the index is there."""
        import torch.distributed.checkpoint as dcp

        place = self._place(number)
        writer = dcp.FileSystemWriter(place, sync_files=self.workload.fsync)
        with _in_words(place):
            dcp.save(self._tensors(self.rank), storage_writer=writer, no_dist=self._alone)
        if self.workload.fsync:
            sync_folder(place)
            sync_folder(self.folder)

    def read(self, number: int) -> None:
        """The timed read into the shards' buffer."""
        import torch.distributed.checkpoint as dcp

        place = self._place(number)
        with _in_words(place):
            reader = dcp.FileSystemReader(place)
            dcp.load(self._tensors(self.source), storage_reader=reader, no_dist=self._alone)

    @property
    def _alone(self) -> bool:
        return self.shards.ranks == 1

    def _place(self, number: int) -> Path:
        return self.folder / str(number)

    def _tensors(self, rank: int) -> dict[str, torch.Tensor]:
        """Views of the buffer, which holds the shard of `rank` or is to hold it."""
        import torch

        held = torch.frombuffer(self.shards.buffer, dtype=torch.uint8)[: self.shards.bytes_of(rank)]
        return {f"rank{rank}.{n}": part for n, part in enumerate(held.split(TENSOR_BYTES))}


@contextlib.contextmanager
def _in_words(place: Path) -> Iterator[None]:
    """What CheckpointException, which is no Exception, says: OSError as it was raised, else MeasurementFailed."""
    import torch.distributed.checkpoint as dcp

    try:
        yield
    except dcp.api.CheckpointException as problem:
        causes = [cause for _, (cause, _) in sorted(problem.failures.items())]
        system = next((cause for cause in causes if isinstance(cause, OSError)), None)
        if system is not None:
            raise system from problem
        met = "; ".join(f"{type(cause).__name__}: {cause}" for cause in causes)
        raise MeasurementFailed("crashed", f"torch.distributed.checkpoint in {place}: {met}") from problem
