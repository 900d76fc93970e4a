"""Slurm's partitions and nodes, as `scontrol` and `sinfo` print them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

SINFO_FORMAT = "%R|%N|%t|%c|%m|%G|%f"
"""A line for each node of each partition: partition, node, state, CPUs, memory (MB), GRES, features."""
WORKING = frozenset({"idle", "mix", "alloc", "comp", "plnd", "resv", "block"})
"""States (sinfo's short words) of nodes that take jobs, now or when what runs there has ended."""
POWERED_DOWN = "~"
"""After the state: the node is switched off and is switched on for a job."""
NOT_RESPONDING = "*"


@dataclass(frozen=True)
class Node:
    """One node of a partition."""

    name: str
    state: str
    cpus: int
    memory_mb: int
    gpus: int
    features: frozenset[str]

    @property
    def works(self) -> bool:
        """Whether it takes jobs, or will."""
        return self.state.rstrip("~#!%$@^+-") in WORKING


@dataclass(frozen=True)
class Partition:
    """One partition. Limits None: there is none."""

    name: str
    state: str
    is_default: bool
    minutes: int | None
    most_nodes: int | None
    nodes: Sequence[Node] = ()


def read_partitions(scontrol: str, sinfo: str) -> list[Partition]:
    """From `scontrol show partition --oneliner` and `sinfo --Node --format=SINFO_FORMAT`."""
    nodes: dict[str, dict[str, Node]] = {}
    for line in sinfo.splitlines():
        words = line.strip().split("|")
        if len(words) != 7:
            continue
        partition, name, state, cpus, memory, gres, features = words
        node = Node(name, state, _number(cpus), _number(memory), gpus_of(gres), frozenset(features.split(",")))
        nodes.setdefault(partition, {})[name] = node
    found = []
    for line in scontrol.splitlines():
        facts = dict(re.findall(r"(\S+?)=(\S*)", line))
        if "PartitionName" not in facts:
            continue
        name = facts["PartitionName"]
        most = facts.get("MaxNodes", "UNLIMITED")
        found.append(
            Partition(
                name=name,
                state=facts.get("State", "unknown"),
                is_default=facts.get("Default") == "YES",
                minutes=minutes_of(facts.get("MaxTime", "UNLIMITED")),
                most_nodes=int(most) if most.isdigit() else None,
                nodes=list(nodes.get(name, {}).values()),
            )
        )
    return found


def gpus_of(gres: str) -> int:
    """GPUs in Slurm's words for generic resources: `gpu:2`, `gpu:h100:8(S:0-1)`, `(null)`."""
    return sum(int(n) for n in re.findall(r"(?:^|,)gpu(?::[^:(),]+)?:(\d+)", gres))


def minutes_of(text: str) -> int | None:
    """Slurm's time limit (`30`, `30:00`, `1:30:00`, `2-00:00:00`) in whole minutes; None: unlimited.

    Raises ValueError where it is none.
    """
    if text.upper() in ("UNLIMITED", "INFINITE", "NONE", "N/A"):
        return None
    days, dash, rest = text.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if dash:
        hours, minutes = (*parts, 0, 0)[:2]
    elif len(parts) == 3:
        hours, minutes = parts[:2]
    else:
        hours, minutes = 0, parts[0]
    return int(days or 0) * 1440 + hours * 60 + minutes


def _number(text: str) -> int:
    """`64`, or `64+` where nodes that are printed together differ."""
    found = re.match(r"\d+", text)
    return int(found.group()) if found else 0
