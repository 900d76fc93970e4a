"""The files of what somebody hands over: one file, or all below a folder. Nothing is written, no link leads out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seatrial.errors import UnreadableFile

DEEPEST = 32
LARGEST = 1 << 30
"""Bytes; a longer log is none that a test program writes."""
ARCHIVES = (".tar", ".tgz", ".zip", ".gz", ".xz", ".bz2", ".zst", ".7z")


@dataclass(frozen=True, slots=True)
class Remark:
    """A file, or a place in one, that could not be read, and why."""

    place: str
    problem: str


@dataclass(frozen=True, slots=True)
class HandedFile:
    """A file, and how it is named to the user: by its path inside what was handed over."""

    path: Path
    shown: str

    def content(self) -> bytes:
        """Raises OSError where it cannot be read."""
        return self.path.read_bytes()


def handed_files(path: Path, archives: tuple[str, ...] = ARCHIVES) -> tuple[list[HandedFile], list[Remark]]:
    """The files in order of path, and what lies there that is not read. Hidden files are passed over.

    `archives`: endings of what the caller cannot unpack. Raises UnreadableFile where there is neither a file nor a
    folder at `path`.
    """
    if path.is_file():
        return [HandedFile(path, path.name)], []
    if not path.is_dir():
        raise UnreadableFile(path, "there is no such file or folder")
    files: list[HandedFile] = []
    remarks: list[Remark] = []
    for found in _below(path, path.resolve(), "", 0, archives):
        if isinstance(found, Remark):
            remarks.append(found)
        else:
            files.append(found)
    return files, remarks


def _below(
    folder: Path, root: Path, prefix: str, depth: int, archives: tuple[str, ...]
) -> Iterator[HandedFile | Remark]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as problem:
        yield Remark(prefix or ".", problem.strerror or str(problem))
        return
    for entry in entries:
        shown, path = prefix + printable(entry.name), Path(entry.path)
        if entry.name.startswith("."):
            continue
        if entry.is_symlink() and not path.resolve().is_relative_to(root):
            yield Remark(shown, "a link that leads out of the folder")
        elif entry.is_dir(follow_symlinks=False):
            if depth >= DEEPEST:
                yield Remark(shown, f"more than {DEEPEST} folders deep: not read")
            else:
                yield from _below(path, root, shown + "/", depth + 1, archives)
        elif not entry.is_file():
            yield Remark(shown, "neither a file nor a folder of its own")
        elif entry.name.lower().endswith(archives):
            yield Remark(shown, "an archive is not read: unpack it")
        elif entry.stat().st_size > LARGEST:
            yield Remark(shown, f"longer than {LARGEST >> 20} MiB: not read")
        else:
            yield HandedFile(path, shown)


def printable(text: str) -> str:
    """`text` without what would change a terminal or be no UTF-8."""
    return "".join(c if c.isprintable() else "?" for c in text.encode("utf-8", "replace").decode())
