"""Probe checkpoint: all ranks write a model's state and read it back, each its shard.

All writes come first, then all reads, as MLPerf Storage has it. The time of an iteration is the maximum over
ranks, from a common start to the last rank's last byte; the bandwidth is all ranks' bytes over it. Bytes come from
and go to host memory: a copy from the accelerator is not in it. What a bandwidth is called depends on where the
bytes went, by the counters of device or mount: see evidence.py.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from pathlib import Path
from typing import NamedTuple

from seatrial.config.probe.checkpoint import Checkpoint
from seatrial.errors import MeasurementFailed
from seatrial.measure.capacity import available_on_host
from seatrial.measure.checkpoint import folder as folders
from seatrial.measure.checkpoint.ceiling import ceiling
from seatrial.measure.checkpoint.distributed import DistributedFiles
from seatrial.measure.checkpoint.plain import PlainFiles
from seatrial.measure.checkpoint.rounds import Outcome, Rounds
from seatrial.measure.checkpoint.shards import Shards, shard_bytes
from seatrial.measure.checkpoint.together import Stopped, all_together
from seatrial.measure.context import RankContext
from seatrial.measure.launch import host_name
from seatrial.measure.storage.backing import Backing, backing_of, is_network
from seatrial.measure.storage.counters import BlockCounter, GroupCounter
from seatrial.measure.timing import everyones, wait_for_all
from seatrial.record import measurement
from seatrial.units import GB, format_figure

log = logging.getLogger(__name__)

BOOT = Path("/proc/sys/kernel/random/boot_id")
MEMORY_SLACK = 64 * 1024**2
"""Bytes that a rank needs beside its shard."""
BEHIND = (
    "the counters are this kernel's: a cache behind the device (a host's, a controller's, a server's) is not seen"
)


class Place(NamedTuple):
    """What a rank says of where it is: `boot` tells machines apart, also where one plays several hosts."""

    boot: str
    host: str
    kind: str
    file_system: str
    words: str
    counter: str


def run(ctx: RankContext) -> None:
    """Measure the bandwidth of checkpoints; nothing of them is left.

    Raises MeasurementFailed for a folder that is missing, not writable or full, for too little memory, and
    (wrong_result) for what is read differently from what was written; Unsupported where O_DIRECT or dropping
    caches is asked for and not to be had.
    """
    workload = ctx.case.workload
    assert isinstance(workload, Checkpoint)
    token = everyones(ctx, secrets.token_hex(4))[0]
    try:
        with contextlib.ExitStack() as tidied:
            folder = folders.own_folder(ctx.case, ctx.repeat, token)
            tidied.callback(folders.remove, folder)
            all_together(ctx, folder, folders.make_folder, folder, ctx.case, ctx.repeat)
            if ctx.local_rank == 0:
                tidied.enter_context(folders.removed_in_the_end(folder))
            _measure(ctx, workload, folder)
    except Stopped as stopped:
        wait_for_all(ctx)  # nobody ends before all have tidied up
        if stopped.problem is None:
            wait_for_all(ctx)  # the rank that failed ends the others
            raise MeasurementFailed("crashed", "another rank failed") from None
        raise stopped.problem from stopped


def _measure(ctx: RankContext, workload: Checkpoint, folder: Path) -> None:
    backing = backing_of(folder)
    places = everyones(ctx, _place(backing))
    mine = places[ctx.rank]
    on_machine = [rank for rank, place in enumerate(places) if place.boot == mine.boot]
    reads_counter = min(r for r in on_machine if places[r].counter == mine.counter) == ctx.rank
    all_together(ctx, folder, _check_memory, workload, ctx.world_size, on_machine)
    everywhere = is_network(backing.file_system) or len({place.boot for place in places}) == 1
    sharing = range(ctx.world_size) if everywhere else on_machine
    all_together(ctx, folder, _check_room, workload, ctx.world_size, sharing, folder)
    shards = Shards(ctx.seed, workload.size_bytes, ctx.world_size)
    step = ctx.case.target.tasks_per_node if workload.read_from == "next_node" else 0
    layout = PlainFiles if workload.format == "plain" else DistributedFiles
    files = layout(folder, workload, shards, ctx.rank, (ctx.rank + step) % ctx.world_size)
    rounds = Rounds(
        ctx,
        workload,
        files,
        shards,
        folder,
        counter=backing.counter if reads_counter else None,
        counted=backing.kind == "counted",
        own_counts=isinstance(backing.counter, BlockCounter | GroupCounter),
        first_of_machine=min(on_machine) == ctx.rank,
    )
    kinds, machines = [place.kind for place in places], [place.boot for place in places]
    written = rounds.outcome(rounds.write_all(), kinds, machines)
    if ctx.rank == 0:
        _add(ctx, workload, written, places)
    read = rounds.outcome(rounds.read_all(), kinds, machines)
    resident = max(everyones(ctx, max(rounds.resident)))
    if ctx.rank == 0:
        _add(ctx, workload, read, places)
        ctx.facts["checkpoint"] = {
            "places": sorted({f"{place.host}: {place.words}" for place in places}),
            "evidence": [written.evidence.words(), read.evidence.words(), BEHIND],
            "resident_before_reading": resident,
        }


def _place(backing: Backing) -> Place:
    counter = backing.counter.name if backing.counter is not None else ""
    boot = BOOT.read_text(encoding="ascii").strip()
    return Place(boot, host_name(os.environ), backing.kind, backing.file_system, backing.words, counter)


def _add(ctx: RankContext, workload: Checkpoint, outcome: Outcome, places: list[Place]) -> None:
    """Rank 0: one direction's measurements, under the names that the evidence allows."""
    evidence, size = outcome.evidence, workload.size_bytes
    log.info("%s", evidence.words())
    labels: dict[str, str | int | float | bool] = {
        "direction": evidence.direction,
        "reached": evidence.reached,
        "format": workload.format,
        "size_bytes": size,
        "ranks": ctx.world_size,
        "file_system": ", ".join(sorted({place.file_system for place in places})),
    }
    stored = evidence.reached == "storage"
    value, basis = (ceiling(ctx.case.target, workload, evidence.direction) if stored else None) or (None, None)
    bandwidth = [size / seconds / GB for seconds in outcome.slowest]
    ctx.measurements.append(measurement(evidence.metric, bandwidth, labels, value, basis))
    if evidence.reached in ("storage", "page_cache"):
        ctx.measurements.append(measurement("checkpoint.device_share", evidence.device, labels))
    if not stored:
        return
    ctx.measurements.append(measurement(f"checkpoint.{evidence.direction}_time", outcome.slowest, labels))
    for rank, seconds in enumerate(outcome.by_rank):
        mine = shard_bytes(size, rank, ctx.world_size)
        ctx.measurements.append(
            measurement("checkpoint.rank_bandwidth", [mine / s / GB for s in seconds], {**labels, "rank": rank})
        )


def _check_memory(workload: Checkpoint, ranks: int, on_machine: list[int]) -> None:
    """Raises MeasurementFailed (out_of_memory) where the shards of a machine's ranks do not fit its memory."""
    needed = sum(shard_bytes(workload.size_bytes, rank, ranks) + MEMORY_SLACK for rank in on_machine)
    available, whose = available_on_host()
    if available < needed:
        raise MeasurementFailed(
            "out_of_memory",
            f"the shards of {len(on_machine)} rank(s) need {format_figure(needed / GB)} GB of memory and "
            f"{format_figure(available / GB)} GB are available ({whose}); fewer parameters, or more nodes",
        )


def _check_room(workload: Checkpoint, ranks: int, sharing: range | list[int], folder: Path) -> None:
    at_once = sum(shard_bytes(workload.size_bytes, rank, ranks) for rank in sharing)
    folders.check_room(folder, at_once * workload.kept_at_once)
