"""Cases and ranks for the tests of the probe moe_alltoall."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from gloo_ranks import CPU
from ranks import case

from seatrial.config.probe import MoeAlltoall
from seatrial.errors import MeasurementFailed, Unsupported
from seatrial.measure.context import RankContext
from seatrial.measure.moe_alltoall import deepep, dispatcher, run
from seatrial.measure.moe_alltoall.draws import choose

UNIFORM = {"kind": "uniform"}


def workload(**more: Any) -> dict[str, Any]:
    """A small case of the probe."""
    content = {"kind": "moe_alltoall", "tokens": 64, "hidden_size": 64, "top_k": 2, "experts": 8, "load": UNIFORM}
    return {**content, "warmup": 1, "iterations": 4, "timeout_seconds": 20.0, **more}


def probe(**more: Any) -> MoeAlltoall:
    return MoeAlltoall.model_validate(workload(**more))


def context(rank: int, ranks: int, nodes: int, **more: Any) -> RankContext:
    what = case(workload(**more), ranks // nodes, nodes=nodes)
    return RankContext(what, 0, 3, rank, rank, ranks, CPU, Path("nowhere"))


def recorded(rank: int, size: int, variants: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """What each variant leaves on this rank, two nodes sharing the ranks."""
    found = []
    for more in variants:
        ctx = context(rank, size, 2, **more)
        run.run(ctx)
        found.append([m.model_dump() for m in ctx.measurements])
    return found


def spoilt(rank: int, size: int) -> dict[str, str]:
    """What the torch dispatcher says of each way in which one rank's data may be wrong."""

    def flip_row(d: Any) -> None:
        d._here[3, 40] ^= 1

    def swap_rows(d: Any) -> None:
        d._here[[0, len(d._here) - 1]] = d._here[[len(d._here) - 1, 0]]

    def double_row(d: Any) -> None:
        d._here[1] = d._here[0]

    def lose_rows(d: Any) -> None:
        d._here.zero_()

    def change_output(d: Any) -> None:
        d._back[5, 7] += 1

    def swap_outputs(d: Any) -> None:
        d._back[[0, 1]] = d._back[[1, 0]]

    found = {}
    for spoil in (flip_row, swap_rows, double_row, lose_rows, change_output, swap_outputs):
        at_dispatch = spoil not in (change_output, swap_outputs)
        found[spoil.__name__] = _said(rank, size, spoil if at_dispatch else None, None if at_dispatch else spoil)
    found["layer"] = _layer_said(rank, size)
    return found


def _layer_said(rank: int, size: int) -> str:
    """What is said of a layer from end to end of which rank 1 adds up one token wrongly."""
    d = dispatcher.TorchDispatcher(context(rank, size, 1), probe())
    d.prepare(choose(np.full(8, 2 / 8), 64, 2, np.random.default_rng(rank)))
    d.layer_dispatch()
    d.receive()
    d.layer_combine()
    if rank == 1:
        d._sums[3] *= 2
    try:
        d.finish_layer()
    except MeasurementFailed as failed:
        return f"{failed.kind}: {failed}"
    return ""


def _said(rank: int, size: int, after_dispatch: Any, after_combine: Any) -> str:
    ctx = context(rank, size, 1)
    d = dispatcher.TorchDispatcher(ctx, probe())
    d.prepare(choose(np.full(8, 2 / 8), 64, 2, np.random.default_rng(rank)))
    d.exchange_counts()
    d.make_room()
    d.dispatch()
    try:
        if after_dispatch and rank == 1:
            after_dispatch(d)
        d.receive()
    except MeasurementFailed as failed:
        return f"{failed.kind}: {failed}"
    if after_dispatch:
        return ""
    d.combine()
    if rank == 1:
        after_combine(d)
    try:
        d.finish()
    except MeasurementFailed as failed:
        return f"{failed.kind}: {failed}"
    return ""


