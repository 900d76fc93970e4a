"""Probe moe_alltoall: time and bandwidth of dispatch and combine under a declared load.

The time of an iteration is the maximum over ranks; every iteration has its own draw of the load and is kept, with
the imbalance that it had. Draws, traffic and ceiling are known before anything is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from seatrial.config.probe import MoeAlltoall
from seatrial.config.probe.moe_alltoall import ReplayLoad, load_words
from seatrial.errors import Unsupported
from seatrial.measure.context import RankContext
from seatrial.measure.moe_alltoall.ceiling import wire_ceiling
from seatrial.measure.moe_alltoall.dispatcher import Dispatcher, TorchDispatcher
from seatrial.measure.moe_alltoall.draws import Drawn, draw
from seatrial.measure.moe_alltoall.loads import gini
from seatrial.measure.moe_alltoall.room import require_room
from seatrial.measure.moe_alltoall.trace import check_trace, fingerprint, read_trace, replayed
from seatrial.measure.moe_alltoall.traffic import Traffic, summed, traffic_of
from seatrial.measure.moe_alltoall.volumes import DIRECTIONS, busiest, imbalance, row_bytes, wire
from seatrial.measure.timing import slowest_rank, start_together, time_iterations
from seatrial.record import Measurement, measurement
from seatrial.units import GB

if TYPE_CHECKING:
    import numpy as np

Labels = dict[str, str | int | float | bool]
Ceiling = tuple["np.ndarray", float, str]
TIMED = ("counts", *DIRECTIONS)
LAYER = tuple(f"layer_{direction}" for direction in DIRECTIONS)
"""From end to end, on which alone dispatchers compare: what one times as a transfer another does outside of it."""


def run(ctx: RankContext) -> None:
    """Measure dispatch and combine.

    Raises Unsupported on a single rank, where experts do not divide, for a Gini that chance does not allow or a
    dispatcher that is not there; UnreadableFile for a matrix that cannot be replayed; MeasurementFailed
    (wrong_result, out_of_memory) where a row or a sum is wrong, or rows do not fit.
    """
    workload = ctx.case.workload
    assert isinstance(workload, MoeAlltoall)
    if ctx.world_size < 2 or workload.experts % ctx.world_size:
        raise Unsupported(
            f"{workload.experts} experts cannot be shared evenly by {ctx.world_size} rank(s); moe_alltoall needs "
            "two or more, which divide workload.experts"
        )
    dispatcher = _dispatcher(ctx, workload)
    drawn = _drawn(ctx, workload)
    traffic = traffic_of(ctx, workload, drawn, [dispatcher.sent(choices) for choices in drawn.choices])
    if workload.dispatcher == "torch":
        require_room(ctx, workload, traffic)
    ceilings = {direction: _ceiling(ctx, workload, traffic, direction) for direction in DIRECTIONS}
    seconds = time_rounds(ctx, dispatcher, drawn, workload.warmup)
    slowest = {part: slowest_rank(ctx, of_part) for part, of_part in seconds.items()}
    if ctx.rank == 0:
        ctx.measurements += measurements(ctx, workload, traffic, slowest, ceilings)


def _dispatcher(ctx: RankContext, workload: MoeAlltoall) -> Dispatcher:
    if workload.dispatcher == "torch":
        return TorchDispatcher(ctx, workload)
    from seatrial.measure.moe_alltoall.deepep import DeepEpDispatcher

    return DeepEpDispatcher(ctx, workload)


def _drawn(ctx: RankContext, workload: MoeAlltoall) -> Drawn:
    if not isinstance(workload.load, ReplayLoad):
        return draw(workload, ctx.world_size, ctx.rank, ctx.seed, lambda own: summed(ctx, own))
    counts = read_trace(workload.load)
    check_trace(workload, counts, ctx.world_size)
    ctx.facts["routing_trace"] = fingerprint(workload.load)
    return Drawn(replayed(counts, workload.top_k, workload.iterations, ctx.rank), by_token=False)


def time_rounds(ctx: RankContext, dispatcher: Dispatcher, drawn: Drawn, warmup: int) -> dict[str, list[float]]:
    """Seconds of this rank for every part of every iteration, after `warmup` untimed ones.

    An iteration is done twice: part by part, and then from end to end, as a layer has it.
    """
    import torch.distributed as dist

    before = start_together(ctx.device)
    on_host = dist.get_backend() == "gloo" or ctx.device.type == "cpu"

    def timed(part: Callable[[], None]) -> float:
        return time_iterations(ctx.device, part, 0, 1, before, on_host)[0]

    seconds: dict[str, list[float]] = {part: [] for part in (*TIMED, *LAYER)}
    first = [drawn.choices[i % len(drawn.choices)] for i in range(warmup)]
    for number, choices in enumerate([*first, *drawn.choices]):
        dispatcher.prepare(choices)
        counts = timed(dispatcher.exchange_counts)
        dispatcher.make_room()
        dispatch = timed(dispatcher.dispatch)
        dispatcher.receive()
        combine = timed(dispatcher.combine)
        dispatcher.finish()
        layer_dispatch = timed(dispatcher.layer_dispatch)
        dispatcher.receive()
        layer_combine = timed(dispatcher.layer_combine)
        dispatcher.finish_layer()
        if number >= warmup:
            found = (counts, dispatch, combine, layer_dispatch, layer_combine)
            for part, taken in zip(seconds, found, strict=True):
                seconds[part].append(taken)
    return seconds


def _ceiling(ctx: RankContext, workload: MoeAlltoall, traffic: Traffic, direction: str) -> Ceiling | None:
    """Of the rows that all_to_all_single sends; None for a dispatcher that sends others on ways of its own."""
    if workload.dispatcher != "torch":
        return None
    rows = traffic.rows if direction == "dispatch" else traffic.rows.transpose(0, 2, 1)
    return wire_ceiling(ctx.case.target, rows, row_bytes(workload, direction).row, workload.backend)


def measurements(
    ctx: RankContext,
    workload: MoeAlltoall,
    traffic: Traffic,
    seconds: dict[str, list[float]],
    ceilings: dict[str, Ceiling | None],
) -> list[Measurement]:
    """Everything that is recorded: one sample for every iteration; `seconds` of the slowest rank."""
    labels: Labels = {
        "load": load_words(workload.load),
        "dispatcher": workload.dispatcher,
        "ranks": ctx.world_size,
        "experts": workload.experts,
        "top_k": workload.top_k,
        "hidden_size": workload.hidden_size,
    }
    if workload.tokens is not None:
        labels["tokens"] = workload.tokens
    found = [measurement("moe_alltoall.time", seconds[part], {**labels, "direction": part}) for part in TIMED]
    found += [
        measurement("moe_alltoall.layer_time", seconds[part], {**labels, "direction": direction})
        for part, direction in zip(LAYER, DIRECTIONS, strict=True)
    ]
    found += [
        measurement("moe_alltoall.expert_gini", gini(traffic.experts).tolist(), labels),
        measurement("moe_alltoall.rank_imbalance", imbalance(traffic.rows).tolist(), labels),
    ]
    if traffic.reached is not None:
        per_token = traffic.reached / traffic.tokens[:, None]
        found.append(measurement("moe_alltoall.ranks_per_token", per_token[:, 0].tolist(), labels))
        found.append(measurement("moe_alltoall.nodes_per_token", per_token[:, 2].tolist(), labels))
    for direction in DIRECTIONS:
        there: Labels = {**labels, "direction": direction, "dtype": getattr(workload, f"{direction}_dtype")}
        found += _of_direction(workload, traffic, seconds[direction], ceilings[direction], direction, there)
    return found


def _of_direction(
    workload: MoeAlltoall,
    traffic: Traffic,
    seconds: list[float],
    ceiling: Ceiling | None,
    direction: str,
    labels: Labels,
) -> list[Measurement]:
    """Bytes, bandwidths and the time that the links need at least."""
    import numpy as np

    each = row_bytes(workload, direction)
    weight = each.row if workload.dispatcher == "torch" else each.token
    taken = np.array(seconds) * GB / weight  # so that rows over it are GB/s
    leaving = wire(traffic.rows)
    whole = leaving.sum(axis=(1, 2))
    limit, basis = (ceiling[1], ceiling[2]) if ceiling is not None else (None, None)
    found = [
        measurement("moe_alltoall.bytes", amount.tolist(), {**labels, "scope": scope})
        for scope, amount in traffic.bytes_by_scope(each).items()
    ]
    found += [
        measurement("moe_alltoall.logical_bandwidth", (busiest(traffic.rows) / taken).tolist(), labels),
        measurement(
            "moe_alltoall.wire_bandwidth",
            (busiest(leaving) / taken).tolist(),
            {**labels, "over": "busiest_rank"},
            limit,
            basis,
        ),
        measurement("moe_alltoall.wire_bandwidth", (whole / taken).tolist(), {**labels, "over": "all_ranks"}),
        measurement("moe_alltoall.balanced_bandwidth", (whole / leaving.shape[1] / taken).tolist(), labels),
    ]
    if ceiling is not None:
        found.append(measurement("moe_alltoall.least_time", ceiling[0].tolist(), labels))
    return found
