"""Nodes under a limit of the kernel: control groups of version 1, which all processes of a node enter and leave."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from faults.cluster import Cluster

HIERARCHIES = Path("/sys/fs/cgroup")
ATTEMPTS = 100
"""A process that starts another one while it is moved leaves that one behind, for the next attempt."""


def why_not(controller: str) -> str | None:
    """Why no group with this controller (`blkio`) can be made on this machine, or None."""
    folder = HIERARCHIES / controller
    if not (folder / "cgroup.procs").exists():
        return f"cgroup v1's {controller} controller is not mounted at {folder}"
    try:
        Path(tempfile.mkdtemp(prefix="trial", dir=folder)).rmdir()
    except OSError as problem:
        return str(problem)
    return None


@contextmanager
def limited(cluster: Cluster, nodes: Sequence[str], controller: str, limits: Mapping[str, str]) -> Iterator[None]:
    """All processes of `nodes`, and all that they start, in one group with these `limits` (file -> text)."""
    folder = HIERARCHIES / controller
    home = group_of(cluster, nodes[0], controller)
    group = Path(tempfile.mkdtemp(prefix=f"{cluster.base.name}-fault", dir=folder))
    try:
        for name, text in limits.items():
            (group / name).write_text(text)
        for node in nodes:
            _enter(cluster, node, group)
        yield
    finally:
        _dissolve(group, home)


def group_of(cluster: Cluster, node: str, controller: str) -> Path:
    """The group of a controller that a node is in. Raises FileNotFoundError where the node has ended."""
    pid = cluster.processes(node)[0].pid
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return HIERARCHIES / controller / path.lstrip("/")
    raise ValueError(f"process {pid} is in no group of {controller}")


def _enter(cluster: Cluster, node: str, group: Path) -> None:
    for _ in range(ATTEMPTS):
        inside = set(_members(group))
        outside = [process.pid for process in cluster.processes(node) if process.pid not in inside]
        if not outside:
            return
        for pid in outside:
            _put(pid, group)
    raise RuntimeError(f"the processes of {node} could not be put into {group}")


def _dissolve(group: Path, home: Path) -> None:
    """Send all members home and remove the group."""
    for _ in range(ATTEMPTS):
        members = _members(group)
        if not members:
            break
        for pid in members:
            _put(pid, home)
    group.rmdir()


def _members(group: Path) -> list[int]:
    return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]


def _put(pid: int, group: Path) -> None:
    try:
        (group / "cgroup.procs").write_text(str(pid))
    except ProcessLookupError:
        return  # it ended meanwhile
