"""Fully sharded parameters: FSDP2, its collectives timed as communication."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.fsdp._fully_shard._fsdp_collectives import DefaultAllGather, DefaultReduceScatter

from seatrial.train.layout import Layout


def shard(
    model: torch.nn.Module,
    blocks: Iterable[torch.nn.Module],
    layout: Layout,
    gathered_as: torch.dtype | None = None,
) -> None:
    """Shard `model` in place over the fsdp group, each of `blocks` (its layers) as a unit of its own.

    Parameters are gathered before a unit computes and freed after it. Those of `blocks` are sent and held whole in
    `gathered_as`, which autocast would make of them anyway; what a rank keeps, and sums of gradients, are in the
    parameters' own dtype, or float32. Marks on parameters (`expert`, `tp_sharded`, `tp_partial`) survive. Does
    nothing where the group has one rank.
    """
    if layout.fsdp.size == 1:
        return
    marks = {name: _marks(p) for name, p in model.named_parameters()}
    mesh = layout.fsdp_mesh()
    policy = MixedPrecisionPolicy()
    if gathered_as is not None:
        # Inputs stay as they are: autocast casts what products take, and no more than on one rank.
        policy = MixedPrecisionPolicy(gathered_as, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for block in blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh)
    for name, parameter in model.named_parameters():
        for mark in marks[name]:
            setattr(parameter, mark, True)
    if layout.device.type == "cpu":
        # On CPUs every collective is waited for; on accelerators they overlap, which only a profile can tell.
        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.set_custom_all_gather(_TimedAllGather(layout))
                module.set_custom_reduce_scatter(_TimedReduceScatter(layout))


def hidden_waits(layout: Layout) -> str | None:
    """Why phases do not tell computing from waiting for other ranks here, or None where they do."""
    if layout.fsdp.size == 1 or layout.device.type == "cpu":
        return None
    return (
        f"with parameters fully sharded over {layout.fsdp.size} ranks, waits for them lie inside forward and "
        "backward, where an accelerator's clock does not tell them from computation: only a profile shows them"
    )


def _marks(parameter: torch.nn.Parameter) -> list[str]:
    return [mark for mark in ("expert", "tp_sharded", "tp_partial") if getattr(parameter, mark, False)]


class _TimedAllGather(DefaultAllGather):
    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def __call__(
        self,
        output_tensor: torch.Tensor,
        input_tensor: torch.Tensor,
        group: dist.ProcessGroup,
        async_op: bool = False,
    ) -> dist.Work | None:
        with self._layout.phases("communication"):
            return super().__call__(output_tensor, input_tensor, group, async_op)


class _TimedReduceScatter(DefaultReduceScatter):
    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def __call__(
        self,
        output_tensor: torch.Tensor,
        input_tensor: torch.Tensor,
        group: dist.ProcessGroup,
        op: Any,
        async_op: bool = False,
    ) -> dist.Work:
        with self._layout.phases("communication"):
            return super().__call__(output_tensor, input_tensor, group, op, async_op)
