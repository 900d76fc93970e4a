"""How many nodes a partition gives to one job: what asks for more can never start, what asks for less waits."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_executor_ends import Cluster, cluster, job_of

from snakemake_executor_plugin_submitit import slurm
from snakemake_executor_plugin_submitit.status import Accounting, Queued

__all__ = ["cluster"]  # a fixture, found by its name
PARTITION = (
    "PartitionName={name} AllowGroups=ALL MaxNodes={most} MaxTime=1:00 State=UP TotalCPUs=8 TotalNodes={all}\n"
)


@pytest.mark.parametrize(
    ("asked", "limits", "most"),
    [
        ("trial", {"trial": ("UNLIMITED", 2)}, 2),  # seen: -N3 waits there as PartitionNodeLimit
        ("trial", {"trial": (8, 2)}, 2),
        ("trial", {"trial": (2, 8)}, 2),
        ("trial", {"trial": ("UNLIMITED", 0)}, None),  # its nodes may come, and go
        ("trial", {"trial": (3, 0)}, 3),
        ("trial", {}, None),
        ("trial,wide", {"trial": (1, 2), "wide": ("UNLIMITED", 4), "wider": (16, 16)}, 4),
        ("trial,wide", {"trial": (1, 2)}, None),
    ],
)
def test_a_partition_gives_to_one_job_no_more_nodes_than_it_has(
    monkeypatch: pytest.MonkeyPatch, asked: str, limits: dict[str, tuple[object, int]], most: int | None
) -> None:
    calls: list[list[str]] = []

    def scontrol(words: list[str], *_: object, **__: object) -> str:
        calls.append(words)
        lines = {n: PARTITION.format(name=n, most=limit, all=total) for n, (limit, total) in limits.items()}
        return lines.get(words[-1], "") if words[-1] != "partition" else "".join(lines.values())

    monkeypatch.setattr(slurm, "_run", scontrol)
    assert slurm.most_nodes(asked, 5) == most
    assert len(calls) == 1


def test_a_partition_is_asked_for_once_for_all_jobs_that_wait_for_its_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: Cluster
) -> None:
    asked: list[str] = []
    cancelled: list[str] = []
    jobs = [job_of(tmp_path, str(number)) for number in range(3)]
    places = [Queued(str(n), "PENDING", "PartitionNodeLimit", "n", n + 1, "trial") for n in range(3)]

    def most_nodes(partition: str, _: float) -> int:
        asked.append(partition)
        return 2

    monkeypatch.setattr(slurm, "queue", lambda *_: {place.job_id: place for place in places})
    monkeypatch.setattr(slurm, "most_nodes", most_nodes)
    monkeypatch.setattr(slurm, "cancel", lambda ids, _: cancelled.extend(ids))
    cluster.accounting = {place.job_id: Accounting("PENDING") for place in places}
    for looks in (1, 2):
        cluster.watcher.look(jobs)
        assert asked == ["trial"] * looks
        cluster.seconds += 30
    assert cancelled == ["2"], "three nodes of two: the others wait for nodes that are down"
