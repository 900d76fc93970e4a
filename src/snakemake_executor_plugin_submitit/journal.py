"""The file of the ledger: JSON lines that are only ever added, of which the last one of each key counts.

Several Snakemakes may write to it, so it is locked while it is read or written. A last line that a killed process
has left without its end is passed over by whoever reads, and cut off by whoever writes next.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

_FEW_BYTES = 1 << 16  # a shorter file is not worth writing anew


def no_note(path: Path, problem: object) -> WorkflowError:
    """A line that no Snakemake wrote like this: which job it stood for, nobody knows, and it may be running."""
    return WorkflowError(
        f"{path} has a line that is no note of a submitted job ({problem}); see with squeue whether a job of this "
        "workflow runs, end it, and remove that line"
    )


class Journal:
    """Objects by their `key`, in one file; a process reads only what was added since it last looked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, dict[str, Any]] = {}
        self._inode, self._read_to = 0, 0

    def read(self) -> dict[str, dict[str, Any]]:
        """The last object of each key. Raises WorkflowError for a line that holds none."""
        try:
            with self._locked(os.O_RDONLY, fcntl.LOCK_SH) as descriptor:
                self._catch_up(descriptor)
        except FileNotFoundError:
            self._known, self._inode, self._read_to = {}, 0, 0
        return self._known

    def append(self, objects: Sequence[dict[str, Any]], durable: bool) -> dict[str, dict[str, Any]]:
        """Add objects; what they take the place of, by key.

        `durable`: they outlast a machine that loses its power when this has returned. Raises OSError where they
        cannot be written, and has added none then; WorkflowError as `read` does.
        """
        content = _lines(objects)
        with self._locked(os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX) as descriptor:
            self._catch_up(descriptor)
            end = self._read_to
            if os.fstat(descriptor).st_size > end:
                os.ftruncate(descriptor, end)  # what a killed writer left of its lines
            try:
                _write(descriptor, content, end)
                if durable:
                    os.fsync(descriptor)
            except BaseException:
                os.ftruncate(descriptor, end)
                raise
            before = {key: self._known[key] for one in objects if (key := one["key"]) in self._known}
            self._known.update({one["key"]: dict(one) for one in objects})
            self._read_to += len(content)
            return before

    def rewrite(self) -> None:
        """Leave only the last object of each key, where that makes the file much shorter."""
        try:
            with self._locked(os.O_RDWR, fcntl.LOCK_EX) as descriptor:
                self._catch_up(descriptor)
                content = _lines(list(self._known.values()))
                if self._read_to > max(_FEW_BYTES, 2 * len(content)):
                    self._replace(content)
        except FileNotFoundError:
            return

    def _replace(self, content: bytes) -> None:
        aside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                _write(descriptor, content, 0)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            aside.replace(self.path)
        except OSError:
            aside.unlink(missing_ok=True)
            raise

    @contextmanager
    def _locked(self, flags: int, lock: int) -> Iterator[int]:
        """A descriptor of the file, locked: also where another process has just put a new file in its place."""
        while True:
            descriptor = os.open(self.path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(descriptor, lock)
                if self._is_at_its_place(descriptor):
                    yield descriptor
                    return
            finally:
                os.close(descriptor)

    def _is_at_its_place(self, descriptor: int) -> bool:
        try:
            return self.path.stat().st_ino == os.fstat(descriptor).st_ino
        except FileNotFoundError:
            return False

    def _catch_up(self, descriptor: int) -> None:
        """Read the whole lines that were added since this process last looked."""
        found = os.fstat(descriptor)
        if found.st_ino != self._inode or found.st_size < self._read_to:
            self._known, self._inode, self._read_to = {}, found.st_ino, 0
        if found.st_size == self._read_to:
            return
        os.lseek(descriptor, self._read_to, os.SEEK_SET)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read()
        self._take(content[: content.rfind(b"\n") + 1])

    def _take(self, content: bytes) -> None:
        """Know whole lines, all or none of them."""
        added = {}
        for line in content.split(b"\n")[:-1]:
            try:
                found = json.loads(line)
                added[str(found["key"])] = dict(found)
            except (ValueError, TypeError, KeyError, RecursionError) as problem:
                raise no_note(self.path, problem) from problem
        self._known.update(added)
        self._read_to += len(content)


def _lines(objects: Sequence[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(content) + "\n" for content in objects).encode()


def _write(descriptor: int, content: bytes, place: int) -> None:
    """Write all of `content` at a place of a file. Raises OSError where it does not all fit."""
    while content:
        written = os.pwrite(descriptor, content, place)
        content, place = content[written:], place + written
