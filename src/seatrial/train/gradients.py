"""Gradients of a training over its ranks: their mean, and their norm.

A parameter says by attributes what it is: `expert` (routed, held by the ranks of one ep place only), `tp_sharded`
(a slice of its layer) and `tp_partial` (whole, but its gradient is a sum over the tp group). Under FSDP2 it is
a DTensor whose gradient is reduced over the fsdp group already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist

from seatrial.train.layout import Axis, Layout


def reduce_gradients(parameters: Iterable[torch.nn.Parameter], layout: Layout) -> None:
    """Make every gradient the mean over the ranks that see different data.

    The loss of each rank is the mean over its own share. An expert's gradient already holds what all ranks of the
    ep group sent to it, so that it is summed over dp alone and divided by both. A parameter that this rank's data
    did not use counts as zero: it may have been used elsewhere.
    """
    if layout.ranks.size == 1:
        return
    having = [p for p in parameters if has_gradient(p)]
    with layout.phases("communication"):
        if layout.tp.size > 1:
            _sum([local(p) for p in having if getattr(p, "tp_partial", False)], layout.tp, 1)
        dense = [local(p) for p in having if not getattr(p, "expert", False)]
        _sum(dense, layout.replicas, layout.replicas.size)
        experts = [local(p) for p in having if getattr(p, "expert", False)]
        _sum(experts, layout.dp, layout.dp.size * layout.ep.size)


def has_gradient(parameter: torch.nn.Parameter) -> bool:
    """Whether a parameter takes part in the update; one that has no gradient here gets zeros, where it is whole."""
    if parameter.grad is None and not hasattr(parameter, "to_local"):
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad is not None


def local(parameter: torch.nn.Parameter) -> torch.Tensor:
    """This rank's part of a parameter's gradient."""
    gradient = parameter.grad
    assert gradient is not None
    return gradient.to_local() if hasattr(gradient, "to_local") else gradient


def _sum(gradients: Sequence[torch.Tensor], axis: Axis, divisor: int) -> None:
    """Sum over a group in one message for each dtype: its latency is paid once."""
    for dtype in sorted({g.dtype for g in gradients}, key=str):
        same = [g for g in gradients if g.dtype == dtype]
        if axis.size == 1:
            if divisor > 1:
                torch._foreach_div_(same, divisor)
            continue
        flat = torch.cat([g.reshape(-1) for g in same])
        dist.all_reduce(flat, group=axis.group)
        if divisor > 1:
            flat /= divisor
        for gradient, part in zip(same, flat.split([g.numel() for g in same]), strict=True):
            gradient.copy_(part.view_as(gradient))


def clip_norm(parameters: Sequence[torch.nn.Parameter], limit: float, layout: Layout) -> torch.Tensor:
    """Scale all gradients so that their joint 2-norm is at most `limit`; the norm before, on every rank."""
    having = [p for p in parameters if p.grad is not None]
    plain = layout.fsdp.size == layout.tp.size == layout.ep.size == 1
    if plain:
        return torch.nn.utils.clip_grad_norm_(having, limit)
    squares = torch.zeros(8, device=layout.device)
    for parameter in having:
        squares[_spread_over(parameter)] += local(parameter).float().square().sum()
    with layout.phases("communication"):
        for bit, axis in enumerate((layout.fsdp, layout.tp, layout.ep)):
            if axis.size > 1:
                rows = [row for row in range(8) if row >> bit & 1]
                part = squares[rows]
                dist.all_reduce(part, group=axis.group)
                squares[rows] = part
    norm = squares.sum().sqrt()
    scale = (limit / (norm + 1e-6)).clamp(max=1.0)
    for parameter in having:
        local(parameter).mul_(scale)
    return norm


def _spread_over(parameter: torch.nn.Parameter) -> int:
    """Over which groups a parameter's parts lie: bit 0 fsdp, bit 1 tp, bit 2 ep."""
    sharded = hasattr(parameter, "to_local")
    return sharded | getattr(parameter, "tp_sharded", False) << 1 | getattr(parameter, "expert", False) << 2
