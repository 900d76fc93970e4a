"""Probe collective: time and bandwidth of all_reduce over all ranks, as nccl-tests defines them.

Sizes count the buffer of one rank. The time of an iteration is the maximum over ranks (nccl-tests averages by
default). Formulas: NVIDIA/nccl-tests doc/PERFORMANCE.md.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from seatrial.config.probe import ELEMENT_BYTES, Collective
from seatrial.config.target import Target
from seatrial.errors import MeasurementFailed, Unsupported
from seatrial.measure.context import RankContext
from seatrial.measure.timing import slowest_rank, time_iterations
from seatrial.record import measurement
from seatrial.units import GB

if TYPE_CHECKING:
    import torch

MOST_CONTRIBUTORS = 64
"""At most 64 ranks add 1, 2 or 3 to one element: sums up to 192 are exact in every dtype, in any order."""


def bus_factor(operation: str, ranks: int) -> float:
    """What turns algorithm bandwidth into bus bandwidth: 2(n-1)/n for all_reduce over n ranks (nccl-tests)."""
    if operation != "all_reduce":
        raise ValueError(f"no bus factor for {operation!r}; allowed: all_reduce")
    return 2 * (ranks - 1) / ranks


def inter_group_bound(nic_gbps: float, ranks: int, groups: int) -> float:
    """Bus bandwidth (GB/s) that all_reduce over `ranks` in `groups` of fast links cannot exceed.

    A hierarchical all_reduce takes 2 S (k-1)/k bytes out of and into each of k groups, through the NICs of its
    g members (`nic_gbps` GB/s each and one way), so busbw <= nic g k (n-1) / (n (k-1)), for equal groups
    nic (n-1)/(k-1). Where the ranks do not divide evenly the smallest group decides.
    """
    smallest = ranks // groups
    return nic_gbps * smallest * groups * (ranks - 1) / (ranks * (groups - 1))


def wire_bandwidth(bus_gbps: float, ranks: int, groups: int) -> float:
    """GB/s that each NIC carries one way where a hierarchical all_reduce reads `bus_gbps`; inverts the bound."""
    return bus_gbps / inter_group_bound(1.0, ranks, groups)


def ceiling(target: Target, workload: Collective) -> tuple[float, str] | None:
    """Bus bandwidth in GB/s that the declared links allow one rank for each accelerator, with its basis.

    The least of the links inside the fast fabric (ring: one direction; in a mesh the links to the peers that
    take part) and, across it, the NICs. None on a CPU, over gloo, for tasks with several accelerators, or where
    a fact that decides is not stated.
    """
    if target.device == "cpu" or workload.backend == "gloo" or target.world_size < 2:
        return None
    if target.tasks_per_node != target.accelerators_per_node:
        return None
    domain = _domain(target)
    groups = math.ceil(target.world_size / domain)
    bounds = []
    if domain > 1:
        inside = _inside(target, min(domain, target.world_size))
        if inside is None:
            return None
        bounds.append(inside)
    if groups > 1:
        across = _across(target, groups)
        if across is None:
            return None
        bounds.append(across)
    return min(bounds)


def _domain(target: Target) -> int:
    """Ranks that share the fast fabric."""
    if target.scale_up is not None and target.scale_up.domain is not None:
        return target.scale_up.domain
    return target.tasks_per_node


def _inside(target: Target, ranks: int) -> tuple[float, str] | None:
    links = target.scale_up
    if links is None or links.unidirectional_gbps.value is None:
        return None
    one_way = links.unidirectional_gbps.value
    basis = f"ring over {links.name}, one direction (in-switch reduction may exceed it)"
    if links.peer_unidirectional_gbps is not None and links.peer_unidirectional_gbps.value is not None:
        to_peers = links.peer_unidirectional_gbps.value * (ranks - 1)
        if to_peers < one_way:
            return to_peers, f"links of {links.name} to {ranks - 1} peers: {links.peer_unidirectional_gbps.source}"
    return one_way, f"{basis}: {links.unidirectional_gbps.source}"


def _across(target: Target, groups: int) -> tuple[float, str] | None:
    network = target.scale_out
    if network is None:
        return None
    if network.gbit_per_accelerator is not None and network.gbit_per_accelerator.value is not None:
        nic, source = network.gbit_per_accelerator.value / 8, network.gbit_per_accelerator.source
    elif network.gbit_per_node is not None and network.gbit_per_node.value is not None:
        nic, source = network.gbit_per_node.value / 8 / target.tasks_per_node, network.gbit_per_node.source
    else:
        return None
    bound = inter_group_bound(nic, target.world_size, groups)
    return bound, (
        f"hierarchical all_reduce over {groups} groups, {nic:g} GB/s of {network.name} for each rank: {source}"
    )


def run(ctx: RankContext) -> None:
    """Measure time, algorithm bandwidth and bus bandwidth of the collective.

    Raises Unsupported on a single rank or for a dtype that the backend has not, MeasurementFailed
    (wrong_result) on a rank that holds a wrong sum.
    """
    import torch
    import torch.distributed as dist

    workload = ctx.case.workload
    assert isinstance(workload, Collective)
    if ctx.world_size < 2:
        raise Unsupported(
            "all_reduce needs two or more ranks; raise target.nodes or target.tasks_per_node of the case"
        )
    bound = ceiling(ctx.case.target, workload)
    count = workload.size_bytes // ELEMENT_BYTES[workload.dtype]
    buffer = torch.empty(count, dtype=getattr(torch, workload.dtype), device=ctx.device)
    together = torch.zeros(1, device=ctx.device)
    mine = contribution(ctx.rank, ctx.world_size)

    def before() -> None:
        fill(buffer, mine)
        dist.all_reduce(together)  # the ranks start as one, so that none is charged for another's delay

    seconds = time_iterations(
        ctx.device,
        lambda: reduce(buffer),
        workload.warmup,
        workload.iterations,
        before,
        on_host=dist.get_backend() == "gloo",
    )
    check_sums(buffer, ctx.world_size)
    _add(ctx, workload, slowest_rank(ctx, seconds), bound)


def reduce(buffer: torch.Tensor) -> None:
    """The timed operation: the sum over all ranks, in place. Raises Unsupported for a dtype of another backend."""
    import torch.distributed as dist

    try:
        dist.all_reduce(buffer)
    except (RuntimeError, ValueError) as problem:
        if "scalar type" not in str(problem).lower():
            raise
        raise Unsupported(f"{dist.get_backend()} has no all_reduce of {buffer.dtype}: {problem}") from problem


def contribution(rank: int, ranks: int) -> list[int]:
    """One period of what `rank` adds, element by element: 1, 2 or 3 at its turns, else 0.

    Element i hears from the ranks r with (i + r) divisible by the stride, which keeps sums exact at any scale.
    """
    stride = _stride(ranks)
    return [1 + (i + rank) % 3 if (i + rank) % stride == 0 else 0 for i in range(3 * stride)]


def expected_sums(ranks: int) -> list[int]:
    """One period of the sums over all ranks, in whole numbers."""
    stride = _stride(ranks)
    return [sum(1 + (i + r) % 3 for r in range(-i % stride, ranks, stride)) for i in range(3 * stride)]


def _stride(ranks: int) -> int:
    return math.ceil(ranks / MOST_CONTRIBUTORS)


def fill(buffer: torch.Tensor, period: list[int]) -> None:
    """Repeat `period` over the whole buffer, without another buffer of its size."""
    whole, part, pattern = _by_period(buffer, period)
    whole.copy_(pattern.expand_as(whole))
    part.copy_(pattern[: part.numel()])


def check_sums(buffer: torch.Tensor, ranks: int) -> None:
    """Check every element of the reduced buffer, exactly. Raises MeasurementFailed (wrong_result)."""
    whole, part, pattern = _by_period(buffer, expected_sums(ranks))
    wrong = int((whole != pattern).sum()) + int((part != pattern[: part.numel()]).sum())
    if wrong:
        raise MeasurementFailed("wrong_result", f"all_reduce: {wrong} of {buffer.numel()} sums are wrong")


def _by_period(buffer: torch.Tensor, period: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The buffer as [whole periods, period], what is left over, and the period as a tensor of its kind."""
    import torch

    length = len(period)
    whole = buffer.numel() // length * length
    pattern = torch.tensor(period, dtype=buffer.dtype, device=buffer.device)
    return buffer[:whole].view(-1, length), buffer[whole:], pattern


def _add(ctx: RankContext, workload: Collective, seconds: list[float], bound: tuple[float, str] | None) -> None:
    if ctx.rank != 0:
        return
    labels: dict[str, str | int | float | bool] = {
        "operation": workload.operation,
        "dtype": workload.dtype,
        "size_bytes": workload.size_bytes,
        "ranks": ctx.world_size,
    }
    algorithm = [workload.size_bytes / s / GB for s in seconds]
    factor = bus_factor(workload.operation, ctx.world_size)
    value, basis = bound if bound else (None, None)
    ctx.measurements += [
        measurement("collective.time", seconds, labels),
        measurement("collective.algorithm_bandwidth", algorithm, labels),
        measurement("collective.bus_bandwidth", [a * factor for a in algorithm], labels, value, basis),
    ]
