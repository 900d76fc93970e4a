"""The shape of a decoder that nobody has to build: layers, widths, heads, experts."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.base import Closed, NonNegativeInt, PositiveInt
from seatrial.errors import FieldMistake


class GroupedAttention(Closed):
    """Softmax attention in which several query heads share a head of keys and values."""

    kind: Literal["grouped"] = "grouped"
    heads: PositiveInt
    key_value_heads: PositiveInt
    head_size: PositiveInt

    @property
    def head_sizes(self) -> tuple[int, int]:
        """Elements of a query's head and of a value's."""
        return self.head_size, self.head_size

    def weights(self, hidden_size: int) -> int:
        """Of the projections of one layer: queries, keys, values, output."""
        inward = hidden_size * self.head_size * (self.heads + 2 * self.key_value_heads)
        return inward + self.heads * self.head_size * hidden_size


class LatentAttention(Closed):
    """Multi-head latent attention, whose queries, keys and values pass through low ranks (DeepSeek-V2, -V3)."""

    kind: Literal["latent"]
    heads: PositiveInt
    query_rank: PositiveInt
    key_value_rank: PositiveInt
    plain_size: PositiveInt
    """Elements of a head without positions."""
    rotary_size: PositiveInt
    """Elements of a head with positions; one head of them is shared by all keys."""
    value_size: PositiveInt

    @property
    def head_sizes(self) -> tuple[int, int]:
        """Elements of a query's head and of a value's."""
        return self.plain_size + self.rotary_size, self.value_size

    def weights(self, hidden_size: int) -> int:
        """Of the projections of one layer, down to the low ranks and up to the heads."""
        queries = self.query_rank * (hidden_size + self.heads * (self.plain_size + self.rotary_size))
        down = hidden_size * (self.key_value_rank + self.rotary_size)
        up = self.key_value_rank * self.heads * (self.plain_size + self.value_size)
        return queries + down + up + self.heads * self.value_size * hidden_size


Attention = Annotated[GroupedAttention | LatentAttention, Field(discriminator="kind")]


class Experts(Closed):
    """Mixture-of-experts layers, of gated products (three matrices) as the dense ones."""

    experts: PositiveInt
    top_k: PositiveInt
    hidden_size: PositiveInt
    """Width of one expert."""
    shared: NonNegativeInt = 0
    """Experts of the same width that every token passes."""
    dense_layers: NonNegativeInt = 0
    """Layers that have no experts."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.top_k > self.experts:
            raise FieldMistake(
                f"a token cannot choose {self.top_k} different experts of {self.experts}",
                field="top_k",
                value=self.top_k,
                allowed=f"1 to {self.experts}, the experts",
            )
        return self


class Model(Closed):
    """A decoder of text, with gated products (SwiGLU: three matrices) between its attention layers."""

    layers: PositiveInt
    hidden_size: PositiveInt
    intermediate_size: PositiveInt | None = None
    """Width of the dense layers; None where every layer has experts."""
    vocabulary: PositiveInt
    tied_head: bool = False
    """Whether the head is the embedding."""
    attention: Attention
    experts: Experts | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        dense = self.dense_layers
        if dense > self.layers:
            raise FieldMistake(
                f"there are only {self.layers} layers",
                field="experts.dense_layers",
                value=dense,
                allowed=f"0 to {self.layers}",
            )
        if dense and self.intermediate_size is None:
            raise FieldMistake(
                f"{dense} layers have no experts and need a width",
                field="intermediate_size",
                allowed="a value >= 1",
            )
        return self

    @property
    def dense_layers(self) -> int:
        return self.layers if self.experts is None else self.experts.dense_layers

    @property
    def expert_layers(self) -> int:
        return self.layers - self.dense_layers
