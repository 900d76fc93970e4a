"""What the declared storage allows, known before anything is measured."""

from __future__ import annotations

from pathlib import Path

from seatrial.config.probe.checkpoint import Checkpoint
from seatrial.config.target import Storage, Target
from seatrial.measure.checkpoint.evidence import Direction


def storage_of(target: Target, workload: Checkpoint) -> Storage | None:
    """The declared storage that a case writes to: by name, else the one with the longest path above the case's."""
    if workload.storage is not None:
        return target.storage.get(workload.storage)
    assert workload.path is not None
    above = [
        storage
        for storage in target.storage.values()
        if storage.path is not None and Path(workload.path).is_relative_to(storage.path)
    ]
    return max(above, key=lambda storage: len(Path(storage.path or "").parts), default=None)


def ceiling(target: Target, workload: Checkpoint, direction: Direction) -> tuple[float, str] | None:
    """GB/s that the storage allows all nodes of a case together, with its basis; None where nothing is declared.

    The least of the whole system's rate and of one node's times the nodes.
    """
    storage = storage_of(target, workload)
    if storage is None:
        return None
    writes = direction == "write"
    whole = storage.write_gbps if writes else storage.read_gbps
    node = storage.write_gbps_per_node if writes else storage.read_gbps_per_node
    bounds = []
    if whole is not None and whole.value is not None:
        bounds.append((whole.value, f"{direction} rate of {storage.name}: {whole.source}"))
    if node is not None and node.value is not None:
        count = f"{target.nodes} node" + ("s" if target.nodes > 1 else "")
        words = f"{count} at {node.value:g} GB/s to {storage.name}: {node.source}"
        bounds.append((node.value * target.nodes, words))
    return min(bounds, default=None)
