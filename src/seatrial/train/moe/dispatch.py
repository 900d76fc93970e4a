"""Tokens to experts and back. Every (token, choice) is a slot, numbered token x k + choice.

Rows are moved by index, never added up by index, so that the result does not depend on the order of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Assignment:
    """The slots that reach an expert, sorted by expert; within an expert in the order of the tokens."""

    slots: torch.Tensor
    """[M] numbers of slots."""
    chosen: torch.Tensor
    """[experts] slots that chose each expert."""
    kept: torch.Tensor
    """[experts] slots that reach each expert; their sum is M."""


def assign(experts: torch.Tensor, count: int, limit: int | None) -> Assignment:
    """Sort the slots of `experts` [N, k], each naming one of `count` experts.

    Where more than `limit` slots chose an expert, those of the last tokens are dropped: no token takes the place of
    one before it.
    """
    flat = experts.flatten()
    chosen = torch.bincount(flat, minlength=count)
    slots = flat.argsort(stable=True)
    if limit is None:
        return Assignment(slots, chosen, chosen)
    place = torch.arange(len(slots), device=slots.device) - (chosen.cumsum(0) - chosen)[flat[slots]]
    return Assignment(slots[place < limit], chosen, chosen.clamp(max=limit))


def scatter(tokens: torch.Tensor, slots: torch.Tensor, top_k: int) -> torch.Tensor:
    """The rows [M, hidden] of `tokens` [N, hidden] that `slots` [M] hold."""
    return _Scatter.apply(tokens, slots, top_k)


def gather(rows: torch.Tensor, slots: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The sum [N, hidden] over each token's choices of weight x row; a dropped slot's row is zero.

    `rows` [M, hidden] belong to `slots` [M]; `weights` [N, k].
    """
    placed = place(rows, slots, weights.numel()).unflatten(0, weights.shape)
    return (placed * weights.to(rows.dtype).unsqueeze(-1)).sum(dim=1)


def take(rows: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """rows[index]; every row is taken at most once."""
    return _Take.apply(rows, index)


def place(rows: torch.Tensor, index: torch.Tensor, count: int) -> torch.Tensor:
    """`count` rows, rows[i] at index[i], zeros elsewhere; `index` names no place twice."""
    return _Place.apply(rows, index, count)


def _placed(rows: torch.Tensor, index: torch.Tensor, count: int) -> torch.Tensor:
    make = rows.new_empty if count == len(index) else rows.new_zeros
    return make((count, *rows.shape[1:])).index_copy_(0, index, rows)


class _Scatter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tokens: torch.Tensor, slots: torch.Tensor, top_k: int) -> torch.Tensor:
        ctx.save_for_backward(slots)
        ctx.shape = len(tokens), top_k
        return tokens.index_select(0, slots.div(top_k, rounding_mode="floor"))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (slots,) = ctx.saved_tensors
        tokens, top_k = ctx.shape
        return _placed(gradients[0], slots, tokens * top_k).unflatten(0, (tokens, top_k)).sum(dim=1), None, None


class _Take(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(index)
        ctx.count = len(rows)
        return rows.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _placed(gradients[0], ctx.saved_tensors[0], ctx.count), None


class _Place(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, index: torch.Tensor, count: int) -> torch.Tensor:
        ctx.save_for_backward(index)
        return _placed(rows, index, count)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return gradients[0].index_select(0, ctx.saved_tensors[0]), None, None
