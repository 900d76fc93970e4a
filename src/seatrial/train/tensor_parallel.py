"""Tensor parallelism as Megatron-LM does it (Shoeybi et al. 2019, arXiv 1909.08053, section 3).

The first linear layers of a block are split by columns of the mathematical weight [in, out] (rows of torch's
[out, in]), the last by rows: one all_reduce per block forward, where the partial outputs are summed, and one
backward, where the partial gradients of its input are. Parameters are marked for `train.gradients`: `tp_sharded`
where a rank holds a slice, `tp_partial` where it holds all of it but its gradient is a summand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

from seatrial.errors import Unsupported
from seatrial.train.layout import Layout

COLUMN, ROW, PARTIAL = "colwise", "rowwise", "replicated_with_grad_allreduce"
"""The words of Hugging Face's plans that are known here."""


def copy_to_group(x: torch.Tensor, layout: Layout) -> torch.Tensor:
    """`x`; its gradient is summed over the tp group (Megatron's f)."""
    return x if layout.tp.size == 1 else _Copy.apply(x, layout)


def reduce_from_group(x: torch.Tensor, layout: Layout) -> torch.Tensor:
    """The sum of `x` over the tp group; its gradient passes as it is (Megatron's g)."""
    return x if layout.tp.size == 1 else _Reduce.apply(x, layout)


def slice_of(x: torch.Tensor, dim: int, layout: Layout) -> torch.Tensor:
    """This tp rank's part of `x` along `dim`, a copy. Raises Unsupported where it does not come out even."""
    size = layout.tp.size
    if x.shape[dim] % size:
        raise Unsupported(f"parallelism.tp ({size}) does not divide {x.shape[dim]} of a weight {list(x.shape)}")
    return x.chunk(size, dim)[layout.tp.rank].clone()


def split_columns(linear: nn.Module, layout: Layout) -> None:
    """Keep this tp rank's outputs of a linear layer: rows of its weight [out, in], and of its bias.

    With LoRA (peft) B [out, r] is split and A [r, in] is whole, its gradient partial. Raises Unsupported.
    """
    base, adapters = _parts(linear)
    _keep_slice(base, "weight", 0, layout)
    if base.bias is not None:
        _keep_slice(base, "bias", 0, layout)
    base.out_features //= layout.tp.size
    for a, b in adapters:
        _mark(a.weight, "tp_partial")
        _keep_slice(b, "weight", 0, layout)
        b.out_features //= layout.tp.size


def split_rows(linear: nn.Module, layout: Layout) -> None:
    """Keep this tp rank's inputs of a linear layer: columns of its weight [out, in]. Its output is a summand.

    Its bias is whole; every rank adds its share of it. With LoRA (peft) A [r, in] is split and B [out, r] is
    whole, its gradient partial. Raises Unsupported.
    """
    base, adapters = _parts(linear)
    _keep_slice(base, "weight", 1, layout)
    base.in_features //= layout.tp.size
    if base.bias is not None:
        base.__class__ = _RowLinear
        assert isinstance(base, _RowLinear)
        base.bias_shares = layout.tp.size
        _mark(base.bias, "tp_partial")
    for a, b in adapters:
        _keep_slice(a, "weight", 1, layout)
        a.in_features //= layout.tp.size
        _mark(b.weight, "tp_partial")


def parallelise(module: nn.Module, column_names: Sequence[str], row_names: Sequence[str], layout: Layout) -> None:
    """Share a block's linear layers between the ranks of the tp group, in place.

    The block's input (its first floating-point tensor, or `hidden_states`) is what `column_names` read; the
    outputs of `row_names` are summed. Raises Unsupported where sizes do not come out even.
    """
    if layout.tp.size == 1:
        return
    for name in column_names:
        split_columns(module.get_submodule(name), layout)
    for name in row_names:
        split_rows(module.get_submodule(name), layout)
        module.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output: reduce_from_group(output, layout)
        )

    def copy_input(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], Any]:
        return _copied(given, named, layout)

    module.register_forward_pre_hook(copy_input, with_kwargs=True)


