"""Where a causal language model comes from."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.base import Closed, PositiveFloat, PositiveInt
from seatrial.config.probe import Preparation


class LlamaShape(Closed):
    """Shape of a small Llama-architecture model that `seatrial prepare` pre-trains."""

    hidden_size: PositiveInt
    intermediate_size: PositiveInt
    layers: PositiveInt
    heads: PositiveInt
    key_value_heads: PositiveInt
    vocabulary: Annotated[int, Field(ge=257, strict=True)]
    """Tokens: 256 bytes, one end-of-text token, and the byte pairs that the corpus shows most often."""
    context: PositiveInt
    """Longest sequence in tokens; the pre-training's sequence length too."""

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.hidden_size % self.heads:
            raise ValueError(f"hidden_size ({self.hidden_size}) is not divisible by heads ({self.heads})")
        if self.hidden_size // self.heads % 2:
            raise ValueError(
                f"hidden_size / heads ({self.hidden_size // self.heads}) must be even: positions rotate pairs"
            )
        if self.heads % self.key_value_heads:
            raise ValueError(f"heads ({self.heads}) is not divisible by key_value_heads ({self.key_value_heads})")
        return self


class PreparedModel(Preparation):
    """A base model pre-trained once, by a rule of its own, on Python's documentation (`pydoc_data`)."""

    source: Literal["prepared"]
    shape: LlamaShape
    corpus: Literal["pydoc_data"] = "pydoc_data"
    steps: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    seed: PositiveInt = 1


class PretrainedModel(Closed):
    """Any Hugging Face causal language model, by name or path."""

    source: Literal["pretrained"]
    name: str = Field(min_length=1)
    revision: str | None = None
