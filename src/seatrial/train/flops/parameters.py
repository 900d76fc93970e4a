"""Weights in matrix products, counted in a model that is there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.train.flops.count import Matmuls

if TYPE_CHECKING:
    import torch

LAYER = re.compile(r"^(.*?\.\d+)\.")
"""A module's name up to its first number: the layer that it belongs to (`model.layers.0`)."""


class UncountableError(ValueError):
    """A model whose matrix products cannot be told from its modules; the message says why."""


@dataclass(frozen=True)
class ModelParameters:
    """Weights in matrix products that one token meets, inside and outside the numbered layers."""

    layers: Matmuls
    head: Matmuls
    """Outside the layers: the head, tied or not, and projections beside the embeddings."""
    inactive: int
    """Weights of routed experts that a token does not meet."""
    attention: tuple[tuple[str, bool], ...]
    """Each attention module in order: its name, and whether a gradient passes through it."""

    @property
    def active(self) -> int:
        """Weights that a token meets, N_mm: what FLOPs count."""
        return self.layers.parameters + self.head.parameters


@dataclass
class _Tally:
    trained: int = 0
    frozen: int = 0
    forward_only: int = 0

    def add(self, weights: int, trained: bool, reached: bool) -> None:
        if trained:
            self.trained += weights
        elif reached:
            self.frozen += weights
        else:
            self.forward_only += weights

    def matmuls(self, in_layers: bool) -> Matmuls:
        return Matmuls(self.trained, self.frozen, self.forward_only, in_layers=in_layers)


def count_matmul_parameters(model: torch.nn.Module, experts_per_token: int | None = None) -> ModelParameters:
    """The weights of `model` that stand in matrix products with every token.

    Counts linear layers (also GPT-2's Conv1D and peft's LoRA layers over frozen bases), routers and fused routed
    experts by their active share. Embeddings are look-ups and do not count; a head tied to one is a product and
    counts once. Frozen weights in layers before the first that trains anything are `forward_only`. Count before
    tensor parallelism cuts the layers by hand (DTensors are fine); any device will do, also `meta`.

    Raises UncountableError for a module with weights of another kind, for no trained parameter, or for experts
    without `experts_per_token`.
    """
    _refuse_adapters(model)
    training_layers = {_layer(name) for name, p in model.named_parameters() if p.requires_grad} - {""}
    inside, outside = _Tally(), _Tally()
    inactive, reached = 0, False
    attention: list[tuple[str, bool]] = []
    for name, module in model.named_modules():
        if ".original_module" in name:
            continue  # peft's untouched copy beside the one that is trained
        own = list(module.parameters(recurse=False))
        layer = _layer(name + ".")
        reached |= layer in training_layers if layer else any(p.requires_grad for p in own)
        if type(module).__name__.endswith("Attention") and not any(name.startswith(a + ".") for a, _ in attention):
            attention.append((name, reached))
        active, idle = _weights(name, module, experts_per_token)
        inactive += idle
        if active:
            trained = any(p.requires_grad for p in own)
            (inside if layer else outside).add(active, trained, reached)
    if not reached:
        raise UncountableError("no parameter of the model is trained")
    return ModelParameters(inside.matmuls(True), outside.matmuls(False), inactive, tuple(attention))


def _layer(name: str) -> str:
    found = LAYER.match(name)
    return found.group(1) if found else ""


def _weights(name: str, module: torch.nn.Module, experts_per_token: int | None) -> tuple[int, int]:
    """Weights of this module itself in products with a token, and those that the token does not meet."""
    import torch

    kind = type(module).__name__
    if isinstance(module, torch.nn.Linear):
        if re.search(r"(^|\.)experts\.\d+\.", name):
            raise UncountableError(f"{name}: experts held as single modules; only fused experts are counted")
        return module.in_features * module.out_features, 0  # a quantised weight has another shape
    if isinstance(module, torch.nn.Embedding):
        return 0, 0
    large = {n: p for n, p in module.named_parameters(recurse=False) if p.ndim > 1 and not n.endswith("bias")}
    if not large:
        return 0, 0
    if kind.endswith("Experts"):
        return _expert_weights(name, module, large, experts_per_token)
    if set(large) == {"weight"} and (kind.endswith("Router") or kind == "Conv1D"):
        return large["weight"].numel(), 0
    raise UncountableError(
        f"{name or kind} ({kind}) holds weights in {', '.join(large)} whose products are not known; "
        "trace the model instead"
    )


def _expert_weights(
    name: str, module: torch.nn.Module, large: dict[str, torch.nn.Parameter], experts_per_token: int | None
) -> tuple[int, int]:
    """Fused experts: tensors [experts, ...] of which a token meets `experts_per_token`."""
    experts = getattr(module, "num_experts", None)
    if not isinstance(experts, int) or any(p.ndim != 3 or p.shape[0] != experts for p in large.values()):
        raise UncountableError(f"{name} ({type(module).__name__}): not the fused experts that are known here")
    if experts_per_token is None:
        raise UncountableError(f"{name}: how many of the {experts} experts a token meets is not stated")
    each = sum(p.numel() for p in large.values()) // experts
    return each * experts_per_token, each * (experts - experts_per_token)


def _refuse_adapters(model: torch.nn.Module) -> None:
    """Adapters of peft other than a single LoRA change products in ways that are not counted here."""
    adapters = getattr(model, "peft_config", None)
    if not isinstance(adapters, dict):
        return
    kinds = [str(getattr(a.peft_type, "value", a.peft_type)) for a in adapters.values()]
    if kinds != ["LORA"]:
        raise UncountableError(f"adapters of kind {', '.join(kinds)}; only one LoRA adapter is counted")
    if any(getattr(a, "use_dora", False) or getattr(a, "target_parameters", None) for a in adapters.values()):
        raise UncountableError("DoRA, and LoRA on bare parameters, are not counted")
