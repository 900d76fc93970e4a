"""What a file system stands on: a device or server that counts its bytes, memory, or what tells nothing."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seatrial.measure.storage.counters import BlockCounter, Counter, GroupCounter, LustreCounter, NfsCounter
from seatrial.measure.storage.mounts import Mount, mount_of

MEMORY = {"tmpfs", "ramfs", "devtmpfs", "hugetlbfs"}
NETWORK = {
    *("nfs", "nfs4", "lustre", "ceph", "cifs", "smb3", "beegfs", "gpfs", "wekafs", "glusterfs", "9p", "virtiofs")
}
DEEPEST = 6
"""Overlays, loop devices and device mappers that stand on each other."""

Kind = Literal["counted", "memory", "unknown"]


@dataclass(frozen=True)
class Backing:
    """`words` says what the path lies on; `file_system` is the kind of its mount; `counter` is there if counted."""

    kind: Kind
    file_system: str
    words: str
    counter: Counter | None = None


def backing_of(path: Path) -> Backing:
    """What `path`, which must exist, stands on. Raises OSError where it cannot be opened."""
    mount = mount_of(path)
    kind, below, counter = _below(mount, Path("/"), 0)
    if counter is not None and (why := _silent(counter)):
        kind, below, counter = "unknown", f"{below}; {why}", None
    return Backing(kind, mount.kind, f"{mount.kind} on {below}", counter)


def is_network(file_system: str) -> bool:
    """Whether a file system of this kind usually lies on another machine, shared by all nodes."""
    return file_system in NETWORK or file_system.startswith("fuse.")


Found = tuple[Kind, str, Counter | None]


def _below(mount: Mount, root: Path, depth: int) -> Found:
    if depth > DEEPEST:
        return "unknown", f"more than {DEEPEST} layers", None
    if mount.kind in MEMORY:
        return "memory", "memory", None
    if mount.kind in ("nfs", "nfs4"):
        return "counted", mount.source, NfsCounter(mount.point, mount.source, root)
    if mount.kind == "lustre":
        return "counted", mount.source, LustreCounter(mount.source.rpartition(":/")[2].split("/")[0], root)
    if mount.kind == "overlay":
        if "volatile" in mount.options or mount.options.get("fsync") == "volatile":
            return "unknown", "an overlay that is mounted volatile: fsync does nothing", None
        upper = Path(mount.options.get("upperdir", ""))
        if upper.is_absolute() and upper.is_dir():
            return _below(mount_of(upper), root, depth + 1)
        return _of_group("an overlay whose upper folder is not visible here", root)
    if mount.kind == "btrfs":
        return _of_btrfs(mount, root, depth)
    if (root / "sys/dev/block" / mount.device).exists():
        return of_device(mount.device, root, depth)
    source = _device_number(mount.source)
    if source is not None and (root / "sys/dev/block" / source).exists():
        return of_device(source, root, depth)
    return "unknown", f"{mount.source}, for which this kernel counts no bytes", None


def of_device(device: str, root: Path, depth: int = 0) -> Found:
    """What a block device (MAJOR:MINOR) stands on, down through device mappers, RAID and loop devices."""
    place = (root / "sys/dev/block" / device).resolve()
    whole = place.parent if (place / "partition").exists() else place
    words = f"{place.name} ({device})"
    if whole.name.startswith(("zram", "ram")):
        return "memory", f"{words}, a disk in memory", None
    backing_file = whole / "loop" / "backing_file"
    if whole.name.startswith("loop") and backing_file.exists():
        return _of_loop(words, Path(backing_file.read_text(encoding="utf-8").strip()), root, depth)
    for slave in sorted((whole / "slaves").glob("*")):
        kind, below, _ = of_device((slave / "dev").read_text(encoding="ascii").strip(), root, depth + 1)
        if kind != "counted":
            return kind, f"{words} over {below}", None
    if _text(whole / "queue" / "iostats") == "0":
        return "unknown", f"{words}, whose statistics are switched off (queue/iostats)", None
    return "counted", words, BlockCounter((device,), root)


def _of_loop(words: str, file: Path, root: Path, depth: int) -> Found:
    """A loop device counts what it passes on, also where a cache of the file below swallows it: ask below."""
    if not file.exists():
        return "unknown", f"{words} over {file}, which is not visible here", None
    kind, below, counter = _below(mount_of(file), root, depth + 1)
    return kind, f"{words} over {file} on {below}", counter


def _of_btrfs(mount: Mount, root: Path, depth: int) -> Found:
    """All devices of the btrfs that has the mount's source among its own."""
    source = _device_number(mount.source)
    for folder in sorted((root / "sys/fs/btrfs").glob("*/devices")):
        devices = [(entry / "dev").read_text(encoding="ascii").strip() for entry in sorted(folder.glob("*"))]
        if source not in devices:
            continue
        found = [of_device(device, root, depth + 1) for device in devices]
        for kind, below, _ in found:
            if kind != "counted":
                return kind, below, None
        return "counted", ", ".join(below for _, below, _ in found), BlockCounter(tuple(devices), root)
    if source is not None and (root / "sys/dev/block" / source).exists():
        return of_device(source, root, depth)
    return "unknown", f"{mount.source}, for which this kernel counts no bytes", None


def _of_group(words: str, root: Path) -> Found:
    """The control group's own bytes, where version 2 counts them."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        if line.startswith("0::"):
            folder = root / "sys/fs/cgroup" / line.removeprefix("0::").lstrip("/")
            if (folder / "io.stat").exists():
                return "counted", f"{words}; counted by the control group", GroupCounter(folder)
    return "unknown", words, None


def _silent(counter: Counter) -> str | None:
    """Why a counter cannot be read, or None."""
    try:
        counter.read()
    except (OSError, ValueError, IndexError) as problem:
        return f"its counter cannot be read ({problem})"
    return None


def _device_number(source: str) -> str | None:
    """MAJOR:MINOR of a block device's file; None where `source` is none."""
    try:
        facts = Path(source).stat()
    except OSError:
        return None
    if not stat.S_ISBLK(facts.st_mode):
        return None
    return f"{os.major(facts.st_rdev)}:{os.minor(facts.st_rdev)}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
