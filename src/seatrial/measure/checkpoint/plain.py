"""Checkpoints as plain files, one for each rank."""

from __future__ import annotations

import os
from pathlib import Path

from seatrial.config.probe.checkpoint import PAGE, Checkpoint
from seatrial.errors import MeasurementFailed, Unsupported
from seatrial.measure.checkpoint.shards import Shards
from seatrial.measure.storage import page_cache


class PlainFiles:
    """Writes the shard of `rank` and reads the shard of `source`, in blocks, from and to the shards' buffer."""

    def __init__(self, folder: Path, workload: Checkpoint, shards: Shards, rank: int, source: int) -> None:
        self.folder, self.workload, self.shards = folder, workload, shards
        self.rank, self.source = rank, source
        self._direct = os.O_DIRECT if workload.direct else 0
        self._writes_early = workload.writeback == "each_block" and workload.fsync and not workload.direct

    def files(self, rank: int, number: int) -> list[Path]:
        """The files of a rank's shard."""
        return [self.folder / f"{number}-{rank}.shard"]

    def write(self, number: int) -> None:
        """The timed write: the file, and its entry in the folder, are on the device where fsync is asked for."""
        size = self.shards.bytes_of(self.rank)
        (path,) = self.files(self.rank, number)
        handle = self._open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            self._write_blocks(handle, size)
            if self.workload.fsync:
                os.fsync(handle)
        finally:
            os.close(handle)
        if self.workload.fsync:
            sync_folder(self.folder)

    def read(self, number: int) -> None:
        """The timed read. Raises MeasurementFailed (wrong_result) where the file is shorter than the shard."""
        size, block = self.shards.bytes_of(self.source), self.workload.block_bytes
        (path,) = self.files(self.source, number)
        handle = self._open(path, os.O_RDONLY)
        held = memoryview(self.shards.buffer)
        try:
            got = 0
            while got < size:
                count = os.preadv(handle, [held[got : got + block]], got)
                if count == 0:
                    raise MeasurementFailed("wrong_result", f"{path} ends after {got} of {size} bytes")
                got += count
        finally:
            held.release()
            os.close(handle)

    def _write_blocks(self, handle: int, size: int) -> None:
        block, early = self.workload.block_bytes, self._writes_early
        # direct writes come in whole pages; the file is cut to its size afterwards
        end = -(-size // PAGE) * PAGE if self._direct else size
        held = memoryview(self.shards.buffer)
        try:
            done = 0
            while done < end:
                count = os.pwrite(handle, held[done : min(done + block, end)], done)
                if early:
                    page_cache.write_out(handle, done, count)
                done += count
        finally:
            held.release()
        if end != size:
            os.ftruncate(handle, size)

    def _open(self, path: Path, flags: int) -> int:
        try:
            return os.open(path, flags | self._direct | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            if self._direct and problem.errno in REFUSED:
                raise Unsupported(
                    f"the file system of {path.parent} has no direct reads and writes (O_DIRECT); direct: false"
                ) from problem
            raise


REFUSED = (22, 95)
"""EINVAL and EOPNOTSUPP: what open says where O_DIRECT is not there."""


def sync_folder(folder: Path) -> None:
    """Bring the entries of a folder onto the device."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
