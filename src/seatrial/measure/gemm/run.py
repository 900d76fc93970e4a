"""Probe gemm on one rank: every rank multiplies at the same time, since that is what a machine does under load."""

from __future__ import annotations

import statistics

from seatrial.config.probe import Gemm
from seatrial.measure.context import RankContext
from seatrial.measure.gemm import product
from seatrial.measure.gemm.burst import Burst, matmul_precision
from seatrial.measure.gemm.ceilings import ceiling
from seatrial.measure.gemm.search import Labels, find_best, shape_labels, throughputs
from seatrial.measure.gemm.sustained import gather_uneven, sustain
from seatrial.measure.room import require_room
from seatrial.measure.timing import add_per_rank, wait_for_all
from seatrial.record import measurement
from seatrial.units import TERA


def run(ctx: RankContext) -> None:
    """Measure `gemm.throughput` of the workload's shape, or search for the best and measure `gemm.best_throughput`;
    then, where it is asked for, `gemm.sustained_throughput` of that shape.

    Raises Unsupported for a dtype that the device has not, MeasurementFailed (out_of_memory) for operands that do
    not fit and (wrong_result) for a wrong product.
    """
    import torch

    workload = ctx.case.workload
    assert isinstance(workload, Gemm)
    bound = ceiling(ctx.case.target, workload)
    product.check_dtype(ctx.device, workload.dtype)
    largest = max(map(workload.held_bytes, workload.shapes))
    require_room(ctx, largest, "the operands of the largest product", "workload.m, n or k")
    generator = torch.Generator(ctx.device).manual_seed(ctx.seed * ctx.world_size + ctx.rank)
    labels: Labels = {"dtype": workload.dtype}
    if workload.cold_cache:
        labels["cold_cache"] = True
    with matmul_precision(workload.dtype):
        if workload.search is None:
            metric, shape = "gemm.throughput", workload.shapes[0]
        else:
            metric, shape = "gemm.best_throughput", find_best(ctx, workload, generator, labels, bound)
        burst = Burst(ctx, workload, shape, generator)
        seconds = burst.seconds(workload.warmup, workload.iterations)
        labels |= shape_labels(shape)
        add_per_rank(ctx, metric, throughputs(burst.work, seconds), labels, bound)
        if workload.sustained_seconds is not None:
            _sustained(ctx, burst, workload.sustained_seconds, statistics.median(seconds), labels, bound)


def _sustained(
    ctx: RankContext,
    burst: Burst,
    seconds: float,
    each: float,
    labels: Labels,
    bound: tuple[float, str] | None,
) -> None:
    wait_for_all(ctx)
    rates = sustain(ctx.device, burst, seconds, each)
    burst.check()
    for rank, theirs in enumerate(gather_uneven(ctx, rates)):
        device = ctx.devices[rank] if ctx.devices else str(ctx.device)
        samples = [burst.work * rate / TERA for rate in theirs]
        place: Labels = {"rank": rank, "device": device}
        ctx.measurements.append(
            measurement("gemm.sustained_throughput", samples, {**place, **labels}, *(bound or ()))
        )