def apply_plan(model: nn.Module, plan: Mapping[str, str], layout: Layout) -> None:
    """Share a Hugging Face model's layers as its `config.base_model_tp_plan` says, in place, LoRA adapters too.

    The plan is {"layers.*.self_attn.q_proj": "colwise", ...}; names may stand anywhere below `model` (peft wraps
    models in models). Raises Unsupported, in words: a way of sharing that is not known here, a plan that names no
    module, a block without both columns and rows, heads that tp does not divide.
    """
    if layout.tp.size == 1:
        return
    _refuse_heads(model, layout.tp.size)
    blocks: dict[str, dict[str, list[str]]] = {}
    partial: list[nn.Module] = []
    modules = dict(model.named_modules())
    for pattern, way in plan.items():
        if way not in (COLUMN, ROW, PARTIAL):
            raise Unsupported(
                f"the model's tensor-parallel plan shares {pattern} {way!r}; known here: {COLUMN}, {ROW}, {PARTIAL}"
            )
        expression = re.compile(r"(?:.*\.)?" + re.escape(pattern).replace(r"\*", r"\d+"))
        found = [name for name in modules if expression.fullmatch(name)]
        if not found:
            raise Unsupported(f"the model's tensor-parallel plan names {pattern}, which the model does not have")
        for name in found:
            if way == PARTIAL:
                partial.append(modules[name])
            else:
                block, _, leaf = name.rpartition(".")
                blocks.setdefault(block, {COLUMN: [], ROW: []})[way].append(leaf)
    for block, ways in blocks.items():
        if not ways[COLUMN] or not ways[ROW]:
            raise Unsupported(
                f"the model's tensor-parallel plan shares {block} by {COLUMN if ways[COLUMN] else ROW} layers "
                f"alone; known here: blocks whose first layers are {COLUMN} and whose last is {ROW}"
            )
    for block, ways in blocks.items():
        parallelise(modules[block], ways[COLUMN], ways[ROW], layout)
    for module in partial:
        for parameter in module.parameters():
            _mark(parameter, "tp_partial")


class _Copy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layout: Layout) -> torch.Tensor:
        ctx.layout = layout
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _summed(gradients[0], ctx.layout), None


class _Reduce(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layout: Layout) -> torch.Tensor:
        return _summed(x, layout)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradients[0], None


def _summed(x: torch.Tensor, layout: Layout) -> torch.Tensor:
    with layout.phases("communication"):
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total, group=layout.tp.group)
    return total


class _RowLinear(nn.Linear):
    """A linear layer whose output is summed over ranks: each adds its share of the bias, a gradient's summand."""

    bias_shares: int

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight, self.bias / self.bias_shares)


def _parts(linear: nn.Module) -> tuple[nn.Linear, list[tuple[nn.Linear, nn.Linear]]]:
    """The layer itself and its LoRA pairs (A, B), none where it has no adapters. Raises Unsupported."""
    base = getattr(linear, "base_layer", linear)
    # A subclass may compute something else (quantised weights): only what is known is split.
    if type(base) is not nn.Linear:
        raise Unsupported(f"tensor parallelism splits linear layers, not {type(base).__name__}")
    if base is linear:
        return base, []
    if len(getattr(linear, "lora_magnitude_vector", ())):
        raise Unsupported("tensor parallelism does not split DoRA's magnitudes")
    downs, ups = getattr(linear, "lora_A", None), getattr(linear, "lora_B", None)
    if not isinstance(downs, nn.ModuleDict) or not isinstance(ups, nn.ModuleDict):
        raise Unsupported(f"tensor parallelism splits LoRA adapters, not {type(linear).__name__}")
    pairs = [(downs[name], ups[name]) for name in downs]
    if any(b.bias is not None for _, b in pairs):
        raise Unsupported("tensor parallelism does not split LoRA's bias")
    return base, pairs  # type: ignore[return-value]  # peft's own pairs are linear layers


def _keep_slice(layer: nn.Module, name: str, dim: int, layout: Layout) -> None:
    whole = getattr(layer, name)
    part = nn.Parameter(slice_of(whole.detach(), dim, layout), requires_grad=whole.requires_grad)
    _mark(part, "tp_sharded")
    setattr(layer, name, part)


def _mark(parameter: torch.Tensor, mark: str) -> None:
    setattr(parameter, mark, True)


def _copied(
    given: tuple[Any, ...], named: dict[str, Any], layout: Layout
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a block, its input marked as read by all ranks of the group."""
    hidden = named.get("hidden_states")
    if isinstance(hidden, torch.Tensor):
        return given, {**named, "hidden_states": copy_to_group(hidden, layout)}
    for place, value in enumerate(given):
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            return (*given[:place], copy_to_group(value, layout), *given[place + 1 :]), named
    raise Unsupported("a block shared by tensor parallelism was called without a floating-point tensor to share")


def _refuse_heads(model: nn.Module, size: int) -> None:
    """Raises Unsupported where a rank would get part of a head."""
    config = getattr(model, "config", None)
    for key in ("num_attention_heads", "num_key_value_heads"):
        heads = getattr(config, key, None)
        if isinstance(heads, int) and heads % size:
            raise Unsupported(f"parallelism.tp ({size}) does not divide the model's {key} ({heads})")
