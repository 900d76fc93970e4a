"""Probe memory on one rank; every rank moves its arrays at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from seatrial.config.probe import Memory
from seatrial.measure.context import RankContext
from seatrial.measure.memory import host, within
from seatrial.measure.memory.caches import largest_caches
from seatrial.measure.memory.ceilings import ceiling
from seatrial.measure.room import require_room
from seatrial.measure.timing import add_per_rank, synchronize, time_iterations, wait_for_all
from seatrial.units import GB

if TYPE_CHECKING:
    import torch

KEY = "workload.size_bytes"


def run(ctx: RankContext) -> None:
    """Measure `memory.bandwidth`, or of a copy between host and device `memory.host_bandwidth`, on every rank.

    Within a device, what a cache may have given is `memory.cached_bandwidth`, and where nobody says how large the
    caches are it is `memory.unproven_bandwidth`; the reason is a fact of the record.

    Raises Unsupported for copies without an accelerator, MeasurementFailed (out_of_memory) for arrays that do not
    fit and (wrong_result) for a wrong value.
    """
    import torch

    workload = ctx.case.workload
    assert isinstance(workload, Memory)
    generator = torch.Generator(ctx.device).manual_seed(ctx.seed * ctx.world_size + ctx.rank)
    if workload.host_copy:
        _host_copies(ctx, workload, generator)
    else:
        _within_device(ctx, workload, generator)


def _within_device(ctx: RankContext, workload: Memory, generator: torch.Generator) -> None:
    caches = largest_caches(ctx)
    if workload.size_bytes is None:
        workload = workload.model_copy(update={"size_bytes": max(workload.array_bytes, caches.least_array or 0)})
    metric = caches.metric(workload.array_bytes)
    ctx.facts["memory"] = {
        "last_level_cache_bytes": caches.size,
        "metric": metric,
        "reason": caches.reason(workload.array_bytes),
    }
    held = workload.arrays_held
    require_room(ctx, held * workload.array_bytes, f"{held} array(s)", KEY)
    on = within.arrays(workload, ctx.device, generator)
    wait_for_all(ctx)
    seconds = time_iterations(
        ctx.device, lambda: within.move(workload.operation, on), workload.warmup, workload.iterations
    )
    within.check_arrays(workload.operation, on)
    moved = within.bytes_moved(workload.operation, workload.array_bytes)
    _add(ctx, workload, metric, [moved / s / GB for s in seconds])


def _host_copies(ctx: RankContext, workload: Memory, generator: torch.Generator) -> None:
    host.check_device(ctx.device)
    copies = workload.arrays_held
    places: tuple[Literal["device", "host"], ...] = ("device", "host")
    for where in places:
        require_room(ctx, copies * workload.array_bytes, f"{copies} array(s)", KEY, where)
    on = host.copies(workload, ctx.device, generator)
    synchronize(ctx.device)  # what fills the arrays is done before a stream of its own copies them
    wait_for_all(ctx)
    seconds = time_iterations(
        ctx.device,
        lambda: host.copy(on),
        workload.warmup,
        workload.iterations,
        on_host=workload.host_memory == "pageable",
    )
    host.check_copies(on)
    moved = copies * workload.array_bytes
    _add(ctx, workload, "memory.host_bandwidth", [moved / s / GB for s in seconds])


def _add(ctx: RankContext, workload: Memory, metric: str, samples: list[float]) -> None:
    labels: dict[str, str | int | float | bool] = {
        "operation": workload.operation,
        "dtype": workload.dtype,
        "size_bytes": workload.array_bytes,
    }
    if workload.host_copy:
        labels["host_memory"] = workload.host_memory
    # a memory's bandwidth does not bound its caches'
    bound = None if metric == "memory.cached_bandwidth" else ceiling(ctx.case.target, workload)
    add_per_rank(ctx, metric, samples, labels, bound)
