"""Bytes that come in pieces -> lines, and files that grow -> lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

LONGEST_LINE_BYTES = 1 << 20
"""What a line has beyond that is dropped: memory stays bounded whatever a command says."""
BLOCK_BYTES = 1 << 20
_LINE_ENDS = re.compile(rb"[\r\n]")


class Line(NamedTuple):
    """One line without its end; `whole` False: the stream ended in it, or it was longer than is kept."""

    text: bytes
    whole: bool


class Lines:
    """Lines of one stream, the same however it is cut into pieces. LF, CR and CRLF end a line; empty ones are
    left out."""

    def __init__(self) -> None:
        self._kept, self._cut = bytearray(), False

    def feed(self, piece: bytes) -> Iterator[Line]:
        """The lines that `piece` ends."""
        *ended, rest = _LINE_ENDS.split(piece)
        for part in ended:
            self._keep(part)
            yield from self._end(whole=True)
        self._keep(rest)

    def finish(self) -> Iterator[Line]:
        """What is left when the stream has ended."""
        yield from self._end(whole=False)

    def _keep(self, part: bytes) -> None:
        room = LONGEST_LINE_BYTES - len(self._kept)
        self._kept += part[:room]
        self._cut = self._cut or len(part) > room

    def _end(self, whole: bool) -> Iterator[Line]:
        if self._kept:
            yield Line(bytes(self._kept), whole and not self._cut)
        self._kept, self._cut = bytearray(), False


class GrowingFile:
    """A file that somebody writes: what is new in it. It is opened anew each time, so that a network file system
    shows what other nodes have written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0
        self._lines = Lines()

    def new_lines(self, at_end: bool = False) -> Iterator[Line]:
        """Lines that were ended since the last call; `at_end`: also the one that never was.

        A file that has become shorter was begun again and is read from its beginning; one that cannot be read has
        no lines (yet).
        """
        try:
            with self.path.open("rb") as file:
                if file.seek(0, 2) < self._read:
                    self._read, self._lines = 0, Lines()
                file.seek(self._read)
                while block := file.read(BLOCK_BYTES):
                    self._read += len(block)
                    yield from self._lines.feed(block)
        except OSError:
            pass
        if at_end:
            yield from self._lines.finish()


class Source:
    """All lines of one file, or of all files below a folder that match a pattern (in the order of their names)."""

    def __init__(self, folder: Path, pattern: str) -> None:
        self._folder, self._pattern = folder, pattern
        self._files: dict[Path, GrowingFile] = {}

    def new_lines(self, at_end: bool = False) -> Iterator[Line]:
        """As GrowingFile.new_lines, of every file that is there now."""
        for path in sorted(p for p in self._folder.glob(self._pattern) if p.is_file()):
            file = self._files.setdefault(path, GrowingFile(path))
            yield from file.new_lines(at_end)
