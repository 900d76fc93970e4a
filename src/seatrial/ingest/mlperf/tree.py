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


def is_archive(path: Path) -> bool:
    return path.name.lower().endswith(ARCHIVES)


class Tree:
    """A folder or an archive. `unread` grows while `files` is walked; `folders` are those of disk."""

    def __init__(self, root: Path) -> None:
        """Raises UnreadableFile where `root` is neither a folder nor a tar archive."""
        self.root = root.resolve()
        self.unread: list[Unread] = []
        self.folders: list[PurePosixPath] = []
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
            yield from self._walk(self.root, "", (self.root,))
        else:
            yield from self._members(self.root, "")

    def shown(self, path: PurePosixPath | Path) -> str:
        """A path as it is named to the user: inside what is read."""
        try:
            return PurePosixPath(path).relative_to(self.base).as_posix()
        except ValueError:
            return str(path)

    def _walk(self, folder: Path, shown: str, chain: tuple[Path, ...]) -> Iterator[Found]:
        """`shown`: the folder's path inside what is read, ending with `/`; `chain`: the folders it lies in."""
        here = PurePosixPath(folder)
        self.folders.append(here)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as problem:
            self._note(shown or ".", problem.strerror or str(problem))
            return
        for entry in entries:
            inside = shown + entry.name
            if entry.is_symlink() and not self._leads_inside(Path(entry.path), inside, chain):
                continue
            if entry.is_dir():
                if entry.name not in SKIPPED:
                    path = Path(entry.path)
                    below = path.resolve() if entry.is_symlink() else path
                    yield from self._walk(path, inside + "/", (*chain, below))
            elif entry.name.lower().endswith(ARCHIVES):
                yield from self._members(Path(entry.path), inside + "!")
            else:
                yield Found(here, entry.name, inside, entry.stat().st_size, entry.path)

    def _leads_inside(self, link: Path, shown: str, chain: tuple[Path, ...]) -> bool:
        target = link.resolve()
        if not target.exists() or not target.is_relative_to(self.root):
            self._note(shown, f"a link that leads out of the folder, to {link.readlink()}")
            return False
        if target in chain:
            self._note(shown, "a link to a folder that it lies in")
            return False
        return True

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
        shown = prefix + name.as_posix()
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
        stream = tar.extractfile(member)
        folder = PurePosixPath(archive.parent) / name.parent
        return None if stream is None else Found(folder, name.name, shown, member.size, None, stream)  # type: ignore[arg-type]

    def _note(self, path: str, problem: str) -> None:
        self.unread.append(Unread(path, problem))
