"""The files of a folder or tar archive, by their paths inside it. Nothing is unpacked and nothing written.

An archive that lies in the folder is read as if its members lay beside it. Links that lead out of the folder, and
members whose path would leave the archive, are named as unread.
"""

from __future__ import annotations

import lzma
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Self

from seatrial.errors import UnreadableFile
from seatrial.ingest.mlperf.result import Unread

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
SKIPPED = frozenset({"benchmarks", ".git"})
"""Folders of a submission that hold code (98 % of its files), not results."""
DEEPEST = 32
"""Results lie four folders deep; a deeper tree is none of theirs."""
END_MARK = tarfile.EOFHeaderError  # type: ignore[attr-defined]
DAMAGED = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)
"""What a truncated or damaged archive raises while it is read (besides OSError)."""


@dataclass(frozen=True)
class Found:
    """One file. `folder` is absolute and virtual: a member of an archive lies where the archive does."""

    folder: PurePosixPath
    name: str
    shown: str
    """The path inside what is read, `archive.tar!member` for a member of an archive inside it."""
    size: int
    file: str | None
    """Where it lies on disk; None for a member of an archive."""
    stream: BinaryIO | None = None
    """A member's content, to be read before the next file is asked for."""

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        if self.stream is not None:
            yield self.stream
        else:
            assert self.file is not None
            with Path(self.file).open("rb", buffering=0) as stream:
                yield stream


class _Member(tarfile.TarInfo):
    """Notes on its archive that the end mark was met: without it tarfile takes a truncated archive for a whole."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile)
        except END_MARK:
            tarfile.ended = True  # type: ignore[attr-defined]
            raise


def printable(name: str) -> str:
    """A file's name as text: bytes that are no UTF-8 are written as \\xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def is_archive(path: Path) -> bool:
    return path.name.lower().endswith(ARCHIVES)


class Tree:
    """A folder or an archive. `unread` grows while `files` is walked; `folders` are those of disk."""

    def __init__(self, root: Path) -> None:
        """Raises UnreadableFile where `root` is neither a folder nor a tar archive."""
        self.root = root.resolve()
        self.unread: list[Unread] = []
        self.folders: list[PurePosixPath] = []
        self._members_seen: set[str] = set()
        if not self.root.exists():
            raise UnreadableFile(root, "there is no such folder or archive")
        if not self.root.is_dir() and not is_archive(self.root):
            raise UnreadableFile(root, f"neither a folder nor an archive ({', '.join(ARCHIVES)})")

    @property
    def base(self) -> PurePosixPath:
        """The virtual folder that everything lies in."""
        return PurePosixPath(self.root if self.root.is_dir() else self.root.parent)

    def files(self) -> Iterator[Found]:
        """Every file in order of path; members of an archive in the archive's order."""
        if self.root.is_dir():
            yield from self._walk(self.root, "", 0)
        else:
            yield from self._members(self.root, "")

    def shown(self, path: PurePosixPath | Path) -> str:
        """A path as it is named to the user: inside what is read."""
        try:
            return printable(PurePosixPath(path).relative_to(self.base).as_posix())
        except ValueError:
            return printable(str(path))

    def _walk(self, folder: Path, shown: str, depth: int) -> Iterator[Found]:
        """`shown`: the folder's path inside what is read, ending with `/`."""
        here = PurePosixPath(folder)
        self.folders.append(here)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as problem:
            self._note(shown or ".", problem.strerror or str(problem))
            return
        for entry in entries:
            inside = shown + printable(entry.name)
            if entry.is_symlink() and not self._is_file_inside(Path(entry.path), inside):
                continue
            if entry.is_dir():
                if depth >= DEEPEST:
                    self._note(inside, f"more than {DEEPEST} folders deep: not read")
                elif entry.name not in SKIPPED:
                    yield from self._walk(Path(entry.path), inside + "/", depth + 1)
            elif not entry.is_file():
                self._note(inside, "neither a file nor a folder")
            elif entry.name.lower().endswith(ARCHIVES):
                yield from self._members(Path(entry.path), inside + "!")
            else:
                yield Found(here, entry.name, inside, entry.stat().st_size, entry.path)

    def _is_file_inside(self, link: Path, shown: str) -> bool:
        """Whether a link is to a file inside; one to a folder is not followed, so that nothing counts twice."""
        target = link.resolve()
        if not target.exists() or not target.is_relative_to(self.root):
            self._note(shown, f"a link that leads out of the folder, to {printable(str(link.readlink()))}")
            return False
        if target.is_dir():
            self._note(shown, f"a link to {self.shown(target)}, which is read in its own place")
        return target.is_file()

    def _members(self, archive: Path, prefix: str) -> Iterator[Found]:
        """The members of an archive, one pass through it: no member is opened out of order."""
        try:
            with tarfile.open(archive, "r:*", tarinfo=_Member) as tar:
                for member in tar:
                    found = self._member(tar, member, archive, prefix)
                    if found is not None:
                        yield found
                if not getattr(tar, "ended", False):
                    self._note(prefix.removesuffix("!") or archive.name, "damaged archive: it ends too early")
        except (*DAMAGED, OSError) as problem:
            self._note(prefix.removesuffix("!") or archive.name, f"damaged archive: {problem}")

    def _member(self, tar: tarfile.TarFile, member: tarfile.TarInfo, archive: Path, prefix: str) -> Found | None:
        name = PurePosixPath(member.name)
        shown = prefix + printable(name.as_posix())
        if name.is_absolute() or ".." in name.parts:
            self._note(shown, "a path that leads out of the archive")
            return None
        if member.isdir() or SKIPPED & set(name.parts[:-1]):
            if member.isdir():
                self.folders.append(PurePosixPath(archive.parent) / name)
            return None
        if not member.isfile():
            self._note(shown, "a link or device, not a file")
            return None
        if is_archive(Path(name)):
            self._note(shown, "an archive inside an archive: not read")
            return None
        if shown in self._members_seen:
            self._note(shown, "twice in the archive: the last counts")
        self._members_seen.add(shown)
        stream = tar.extractfile(member)
        folder = PurePosixPath(archive.parent) / name.parent
        return None if stream is None else Found(folder, name.name, shown, member.size, None, stream)  # type: ignore[arg-type]

    def _note(self, path: str, problem: str) -> None:
        self.unread.append(Unread(path, problem))
