"""Weights and FLOPs of a model by its shape, with the formulas that trainings use (seatrial.train.flops, no torch).

Causal attention counts the keys that a query can see: what kernels execute that skip the masked half.
"""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.config.model_shape import Experts, Model
from seatrial.config.procurement import Hybrid, Training
from seatrial.train.flops.count import FlopCount, Matmuls, RoutedExperts, training_flops
from seatrial.train.flops.mixers import AttentionLayer

GATED = 3
"""Matrices of a gated layer: up, gate, down."""


@dataclass(frozen=True)
class Weights:
    """Weights of a model by who meets them. Norms and biases, a ten-thousandth of it, are left out."""

    shared: int
    """Of the layers, but for routed experts: attention, dense layers, routers, shared experts."""
    routed: int
    """Of all routed experts."""
    chosen: int
    """Of the routed experts that a token meets."""
    head: int
    embedding: int
    """Of a look-up table beside the head; 0 where the head is tied to it."""

    @property
    def total(self) -> int:
        """What a checkpoint holds."""
        return self.shared + self.routed + self.head + self.embedding

    @property
    def active(self) -> int:
        """Weights in matrix products that a token meets: what FLOPs count."""
        return self.shared + self.chosen + self.head


def weights(model: Model) -> Weights:
    """The weights of `model`."""
    width = model.hidden_size
    shared = model.layers * model.attention.weights(width)
    shared += model.dense_layers * GATED * width * (model.intermediate_size or 0)
    routed = chosen = 0
    if model.experts is not None:
        one = routed_experts(model.experts, width)
        routed = model.expert_layers * one.experts * one.expert
        chosen = model.expert_layers * one.top_k * one.expert
        shared += model.expert_layers * (one.shared + one.router)
    head = width * model.vocabulary
    return Weights(shared, routed, chosen, head, 0 if model.tied_head else head)


def routed_experts(experts: Experts, width: int) -> RoutedExperts:
    """One layer of experts in a model of `width`."""
    one = GATED * width * experts.hidden_size
    return RoutedExperts(one, experts.experts, experts.top_k, width * experts.experts, experts.shared * one)


def step_flops(training: Training, hybrid: Hybrid | None = None) -> FlopCount:
    """FLOPs of one sequence of `training`, recomputed layers among them; of its hybrid form where one is given."""
    model, found = training.model, weights(training.model)
    qk, v = model.attention.head_sizes
    windows = [None if hybrid is None else window_of(layer, hybrid) for layer in range(model.layers)]
    return training_flops(
        [Matmuls(trained=found.shared + found.chosen), Matmuls(trained=found.head, in_layers=False)],
        [AttentionLayer(model.attention.heads, qk, v, window) for window in windows],
        training.sequence_length,
        convention="causal",
        checkpointing="layers" if training.layout.recompute == "full" else "none",
    )


def window_of(layer: int, hybrid: Hybrid) -> int | None:
    """The window of a layer, counted from 0; None where it keeps full attention: the last of every `full_every`."""
    return None if layer % hybrid.full_every == hybrid.full_every - 1 else hybrid.window