class FakeBuffer:
    """deep_ep.Buffer as its documentation describes it, over gloo: what goes in and comes out."""

    SIZES: tuple[int, ...] = (2, 4, 8)

    def __init__(self, group: Any, num_nvl_bytes: int = 0, num_rdma_bytes: int = 0) -> None:
        self.bytes = num_nvl_bytes, num_rdma_bytes

    @classmethod
    def get_dispatch_config(cls, num_ranks: int) -> Any:
        assert num_ranks in cls.SIZES, f"Unsupported number of EP ranks: {num_ranks}"
        return SimpleNamespace(
            get_nvl_buffer_size_hint=lambda row, size: row * size, get_rdma_buffer_size_hint=lambda row, size: 0
        )

    get_combine_config = get_dispatch_config

    def get_dispatch_layout(self, topk_idx: torch.Tensor, num_experts: int) -> Any:
        ranks = dist.get_world_size()
        reached = torch.zeros(len(topk_idx), ranks, dtype=torch.bool)
        reached.scatter_(1, topk_idx // (num_experts // ranks), True)
        by_expert = torch.bincount(topk_idx.flatten(), minlength=num_experts).int()
        return reached.sum(0).int(), None, by_expert, reached, None

    def dispatch(self, x: Any, topk_idx: Any, topk_weights: Any, is_token_in_rank: Any, **layout: Any) -> Any:
        ranks, me = dist.get_world_size(), dist.get_rank()
        local = len(layout["num_tokens_per_expert"]) // ranks
        elements, *scaling = x if isinstance(x, tuple) else (x,)
        rows, scales, chosen, handle = [], [], [], []
        for theirs, index, reached, *scale in _everyones(elements, topk_idx, is_token_in_rank, *scaling):
            mine = reached[:, me]
            rows.append(theirs[mine])
            scales += [of[mine] for of in scale]
            here = index[mine] - me * local
            chosen.append(torch.where((here >= 0) & (here < local), here, -1))
            handle.append(mine)
        found = torch.cat(rows)
        index = torch.cat(chosen)
        counts = torch.bincount(index[index >= 0], minlength=local).tolist()
        return (found, torch.cat(scales)) if scales else found, index, None, counts, handle, None

    def combine(self, x: torch.Tensor, handle: list[torch.Tensor]) -> Any:
        me = dist.get_rank()
        total = torch.zeros(len(handle[me]), x.shape[1])
        for theirs, *masks in _everyones(x, *handle):
            first = sum(int(mask.sum()) for mask in masks[:me])
            total[masks[me]] += theirs[first : first + int(masks[me].sum())].float()
        return total.to(x.dtype), None, None


def _everyones(*tensors: torch.Tensor) -> list[list[torch.Tensor]]:
    """The tensors of every rank, as bytes on their way: not every dtype can be pickled."""
    everyone: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, [(t.contiguous().view(torch.uint8), t.dtype) for t in tensors])
    return [[content.view(dtype) for content, dtype in theirs] for theirs in everyone]


class WrongBuffer(FakeBuffer):
    """Loses one copy of one token on the way back."""

    def combine(self, x: torch.Tensor, handle: list[torch.Tensor]) -> Any:
        found, weights, event = super().combine(x, handle)
        found[0] = 0
        return found, weights, event


def through_deepep(rank: int, size: int) -> dict[str, str]:
    """What the DeepEP dispatcher says over stand-ins of its library."""
    found = {}
    for name, buffer, more in (
        ("right", FakeBuffer, {}),
        ("fp8", FakeBuffer, {"dispatch_dtype": "fp8", "hidden_size": 256}),
        ("wrong", WrongBuffer, {}),
    ):
        asked = probe(**more)
        module: Any = SimpleNamespace(Buffer=buffer)
        d = deepep.DeepEpDispatcher(context(rank, size, 1, **more), asked, module)
        d.prepare(choose(np.full(8, 2 / 8), 64, 2, np.random.default_rng(rank)))
        for part in (d.exchange_counts, d.make_room, d.dispatch, d.receive, d.combine):
            part()
        if name == "right":
            for part in (d.finish, d.layer_dispatch, d.receive, d.layer_combine, d.finish_layer):
                part()
            found["layer"] = "right"
        try:
            d.finish()
            found[name] = "right"
        except MeasurementFailed as failed:
            found[name] = f"{failed.kind}: {failed}"
    FakeBuffer.SIZES = ()
    try:
        deepep.DeepEpDispatcher(context(rank, size, 1), probe(), SimpleNamespace(Buffer=FakeBuffer))  # type: ignore[arg-type]
    except Unsupported as problem:
        found["no settings"] = str(problem)
    return found
