"""The archive of a bundle: a tar under zstd that depends on its files alone, and is unpacked without trust."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import zstandard

from seatrial.bundle.manifest import MANIFEST
from seatrial.errors import UnreadableFile
from seatrial.paths import written_aside

LEVEL = 10
MOST_BYTES = 2**40
"""What unpacks to more is refused: a small archive can hold an endless file."""
PACKED_BYTES = 1024
"""Unpacked at a time: what a few bytes may unpack to has to fit into memory."""


def pack(folder: Path, output: Path) -> None:
    """Write all files below `folder`, by path, without owners and times."""
    with written_aside(output) as aside, aside.open("wb") as raw:
        compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
        with compressor.stream_writer(raw) as stream, tarfile.open(fileobj=stream, mode="w|") as tar:
            # the manifest first: whoever has a damaged archive knows what should be in it
            for path in sorted((p for p in folder.rglob("*") if p.is_file()), key=_place):
                entry = tarfile.TarInfo(str(PurePosixPath(path.relative_to(folder))))
                entry.size, entry.mode = path.stat().st_size, 0o644
                with path.open("rb") as file:
                    tar.addfile(entry, file)


def _place(path: Path) -> tuple[bool, Path]:
    return path.name != MANIFEST, path


def unpack(archive: Path, folder: Path) -> str | None:
    """Unpack `archive` into `folder`; what is wrong with it, in words, where it is damaged on the way, else None.

    Raises UnreadableFile for what is no bundle at all, and for files that would leave `folder`.
    """
    seen: set[str] = set()
    size = 0
    try:
        with (
            archive.open("rb") as raw,
            io.BufferedReader(_Frame(raw)) as stream,
            tarfile.open(fileobj=stream, mode="r|") as tar,
        ):
            for entry in tar:
                size += entry.size
                _check(archive, entry, seen, size)
                target = folder / entry.name
                target.parent.mkdir(parents=True, exist_ok=True)
                tar.makefile(entry, target)
            _to_the_end(stream)
    except (OSError, EOFError, tarfile.TarError, zstandard.ZstdError) as problem:
        if not (folder / MANIFEST).is_file():
            raise UnreadableFile(archive, f"not a bundle, or damaged: {problem}") from problem
        return f"the archive is damaged: {problem}"
    return None


class _Frame(io.RawIOBase):
    """The content of a zstd frame. Reading raises EOFError where the frame is cut, were it in its checksum only."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw, self._frame, self._left = raw, zstandard.ZstdDecompressor().decompressobj(), memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            if self._frame.eof:
                return 0
            packed = self._raw.read(PACKED_BYTES)
            if not packed:
                raise EOFError("it ends before its end")
            self._left = memoryview(self._frame.decompress(packed))
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


def _to_the_end(stream: io.BufferedReader[_Frame]) -> None:
    """Read what follows the last file, so that the checksum of the whole is looked at."""
    while stream.read(2**20):
        pass


def _check(archive: Path, entry: tarfile.TarInfo, seen: set[str], size: int) -> None:
    """Only plain files, each once, and below the folder."""
    parts = PurePosixPath(entry.name).parts
    if not entry.isfile() or entry.name.startswith("/") or ".." in parts or "\\" in entry.name:
        raise UnreadableFile(archive, f"{entry.name!r} is not a plain file below the bundle")
    if entry.name in seen:
        raise UnreadableFile(archive, f"{entry.name!r} is in it twice")
    if size > MOST_BYTES:
        raise UnreadableFile(archive, f"it unpacks to more than {MOST_BYTES} bytes")
    seen.add(entry.name)
