"""The work of the probe on a rank: every size timed, its result checked, its samples kept."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from seatrial.config.probe import ELEMENT_BYTES, Collective
from seatrial.config.probe.collective import LEAST_ITERATIONS
from seatrial.errors import MeasurementFailed, Unsupported
from seatrial.measure.capacity import available_bytes
from seatrial.measure.ceilings import bus_factor, collective_ceiling
from seatrial.measure.collective import nccl_tests
from seatrial.measure.collective.exchange import EXCHANGES, Exchange, perform
from seatrial.measure.collective.wire import Wire, wire
from seatrial.measure.context import RankContext
from seatrial.measure.timing import busy_bytes, slowest_rank, start_together, time_iterations
from seatrial.record import measurement
from seatrial.units import GB, format_bytes

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

COPIED_BY_GLOO = ("all_gather", "reduce_scatter")
"""Of these torch makes a copy of the large tensor (2.13, by the peak of the ranks' memory)."""


class Bounds(NamedTuple):
    """What the numbers are held against, known before them."""

    bus: tuple[float, str] | None
    wire: Wire | None


def run(ctx: RankContext) -> None:
    """Measure time, algorithm, bus and wire bandwidth of the collective at each size.

    Raises Unsupported on a single rank, for a size that the ranks do not divide, and for an operation or dtype
    that the backend has not; MeasurementFailed: out_of_memory at the first size that would not fit, once all
    smaller ones are measured; wrong_result on a rank that held a wrong element after any iteration. What was
    measured before that is kept.
    """
    import torch.distributed as dist

    workload = ctx.case.workload
    assert isinstance(workload, Collective)
    if ctx.world_size < 2:
        raise Unsupported(
            f"{workload.operation} needs two or more ranks; raise target.nodes or target.tasks_per_node of the case"
        )
    if workload.implementation == "nccl_tests":
        nccl_tests.run(ctx)
        return
    sizes = whole_sizes(workload, ctx.world_size)
    backend = dist.get_backend()
    bounds = Bounds(
        collective_ceiling(ctx.case.target, workload.operation, backend),
        wire(ctx.case.target, workload.operation, backend),
    )
    refused, fitting = room_for(ctx, workload, list(sizes))
    kept: dict[int, int] = {}
    for size in fitting:
        exchange = make(ctx, workload, size)
        own = time_exchange(ctx, workload, exchange)
        check(exchange, workload.operation)
        del exchange  # the next size needs its room
        # A rank whose check fails never comes here, and without it nobody gets further: no number.
        seconds = slowest_rank(ctx, own)
        _add(ctx, workload, size, seconds, bounds)
        kept[size] = len(seconds)
        _say(ctx, workload, sizes, kept)
    _log(ctx, workload, sizes, kept)
    if refused is not None:
        raise refused


def whole_sizes(workload: Collective, ranks: int) -> dict[int, int]:
    """The sizes in bytes that are measured, with what was asked. Raises Unsupported where one does not divide."""
    try:
        return workload.real_sizes(ranks)
    except ValueError as problem:
        raise Unsupported(str(problem)) from problem


def room_for(
    ctx: RankContext, workload: Collective, sizes: list[int]
) -> tuple[MeasurementFailed | None, list[int]]:
    """What to raise at the first of `sizes` (ascending) for which this rank lacks room, and those with room on all.

    Nothing is allocated. Call it on every rank: they agree on the sizes.
    """
    import torch
    import torch.distributed as dist

    available, whose = available_bytes(ctx.device, ctx.case.target.tasks_per_node)
    available -= busy_bytes(ctx.device)
    needed = [needed_bytes(workload, size, ctx.world_size, dist.get_backend()) for size in sizes]
    mine = next((place for place, bytes_ in enumerate(needed) if bytes_ > available), len(sizes))
    everywhere = torch.tensor([mine], device=ctx.device)
    dist.all_reduce(everywhere, op=dist.ReduceOp.MIN)
    fitting = sizes[: int(everywhere)]
    if mine == len(sizes):
        return None, fitting
    key = "size_bytes" if workload.sizes is None else "sizes.largest"
    problem = (
        f"{workload.operation} of {format_bytes(sizes[mine])} ({sizes[mine]} bytes) needs buffers of "
        f"{needed[mine]} bytes on each rank, and {max(0, available)} are available ({whose}); choose "
        f"workload.{key} of at most {max(0, int(sizes[mine] * available / needed[mine]))} bytes. "
        "Nothing was allocated for it"
    )
    kept = f"; {len(fitting)} smaller size(s) are measured" if fitting else ""
    return MeasurementFailed("out_of_memory", problem + kept), fitting


def needed_bytes(workload: Collective, size: int, ranks: int, backend: str) -> int:
    """Bytes of one rank's buffers for a message of `size` bytes, the backend's copy included."""
    element = ELEMENT_BYTES[workload.dtype]
    held = sum(EXCHANGES[workload.operation].buffer_elements(size // element, ranks)) * element
    return held + (size if backend == "gloo" and workload.operation in COPIED_BY_GLOO else 0)


def make(ctx: RankContext, workload: Collective, size: int) -> Exchange:
    """The exchange of messages of `size` bytes."""
    import torch

    elements = size // ELEMENT_BYTES[workload.dtype]
    dtype: torch.dtype = getattr(torch, workload.dtype)
    return EXCHANGES[workload.operation](ctx.rank, ctx.world_size, elements, dtype, ctx.device)


def time_exchange(ctx: RankContext, workload: Collective, exchange: Exchange) -> list[float]:
    """Seconds of each timed iteration at the exchange's size, on this rank.

    Before each of them, untimed, the last result is looked at (see `check`), the buffers are refilled and the ranks
    meet, so that none is charged for another's delay. Every element is looked at of the warm-up's results, and of
    one more that comes after the last timed one.
    """
    import torch.distributed as dist

    before, on_host = start_together(ctx.device, exchange.refill, exchange.look), dist.get_backend() == "gloo"
    operation = partial(perform, exchange, workload.operation)

    def times(count: int, whole: bool) -> list[float]:
        exchange.whole = whole
        return time_iterations(ctx.device, operation, 0, count, before, on_host)

    most = workload.most_seconds_per_size
    if most is None:
        times(workload.warmup, whole=True)
        seconds = times(workload.iterations, whole=False)
    else:
        # All ranks know the same times, so they end the warm-up and choose the iterations alike.
        warm = slowest_rank(ctx, times(1, whole=True))
        while len(warm) < workload.warmup and sum(warm) < most:
            warm += slowest_rank(ctx, times(1, whole=True))
        seconds = times(min(workload.iterations, max(LEAST_ITERATIONS, int(most / min(warm)))), whole=False)
    times(1, whole=True)
    return seconds


def check(exchange: Exchange, operation: str) -> None:
    """What this rank received in every iteration since the last check, warm-up and the untimed last one included.

    Raises MeasurementFailed (wrong_result).
    """
    found = exchange.take_wrong()
    wrong = [place for place, count in enumerate(found, start=1) if count]
    if wrong:
        received = exchange.buffers[-1].numel()
        raise MeasurementFailed(
            "wrong_result",
            f"{operation} of {exchange.elements} elements: {found[wrong[0] - 1]} of {received} received are wrong "
            f"in iteration {wrong[0]} of {len(found)} (untimed ones included); {len(wrong)} of them have wrong "
            "elements",
        )


def _add(ctx: RankContext, workload: Collective, size: int, seconds: list[float], bounds: Bounds) -> None:
    import torch.distributed as dist

    if ctx.rank != 0:
        return
    labels: dict[str, str | int | float | bool] = {
        "operation": workload.operation,
        "dtype": workload.dtype,
        "size_bytes": size,
        "ranks": ctx.world_size,
        "backend": dist.get_backend(),
        "implementation": "torch",
    }
    algorithm = [size / s / GB for s in seconds]
    factor = bus_factor(workload.operation, ctx.world_size)
    value, basis = bounds.bus or (None, None)
    ctx.measurements += [
        measurement("collective.time", seconds, labels),
        measurement("collective.algorithm_bandwidth", algorithm, labels),
        measurement("collective.bus_bandwidth", [a * factor for a in algorithm], labels, value, basis),
    ]
    if bounds.wire is not None:
        carried = [a * factor * bounds.wire.per_bus for a in algorithm]
        ctx.measurements.append(
            measurement("collective.wire_bandwidth", carried, labels, bounds.wire.line_gbps, bounds.wire.basis)
        )


def _say(ctx: RankContext, workload: Collective, sizes: dict[int, int], kept: dict[int, int]) -> None:
    """What became so far of the sizes and iterations that were asked for, in the record's provenance."""
    fewer = {str(size): count for size, count in kept.items() if count < workload.iterations}
    ctx.facts["collective"] = {"rounded": _rounded(sizes), "fewer_iterations": fewer}


def _log(ctx: RankContext, workload: Collective, sizes: dict[int, int], kept: dict[int, int]) -> None:
    fewer = {size: count for size, count in kept.items() if count < workload.iterations}
    if ctx.rank == 0 and _rounded(sizes):
        unit = workload.unit_bytes(ctx.world_size)
        log.info("sizes rounded down to multiples of %d bytes: %s", unit, ", ".join(_rounded(sizes)))
    if ctx.rank == 0 and fewer:
        log.info("fewer than %d iterations within most_seconds_per_size: %s", workload.iterations, fewer)


def _rounded(sizes: dict[int, int]) -> list[str]:
    return [f"{asked} as {size}" for size, asked in sizes.items() if asked != size]
