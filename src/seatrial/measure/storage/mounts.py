"""The mounts of this process (/proc/self/mountinfo, see proc_pid_mountinfo(5))."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from seatrial.errors import MeasurementFailed

ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """One line of mountinfo: `device` is MAJOR:MINOR, `kind` the file system, `options` those of its superblock."""

    number: int
    device: str
    point: str
    kind: str
    source: str
    options: dict[str, str] = field(default_factory=dict)


def parse_mounts(text: str) -> list[Mount]:
    """Every mount of a mountinfo file, in its order; lines that are none are left out."""
    found = []
    for line in text.splitlines():
        head, separator, tail = line.partition(" - ")
        left, right = head.split(" "), tail.split(" ")
        if not separator or len(left) < 6 or len(right) < 3 or not left[0].isdigit():
            continue
        pairs = (option.partition("=") for option in right[2].split(","))
        options = {name: _plain(value) for name, _, value in pairs}
        found.append(Mount(int(left[0]), left[2], _plain(left[4]), right[0], _plain(right[1]), options))
    return found


def mount_of(path: Path) -> Mount:
    """The mount that `path`, which must exist, lies on.

    Raises MeasurementFailed where the kernel does not tell, OSError where the path cannot be opened.
    """
    mounts = parse_mounts(Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape"))
    handle = os.open(path, os.O_RDONLY)
    try:
        facts = Path(f"/proc/self/fdinfo/{handle}").read_text(encoding="ascii")
    finally:
        os.close(handle)
    number = next((int(line.split()[1]) for line in facts.splitlines() if line.startswith("mnt_id:")), None)
    for mount in mounts:
        if mount.number == number:
            return mount
    raise MeasurementFailed("crashed", f"{path}: the kernel does not say which mount it lies on")


def _plain(text: str) -> str:
    """Text of mountinfo with its octal escapes (\\040 is a space) resolved."""
    return ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)
