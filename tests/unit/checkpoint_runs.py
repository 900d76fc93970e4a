"""Runs of the probe checkpoint for its tests: small, in a folder that is given."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from ranks import case

from seatrial.case import Case
from seatrial.errors import MeasurementFailed
from seatrial.measure.checkpoint import run
from seatrial.measure.context import RankContext
from seatrial.measure.storage.backing import Backing, backing_of
from seatrial.measure.storage.counters import Moved
from seatrial.record import Measurement

CPU = torch.device("cpu")
SMALL = 100_003
"""Parameters: at 14 bytes no whole number of pages."""


def checkpoint(folder: Path | str | None, **more: Any) -> dict[str, Any]:
    """A small checkpoint workload."""
    content = {"kind": "checkpoint", "parameters": SMALL, "path": folder and str(folder), "warmup": 0}
    return {**content, "iterations": 2, **more}


def measured(what: Case, rank: int = 0, size: int = 1, repeat: int = 0) -> RankContext:
    """Run the probe on this rank; its context, with what it measured."""
    ctx = RankContext(what, repeat, 3, rank, rank, size, CPU, Path("/nowhere"))
    run.run(ctx)
    return ctx


def alone(folder: Path | str, **more: Any) -> RankContext:
    return measured(case(checkpoint(folder, **more)))


def by_metric(ctx: RankContext) -> dict[str, Measurement]:
    """The measurements by metric and, where a label says it, direction and rank."""
    found = {}
    for m in ctx.measurements:
        parts = [m.metric.removeprefix("checkpoint.")]
        if "_share" in m.metric or m.labels["reached"] != "storage" or "rank" in m.labels:
            parts.append(str(m.labels["direction"]))
        if "rank" in m.labels:
            parts.append(str(m.labels["rank"]))
        found[" ".join(parts)] = m
    return found


def counted(folder: Path) -> Path:
    """The folder; the test is left out where no device counts its bytes."""
    found = backing_of(folder)
    if found.counter is None:
        pytest.skip(f"the temporary folder lies on {found.words}: no device counts its bytes")
    return folder


# what two ranks of their own run (tests/unit/gloo_ranks.py)


class SteadyCounter:
    """Moves by the bytes of one checkpoint between any two readings."""

    name = "steady"

    def __init__(self, size: int) -> None:
        self.size, self.readings = size, 0

    def read(self) -> Moved:
        self.readings += 1
        return Moved(self.readings * self.size, self.readings * self.size)


def two_ranks(rank: int, size: int, folder: Path) -> dict[str, Any]:
    """What this rank says of both formats, on two nodes that one machine plays, and where rank 1 is full."""
    on = {"ranks": size, "nodes": 2, "tasks_per_node": 1}
    said: dict[str, Any] = {}
    for name, more in {"plain": {"read_from": "next_node"}, "dcp": {"format": "dcp"}}.items():
        workload = checkpoint(folder, **more)
        run.backing_of = lambda path: Backing("counted", "made-up", "a steady disk", SteadyCounter(14 * SMALL))
        ctx = measured(case(workload, **on), rank, size)
        said[name] = (ctx.measurements, ctx.facts, list(folder.iterdir()))
    said["full"] = second_rank_is_full(case(checkpoint(folder, block_bytes=4096), **on), rank, size)
    return said


def second_rank_is_full(what: Case, rank: int, size: int) -> str:
    """What each rank says where rank 1 finds no space in the middle of a checkpoint."""
    right, written = os.pwrite, []

    def full(handle: int, data: Any, offset: int) -> int:
        written.append(offset)
        if rank == 1 and len(written) > 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return right(handle, data, offset)

    os.pwrite = full
    try:
        measured(what, rank, size)
    except MeasurementFailed as problem:
        if rank == 1:
            dist.barrier()  # the other waits to be ended, as a session does
        return f"{problem.kind}: {problem}"
    return "completed"
