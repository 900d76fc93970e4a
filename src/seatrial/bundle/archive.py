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

LEVEL, WINDOW_LOG = 10, 22
MOST_BYTES = 2**40
LEAST_BYTES, MOST_TIMES = 2**30, 1000
"""What unpacks to more than MOST_BYTES, or than both LEAST_BYTES and MOST_TIMES its size, is refused: a small
archive can hold an endless file."""
PACKED_BYTES = 1024
"""Unpacked at a time: what a few bytes may unpack to has to fit into memory."""
FRAME_HEADER = bytes.fromhex("28b52ffd0460")
"""Magic number; descriptor: checksum, size not stated, no dictionary; window of 2**WINDOW_LOG (RFC 8878, 3.1.1)."""
MODE = 0o644


def pack(folder: Path, output: Path) -> None:
    """Write all files below `folder`, by path, without owners and times."""
    with written_aside(output) as aside, aside.open("wb") as raw:
        _pack(folder, raw)


def _pack(folder: Path, raw: Any) -> None:
    # stated, not the library's choice: of another version it could be another window
    wanted = zstandard.ZstdCompressionParameters.from_level(LEVEL, window_log=WINDOW_LOG, write_checksum=True)
    with zstandard.ZstdCompressor(compression_params=wanted).stream_writer(raw) as stream:
        _write_tar(folder, stream)


def _write_tar(folder: Path, stream: Any) -> None:
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        # the manifest first: whoever has a damaged archive knows what should be in it
        for path in sorted((p for p in folder.rglob("*") if p.is_file()), key=_place):
            entry = tarfile.TarInfo(str(PurePosixPath(path.relative_to(folder))))
            entry.size, entry.mode = path.stat().st_size, MODE
            with path.open("rb") as file:
                tar.addfile(entry, file)


def _place(path: Path) -> tuple[bool, Path]:
    return path.name != MANIFEST, path


def unpack(archive: Path, folder: Path) -> str | None:
    """Unpack `archive` into `folder`; what is wrong with it, in words, where it is damaged on the way, else None.

    Raises UnreadableFile for what is no bundle at all, and for files that would leave `folder`.
    """
    seen: set[str] = set()
    size, repacked = 0, None
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
                repacked = repacked or _repacked(entry)
            _to_the_end(stream)
    except (OSError, EOFError, tarfile.TarError, zstandard.ZstdError) as problem:
        if not (folder / MANIFEST).is_file():
            raise UnreadableFile(archive, f"not a bundle, or damaged: {problem}") from problem
        return f"the archive is damaged: {problem}"
    return repacked


def unlike_packed(archive: Path, folder: Path, same_zstd: bool) -> str | None:
    """Where `archive` is not what `pack` makes of the files that were unpacked from it into `folder`, in words.

    Its files may be whole and something else changed: padding, order, what no reader looks at. `same_zstd`: whether
    it was packed by the version of zstandard that is here; another may compress otherwise, and then its tar counts.
    """
    with archive.open("rb") as raw:
        packed = _Beside(raw)
        _pack(folder, packed)
        place = packed.end()
    if place is None:
        return None
    with archive.open("rb") as raw, io.BufferedReader(_Frame(raw)) as stream:
        tar = _Beside(stream)
        _write_tar(folder, tar)
        of_tar = tar.end()
    if of_tar is not None:
        return f"the archive is changed: from byte {of_tar} of its tar on it is not as its files were packed"
    return f"the archive is changed: from byte {place} on it is not as its files were packed" if same_zstd else None


class _Beside(io.RawIOBase):
    """Takes what is written and holds it against what `other` has."""

    def __init__(self, other: BinaryIO | io.BufferedReader[_Frame]) -> None:
        self._other, self._place, self._unlike = other, 0, False

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        made = bytes(content)
        if not self._unlike:
            there = self._other.read(len(made))
            alike = there == made
            self._place += len(made) if alike else _first_unlike(there, made)
            self._unlike = not alike
        return len(made)

    def end(self) -> int | None:
        """The first place where both differ, or None; to be asked when all is written."""
        return self._place if self._unlike or self._other.read(1) else None


def _first_unlike(one: bytes, other: bytes) -> int:
    return next((k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _repacked(entry: tarfile.TarInfo) -> str | None:
    """What of an entry besides its content is not as `pack` writes it, in words, or None."""
    made = tarfile.TarInfo()
    facts = {"mode": MODE, "uid": made.uid, "gid": made.gid, "uname": "", "gname": "", "mtime": made.mtime}
    unlike = [
        f"{name} is {getattr(entry, name)!r}" for name, value in facts.items() if getattr(entry, name) != value
    ]
    return f"the archive is changed: {entry.name}: {', '.join(unlike)}" if unlike else None


class _Frame(io.RawIOBase):
    """The content of the one zstd frame of a bundle.

    Reading raises EOFError where the frame is cut, were it in its checksum only, and OSError where its header is
    not the one that `pack` writes or anything follows the frame.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._first = True
        self._raw, self._frame, self._left = raw, zstandard.ZstdDecompressor().decompressobj(), memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            if self._frame.eof:
                if self._frame.unused_data or self._raw.read(1):
                    raise OSError("something follows its end")
                return 0
            packed = self._raw.read(PACKED_BYTES)
            if self._first and packed and packed[: len(FRAME_HEADER)] != FRAME_HEADER:
                raise OSError("its header is not a bundle's")
            self._first = False
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
    most = min(MOST_BYTES, max(LEAST_BYTES, MOST_TIMES * archive.stat().st_size))
    if size > most:
        raise UnreadableFile(archive, f"it unpacks to more than {most} bytes")
    seen.add(entry.name)
