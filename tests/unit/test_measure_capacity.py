"""What a rank may still allocate: the host's memory or its control group's, shared by the node's ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ranks import case

from seatrial.errors import MeasurementFailed
from seatrial.measure import capacity, room
from seatrial.measure.context import RankContext

CPU = torch.device("cpu")
MIB = 2**20


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc with 1000 MiB available and no control group, and an empty /sys/fs/cgroup."""
    monkeypatch.setattr(capacity, "PROC", tmp_path / "proc")
    monkeypatch.setattr(capacity, "CGROUP", tmp_path / "cgroup")
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable:    {1000 * 1024} kB\n")
    return tmp_path


def group(folder: Path, limit: str, used: int, files: int = 0, version: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    for name, value in zip(names, (limit, used), strict=True):
        (folder / name).write_text(f"{value}\n")
    prefix = "" if version == 2 else "total_"
    (folder / "memory.stat").write_text(f"anon 5\n{prefix}inactive_file {files}\n{prefix}active_file 0\n")


def test_ranks_of_a_node_share_what_the_host_has(kernel: Path) -> None:
    assert capacity.available_bytes(CPU, 4) == (
        int(237.5 * MIB),
        "MemAvailable of the host less 5 %, shared by 4 rank(s)",
    )


def test_control_group_above_the_process_limits_it_and_page_cache_gives_way(kernel: Path) -> None:
    (kernel / "proc" / "self" / "cgroup").write_text("0::/slurm/job_7/step_0\n")
    group(kernel / "cgroup" / "slurm" / "job_7" / "step_0", "max", 50 * MIB)
    group(kernel / "cgroup" / "slurm" / "job_7", str(400 * MIB), 150 * MIB, files=50 * MIB)
    assert capacity.available_bytes(CPU, 2) == (
        int(142.5 * MIB),
        "what the job's control group allows less 5 %, shared by 2 rank(s)",
    )


def test_first_version_of_control_groups(kernel: Path) -> None:
    (kernel / "proc" / "self" / "cgroup").write_text("5:cpu:/x\n4:memory:/job_7\n1:name=systemd:/\n")
    group(kernel / "cgroup" / "memory" / "job_7", str(80 * MIB), 90 * MIB, files=30 * MIB, version=1)
    assert capacity.cgroup_bytes() == 20 * MIB


def test_groups_without_a_limit_limit_nothing(kernel: Path) -> None:
    (kernel / "proc" / "self" / "cgroup").write_text("0::/\n")
    group(kernel / "cgroup", "max", 1)
    assert capacity.cgroup_bytes() is None
    assert capacity.available_bytes(CPU, 1)[0] == 950 * MIB


def test_this_machine_has_some_memory_left() -> None:
    assert 0 < capacity.available_bytes(CPU, 1)[0] < 2**50


@pytest.mark.parametrize("where", ["device", "host"])
def test_what_is_kept_back_cannot_be_asked_for(kernel: Path, where: Any) -> None:
    probe = {"kind": "memory", "operation": "copy", "size_bytes": 4}
    ctx = RankContext(case(probe), 0, 3, 0, 0, 1, CPU, kernel)
    room.require_room(ctx, 950 * MIB, "arrays", "workload.size_bytes", where)
    with pytest.raises(
        MeasurementFailed, match=r"arrays take 0\.928 GiB on rank 0.*less 5 %.*lower workload"
    ) as failed:
        room.require_room(ctx, 950 * MIB + 1, "arrays", "workload.size_bytes", where)
    assert failed.value.kind == "out_of_memory"
