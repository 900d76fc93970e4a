"""The shape with the highest throughput, as mamf-finder looks for it: a coarse pass over all, the best few again.

stas00/ml-engineering, compute/accelerator/benchmarks/mamf-finder.py. All ranks multiply the same shape at the same
time; a shape is judged by the median over ranks of each rank's median, so that one slow device does not choose it.
The winner among noisy readings flatters itself: its figure comes from iterations of their own after the choice.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from seatrial.config.probe import Gemm
from seatrial.config.probe.gemm import Shape
from seatrial.measure.context import RankContext
from seatrial.measure.gemm.burst import Burst
from seatrial.measure.timing import add_per_rank
from seatrial.record import measurement
from seatrial.units import TERA

if TYPE_CHECKING:
    import torch

Labels = dict[str, str | int | float | bool]


def find_best(
    ctx: RankContext,
    workload: Gemm,
    generator: torch.Generator,
    labels: Labels,
    bound: tuple[float, str] | None,
) -> Shape:
    """The best shape of the workload's search; adds gemm.searched_throughput of all shapes, gemm.throughput of the
    finalists. Raises MeasurementFailed (wrong_result) for a wrong product of any shape."""
    search = workload.search
    assert search is not None
    warmup = min(workload.warmup, 2)
    coarse: dict[Shape, float] = {}
    for shape in search.shapes:
        burst = Burst(ctx, workload, shape, generator)
        by_rank = rank_medians(ctx, throughputs(burst.work, burst.seconds(warmup, search.coarse_iterations)))
        coarse[shape] = statistics.median(by_rank)
        if ctx.rank == 0:
            ctx.measurements.append(
                measurement("gemm.searched_throughput", by_rank, {**labels, **shape_labels(shape)}, *(bound or ()))
            )
    fine: dict[Shape, float] = {}
    for shape in best_of(coarse, search.finalists):
        burst = Burst(ctx, workload, shape, generator)
        found = throughputs(burst.work, burst.seconds(workload.warmup, workload.iterations))
        fine[shape] = statistics.median(rank_medians(ctx, found))
        add_per_rank(ctx, "gemm.throughput", found, {**labels, **shape_labels(shape)}, bound)
    return best_of(fine, 1)[0]


def best_of(by_shape: dict[Shape, float], count: int) -> list[Shape]:
    """The `count` fastest shapes, fastest first; of equal ones the smaller."""
    return sorted(by_shape, key=lambda shape: (-by_shape[shape], shape))[:count]


def shape_labels(shape: Shape) -> Labels:
    return dict(zip(("m", "n", "k"), shape, strict=True))


def throughputs(work: int, seconds: Sequence[float]) -> list[float]:
    """TFLOP/s of products of `work` operations each."""
    return [work / s / TERA for s in seconds]


def rank_medians(ctx: RankContext, samples: Sequence[float]) -> list[float]:
    """Each rank's median of its samples, by rank; the same list on every rank, which then choose alike."""
    mine = statistics.median(samples)
    if ctx.world_size == 1:
        return [mine]
    import torch
    import torch.distributed as dist

    own = torch.tensor([mine], dtype=torch.float64, device=ctx.device)
    everyone = [torch.empty_like(own) for _ in range(ctx.world_size)]
    dist.all_gather(everyone, own)
    return [float(theirs) for theirs in everyone]
