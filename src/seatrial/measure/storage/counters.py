"""What counts the bytes of a file system: its block device, its connection to a server, or its control group.

A counter says what this kernel sent and fetched. What lies behind the device (a host's cache behind a virtual disk,
a controller's memory, a server's cache) no counter of this machine can see.
"""

from __future__ import annotations

import glob
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

OWN = Path("/proc/self/io")
SECTOR = 512
"""Bytes of a sector in the kernel's statistics, whatever the device's own."""


class Moved(NamedTuple):
    """Bytes read and written so far."""

    read: float
    written: float

    def since(self, before: Moved) -> Moved:
        return Moved(self.read - before.read, self.written - before.written)


class Counter(Protocol):
    """Something that counts bytes. Two counters of one machine with the same `name` count the same bytes."""

    @property
    def name(self) -> str: ...

    def read(self) -> Moved:
        """Bytes so far. Raises OSError or ValueError where they cannot be read."""
        ...


@dataclass(frozen=True)
class BlockCounter:
    """Sectors of block devices: /sys/dev/block/MAJOR:MINOR/stat (kernel documentation, block/stat.rst)."""

    devices: tuple[str, ...]
    root: Path = Path("/")

    @property
    def name(self) -> str:
        return f"block device {', '.join(self.devices)}"

    def read(self) -> Moved:
        moved = []
        for device in self.devices:
            fields = (self.root / "sys/dev/block" / device / "stat").read_text(encoding="ascii").split()
            moved.append(Moved(int(fields[2]) * SECTOR, int(fields[6]) * SECTOR))
        return _total(moved)


@dataclass(frozen=True)
class NfsCounter:
    """Bytes to and from an NFS server: the line `bytes:` of /proc/self/mountstats, its fifth and sixth figure."""

    point: str
    source: str
    root: Path = Path("/")

    @property
    def name(self) -> str:
        return f"NFS mount of {self.source}"

    def read(self) -> Moved:
        inside = False
        for line in (self.root / "proc/self/mountstats").read_text(encoding="utf-8").splitlines():
            if line.startswith("device "):
                inside = f" mounted on {self.point} with fstype nfs" in line
            elif inside and line.strip().startswith("bytes:"):
                figures = line.split()[1:]
                return Moved(int(figures[4]), int(figures[5]))
        raise ValueError(f"/proc/self/mountstats has no bytes of {self.point}")


@dataclass(frozen=True)
class LustreCounter:
    """Bytes of Lustre's object storage clients (osc.*.stats): what goes over the wire, not what llite serves."""

    file_system: str
    root: Path = Path("/")

    @property
    def name(self) -> str:
        return f"Lustre clients of {self.file_system}"

    def read(self) -> Moved:
        return _total(_lustre_bytes(path.read_text(encoding="ascii")) for path in self._files())

    def _files(self) -> list[Path]:
        for place in ("sys/kernel/debug/lustre/osc", "proc/fs/lustre/osc"):
            pattern = f"{glob.escape(self.file_system)}-OST*/stats"
            if found := sorted((self.root / place).glob(pattern)):
                return found
        raise FileNotFoundError(f"no osc statistics of {self.file_system}: root reads them in debugfs")


@dataclass(frozen=True)
class GroupCounter:
    """Bytes of this process's control group on all block devices (io.stat of version 2)."""

    path: Path

    @property
    def name(self) -> str:
        return f"control group {self.path.name or '/'}"

    def read(self) -> Moved:
        moved = []
        for line in (self.path / "io.stat").read_text(encoding="ascii").splitlines():
            figures = dict(word.split("=", 1) for word in line.split()[1:] if "=" in word)
            moved.append(Moved(int(figures.get("rbytes", 0)), int(figures.get("wbytes", 0))))
        return _total(moved)


def own_bytes() -> Moved | None:
    """What this process made the kernel fetch and dirty, from /proc/self/io; None where the kernel does not count.

    `read` counts when a block is fetched from below the page cache, `written` when a page becomes dirty: evidence
    for a read, none for a write.
    """
    try:
        lines = OWN.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    figures = dict(line.split(": ", 1) for line in lines if ": " in line)
    if "read_bytes" not in figures or "write_bytes" not in figures:
        return None
    return Moved(int(figures["read_bytes"]), int(figures["write_bytes"]))


class OwnReads:
    """What `own_bytes` counts as read, in microseconds instead of tens of them: of every sample there is a look."""

    def __init__(self) -> None:
        self._process, self._file = 0, None  # type: int, io.FileIO | None

    def so_far(self) -> int | None:
        """Bytes that this process has made the kernel fetch; None where the kernel does not count."""
        if self._process != os.getpid():  # a file that was opened before a fork still counts the parent
            self._process, self._file = os.getpid(), _opened(OWN)
        if self._file is None:
            return None
        _, found, rest = os.pread(self._file.fileno(), 4096, 0).partition(b"\nread_bytes: ")
        return int(rest.partition(b"\n")[0]) if found else None


def _opened(path: Path) -> io.FileIO | None:
    try:
        return path.open("rb", buffering=0)
    except OSError:
        return None


def _lustre_bytes(text: str) -> Moved:
    """Sums of the lines `read_bytes N samples [bytes] MIN MAX SUM` and `write_bytes ...`."""
    sums = {"read_bytes": 0, "write_bytes": 0}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 7 and words[0] in sums:
            sums[words[0]] += int(words[6])
    return Moved(sums["read_bytes"], sums["write_bytes"])


def _total(parts: Iterable[Moved]) -> Moved:
    read = written = 0.0
    for part in parts:
        read, written = read + part.read, written + part.written
    return Moved(read, written)
