"""A model onto its ranks: one rank reads it, every rank gets its own part and never holds more than it needs.

All ranks but the first build it without memory (on torch's meta device). Layer by layer the first rank's tensors
are broadcast, cut to this rank's slice (tensor parallelism), and sharded (FSDP2) before the next layer comes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import nn

from seatrial.errors import ConfigError, MeasurementFailed, Unsupported
from seatrial.train import causal_lm
from seatrial.train.layout import Layout
from seatrial.train.sharding import shard
from seatrial.train.tensor_parallel import apply_plan, slice_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MARKS = ("tp_sharded", "tp_partial")


def placed(
    load: Callable[[], PreTrainedModel],
    prepare: Callable[[PreTrainedModel], nn.Module],
    dtype: torch.dtype,
    layout: Layout,
    inspect: Callable[[nn.Module], None],
    gathered_as: torch.dtype | None = None,
) -> nn.Module:
    """The model that `load` reads and `prepare` makes trainable, parallelised and on this rank's device.

    `load` is called on the first rank alone; `inspect` everywhere, with the whole model before it is cut;
    `gathered_as` is sharding.shard's. Raises what they raise (on the other ranks MeasurementFailed with its words),
    and Unsupported where the model has no plan for tensor parallelism.
    """
    if layout.ranks.size == 1:
        model = prepare(load())
        inspect(model)
        return model.to(layout.device)
    base = _read_by_the_first(load, dtype, layout)
    if layout.ranks.first:
        model = prepare(base)
        tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        _forget_values(model)
    else:
        with torch.device("meta"):
            model = prepare(base)
        tensors = {}
    inspect(model)
    whole = {name: tensor.shape for name, tensor in _named_tensors(model)}
    if layout.tp.size > 1:
        apply_plan(model, tensor_plan(base), layout)
    _Values(model, tensors, whole, layout).fill(gathered_as)
    return model


def tensor_plan(base: PreTrainedModel) -> Mapping[str, str]:
    """How Hugging Face would share the model between tensor-parallel ranks. Raises Unsupported."""
    plan: Mapping[str, str] | None = getattr(base.config, "base_model_tp_plan", None)
    if not plan:
        raise Unsupported(f"{type(base).__name__} has no plan for tensor parallelism (parallelism.tp)")
    return plan


def _read_by_the_first(load: Callable[[], PreTrainedModel], dtype: torch.dtype, layout: Layout) -> PreTrainedModel:
    """The model with its values on the first rank, without them on all others; they fail where it fails."""
    model: PreTrainedModel | None = None
    message: list[Any] = [None, None]
    problem: Exception | None = None
    if layout.ranks.first:
        try:
            model = load()
            message[0] = model.config
        except (MeasurementFailed, ConfigError, Unsupported) as found:
            problem, message[1] = found, str(found)
    dist.broadcast_object_list(message, src=0)
    if problem is not None:
        raise problem
    if message[1] is not None:
        raise MeasurementFailed("crashed", message[1])
    if model is not None:
        return model
    with torch.device("meta"):
        return causal_lm.from_configuration(message[0], dtype)


def _forget_values(model: nn.Module) -> None:
    """Put `model` on the meta device, in place; what is shared between modules stays shared."""
    kept: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                empty = nn.Parameter(parameter.detach().to("meta"), requires_grad=parameter.requires_grad)
                module._parameters[name] = kept.setdefault(id(parameter), empty)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = buffer.to("meta")


def _named_tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


class _Values:
    """Brings values into a model without any. All ranks use it in the same order."""

    def __init__(
        self, model: nn.Module, tensors: dict[str, Any], whole: Mapping[str, torch.Size], layout: Layout
    ) -> None:
        """`tensors` are the values on the first rank, `whole` the shapes before anything was cut."""
        self._model, self._tensors, self._whole, self._layout = model, tensors, whole, layout
        names = {id(tensor): name for name, tensor in _named_tensors(model)}
        self._names = {
            (id(module), key): names[id(tensor)]
            for module in model.modules()
            for key, tensor in (*module._parameters.items(), *module._buffers.items())
            if tensor is not None
        }
        """The name of a module's tensor; what several modules share has one name."""
        counts = Counter(self._names.values())
        self._shared: dict[str, torch.Tensor | None] = {name: None for name, n in counts.items() if n > 1}

    def fill(self, gathered_as: torch.dtype | None) -> None:
        """Give every tensor its value; shard on the way where the layout says so."""
        if self._layout.fsdp.size > 1:
            # `shard` takes one block after the other: each is whole on this rank for a moment only.
            blocks = self._blocks(causal_lm.decoder_layers(self._model))
            shard(self._model, blocks, self._layout, gathered_as)
        else:
            self._fill(self._model.modules())

    def _blocks(self, blocks: list[nn.Module]) -> Iterator[nn.Module]:
        inside = {id(module) for block in blocks for module in block.modules()}
        self._fill(module for module in self._model.modules() if id(module) not in inside)
        for block in blocks:
            self._fill(block.modules())
            yield block

    def _fill(self, modules: Iterable[nn.Module]) -> None:
        for module in modules:
            for tensors in (module._parameters, module._buffers):
                for key, tensor in tensors.items():
                    if tensor is not None:
                        tensors[key] = self._value(self._names[id(module), key], tensor)

    def _value(self, name: str, empty: torch.Tensor) -> Any:
        """The value of a tensor without one; the same object where several modules share it."""
        if (known := self._shared.get(name)) is not None:
            return known
        value = self._received(name, empty.dtype)
        for dim, (part, whole) in enumerate(zip(empty.shape, value.shape, strict=True)):
            if part != whole:
                value = slice_of(value, dim, self._layout)
        if isinstance(empty, nn.Parameter):
            value = nn.Parameter(value, requires_grad=empty.requires_grad)
            for mark in MARKS:
                if getattr(empty, mark, False):
                    setattr(value, mark, True)
        if name in self._shared:
            self._shared[name] = value
        return value

    def _received(self, name: str, dtype: torch.dtype) -> torch.Tensor:
        """The first rank's tensor, whole, on this rank's device."""
        if self._layout.ranks.first:
            value = self._tensors.pop(name).detach().to(self._layout.device).contiguous()
        else:
            value = torch.empty(self._whole[name], dtype=dtype, device=self._layout.device)
        # As bytes: not every backend sends every dtype.
        dist.broadcast(value.reshape(-1).view(torch.uint8), src=0)
        return value
