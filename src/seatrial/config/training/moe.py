"""Parameters of moe."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.base import Closed, NonNegativeInt, PositiveFloat, PositiveInt
from seatrial.config.training.base import Training
from seatrial.config.training.datasets import StdlibDataset, TextDataset


class AuxiliaryLoss(Closed):
    """Balance by a loss: coefficient x experts x sum of (share of tokens x mean probability) over the experts."""

    method: Literal["auxiliary_loss"]
    coefficient: PositiveFloat


class BiasUpdate(Closed):
    """Balance without a loss: after every step the bias of an expert's choice moves by `rate` towards the mean."""

    method: Literal["bias"]
    rate: PositiveFloat


class Unbalanced(Closed):
    """Nothing keeps the experts balanced."""

    method: Literal["none"]


class Moe(Training):
    """A causal language model of bytes whose feed-forwards are routed experts, trained to an evaluation loss."""

    kind: Literal["moe"]
    dataset: Annotated[StdlibDataset | TextDataset, Field(discriminator="source")]
    layers: PositiveInt
    hidden_size: PositiveInt
    heads: PositiveInt
    key_value_heads: PositiveInt
    head_size: PositiveInt
    vocabulary: Annotated[int, Field(ge=256, strict=True)] = 256
    """Rows of the embedding and head. Text is bytes; more rows give another model's products, never its text."""
    experts: PositiveInt
    """Routed experts of each layer."""
    top_k: PositiveInt
    """Routed experts that a token goes to."""
    shared_experts: NonNegativeInt = 0
    """Experts that every token goes to besides."""
    expert_size: PositiveInt
    """Inner size of one expert, a gated feed-forward."""
    capacity_factor: PositiveFloat | None = None
    """An expert takes at most factor x tokens x top_k / experts of each rank's micro-batch in training; the surplus
    is dropped. None: dropless."""
    balancing: Annotated[AuxiliaryLoss | BiasUpdate | Unbalanced, Field(discriminator="method")]
    sequence_length: PositiveInt
    """Bytes of one sequence that are predicted."""
    evaluation_sequences: PositiveInt
    routing_trace_steps: NonNegativeInt = 0
    """Of so many steps at the end, how many choices of each rank's tokens reached each expert is kept beside the
    record as <repeat>.routing.npz, which the probe moe_alltoall can replay."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.top_k > self.experts:
            raise ValueError(f"top_k ({self.top_k}) is above experts ({self.experts})")
        if self.heads % self.key_value_heads:
            raise ValueError(f"heads ({self.heads}) is not divisible by key_value_heads ({self.key_value_heads})")
        if self.head_size % 2:
            raise ValueError(f"head_size ({self.head_size}) must be even: positions rotate pairs")
        if self.quality.metric != "evaluation_loss" or self.also:
            raise ValueError("quality.metric: moe measures evaluation_loss and nothing else")
        return self

    @model_validator(mode="after")
    def _shareable(self) -> Self:
        tp, ep = self.parallelism.tp, self.parallelism.ep
        shared = {"key_value_heads": self.key_value_heads, "expert_size": self.expert_size}
        for key, size in shared.items():
            if size % tp:
                raise ValueError(f"{key} ({size}) is not divisible by parallelism.tp ({tp})")
        if self.experts % ep:
            raise ValueError(f"experts ({self.experts}) is not divisible by parallelism.ep ({ep})")
        return self
