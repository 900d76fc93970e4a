"""Whether what a rank is about to allocate fits into the memory that is there for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")
KEPT_BACK = 5
"""Per cent of what is free that nobody may ask for: libraries need room of their own."""


def available_bytes(device: torch.device, ranks_per_node: int) -> tuple[int, str]:
    """Bytes that this rank may still allocate on `device`, and where that figure is from: all probes go by it.

    KEPT_BACK of what is free is left out. An accelerator's free memory; on a CPU an even share of what the host, or
    the job's control group where that is less, still has for the node's ranks. Page cache counts as free.
    """
    if device.type == "cuda":
        import torch

        return _usable(torch.cuda.mem_get_info(device)[0]), f"free memory of {device} less {KEPT_BACK} %"
    usable, whose = available_on_host()
    return usable // ranks_per_node, f"{whose}, shared by {ranks_per_node} rank(s)"


def available_on_host() -> tuple[int, str]:
    """Bytes that all ranks of this node together may still allocate in its memory, and where that is from."""
    host, limit = host_bytes(), cgroup_bytes()
    whose = "MemAvailable of the host"
    if limit is not None and limit < host:
        host, whose = limit, "what the job's control group allows"
    return _usable(host), f"{whose} less {KEPT_BACK} %"


def _usable(free: int) -> int:
    return free * (100 - KEPT_BACK) // 100


def host_bytes() -> int:
    """MemAvailable of the kernel."""
    for line in (PROC / "meminfo").read_text(encoding="utf-8").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    raise OSError(f"{PROC}/meminfo does not say MemAvailable")


def cgroup_bytes() -> int | None:
    """The least that this process's control group and those above it leave; None where nothing is limited."""
    left = []
    for line in _text(PROC / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            left += _left(CGROUP, path, "memory.max", "memory.current", "")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
            left += _left(CGROUP / "memory", path, *names)
    return min(left, default=None)


def _left(root: Path, path: str, limit_name: str, usage_name: str, prefix: str) -> list[int]:
    """What is left in each limited group from `path` up to the root."""
    folder = root / path.lstrip("/")
    left = []
    for group in (folder, *(above for above in folder.parents if above.is_relative_to(root))):
        limit, usage = _text(group / limit_name).strip(), _text(group / usage_name).strip()
        if limit.isdigit() and usage.isdigit():
            left.append(max(0, int(limit) - int(usage) + _page_cache(group, prefix)))
    return left


def _page_cache(group: Path, prefix: str) -> int:
    """Bytes of files that the group holds in memory, which give way to allocations."""
    facts = dict(line.split(None, 1) for line in _text(group / "memory.stat").splitlines())
    return sum(int(facts.get(f"{prefix}{name}", 0)) for name in ("inactive_file", "active_file"))


def _text(path: Path) -> str:
    """A small file of the kernel; empty where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
