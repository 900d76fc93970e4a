"""Samples in files: read one at a time, at random, as a training does."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from seatrial.config.probe.dataload import GivenFiles
from seatrial.errors import MeasurementFailed, UnreadableFile
from seatrial.measure.dataload.decoding import DECODERS, Tensors
from seatrial.measure.storage import page_cache


class Samples(Protocol):
    """What the pipeline reads. It goes to the workers as it is: all that reading needs is in it."""

    @property
    def files(self) -> Sequence[Path]:
        """The files that hold the samples."""
        ...

    def __len__(self) -> int: ...

    def read(self, number: int) -> Tensors:
        """One sample, decoded."""
        ...

    def stored_bytes(self, number: int) -> int:
        """Bytes of one sample as it is stored."""
        ...

    def check(self, number: int, found: Tensors) -> None:
        """Raise MeasurementFailed (wrong_result) where a sample is not what is known of it."""
        ...


class Place(NamedTuple):
    """Where a sample lies: number of the file, first byte, bytes."""

    file: int
    offset: int
    size: int


@dataclass(frozen=True)
class FileSamples:
    """Samples at stated places in files."""

    files: Sequence[Path]
    places: Sequence[Place]
    decode: str
    drop: bool
    """Whether a sample's pages leave the page cache once it is read."""

    def __len__(self) -> int:
        return len(self.places)

    def read(self, number: int) -> Tensors:
        """Raises UnreadableFile for a file that is shorter than it was, or whose content cannot be decoded."""
        place = self.places[number]
        path = self.files[place.file]
        return DECODERS[self.decode](read_part(path, place.offset, place.size, self.drop), str(path))

    def stored_bytes(self, number: int) -> int:
        return self.places[number].size

    def check(self, number: int, found: Tensors) -> None:
        """Nothing is known of files that somebody else wrote."""


def read_part(path: Path, offset: int, size: int, drop: bool) -> bytes:
    """`size` bytes from `offset` on; with `drop` their pages leave the cache. Raises UnreadableFile."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError as problem:
        raise UnreadableFile(path, problem.strerror or str(problem)) from None
    try:
        if drop:
            # what lies behind the sample would be fetched for nothing: the next one lies elsewhere
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_RANDOM)
        parts, missing = [], size
        while missing:
            part = os.pread(handle, missing, offset + size - missing)
            if not part:
                raise UnreadableFile(path, f"it ends {missing} bytes before its sample does")
            parts.append(part)
            missing -= len(part)
        if drop:
            page_cache.drop_part(handle, offset, size)
    finally:
        os.close(handle)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def given_files(spec: GivenFiles, drop: bool) -> FileSamples:
    """The files of a folder, by name. Raises MeasurementFailed where there are none."""
    folder = Path(spec.path).expanduser()
    if not folder.is_dir():
        raise MeasurementFailed(
            "crashed", f"{folder} is no folder that is there; name one in workload.dataset.path"
        )
    files = sorted(path for path in folder.rglob(spec.pattern) if path.is_file())
    sizes = [path.stat().st_size for path in files]
    places = [Place(i, 0, size) for i, size in enumerate(sizes) if size]
    if not places:
        raise MeasurementFailed("crashed", f"{folder} holds no file that is not empty and matches {spec.pattern!r}")
    return FileSamples(files, places, spec.decode, drop)
