"""Parameters of the trainings: llm_finetune."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.base import Closed, NonNegativeInt, PositiveFloat, PositiveInt, Slug
from seatrial.config.probe import Workload


class QualityTarget(Closed):
    """The metric threshold that ends a training."""

    metric: Literal["evaluation_loss"]
    target: PositiveFloat
    direction: Literal["lower"] = "lower"


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


class PreparedModel(Closed):
    """A base model pre-trained once, by a rule of its own, on Python's documentation (`pydoc_data`)."""

    source: Literal["prepared"]
    name: Slug
    shape: LlamaShape
    corpus: Literal["pydoc_data"] = "pydoc_data"
    steps: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    seed: PositiveInt = 1
    time_limit_minutes: PositiveFloat = 30.0


class PretrainedModel(Closed):
    """Any Hugging Face causal language model, by name or path."""

    source: Literal["pretrained"]
    name: str = Field(min_length=1)
    revision: str | None = None


class StdlibDataset(Closed):
    """Python's standard-library sources: a stated selection of modules, split by module."""

    source: Literal["stdlib"]
    modules: Annotated[list[str], Field(min_length=2)]
    evaluation_modules: Annotated[list[str], Field(min_length=1)]

    @model_validator(mode="after")
    def _stated_once(self) -> Self:
        for key in ("modules", "evaluation_modules"):
            names = getattr(self, key)
            if names != sorted(set(names)):
                raise ValueError(f"{key} must be sorted, every module named once")
        both = sorted(set(self.modules) & set(self.evaluation_modules))
        if both:
            raise ValueError(f"trained and evaluated on the same modules: {', '.join(both)}")
        return self


class TextDataset(Closed):
    """Plain-text files by path."""

    source: Literal["files"]
    train: Annotated[list[str], Field(min_length=1)]
    evaluation: Annotated[list[str], Field(min_length=1)]

    @model_validator(mode="after")
    def _apart(self) -> Self:
        both = sorted(set(self.train) & set(self.evaluation))
        if both:
            raise ValueError(f"trained and evaluated on the same files: {', '.join(both)}")
        return self


class Lora(Closed):
    """LoRA adapters: rank, scale (alpha / rank) and the linear layers that carry them."""

    rank: PositiveInt
    alpha: PositiveFloat
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: Annotated[list[str], Field(min_length=1)]


class LlmFinetune(Workload):
    """LoRA fine-tuning of a causal language model to a target evaluation loss."""

    kind: Literal["llm_finetune"]
    benchmark: str | None = None
    """The MLPerf benchmark that this run is comparable with, or None."""
    model: Annotated[PreparedModel | PretrainedModel, Field(discriminator="source")]
    dataset: Annotated[StdlibDataset | TextDataset, Field(discriminator="source")]
    lora: Lora
    quality: QualityTarget
    sequence_length: PositiveInt
    """Tokens of one sequence that are predicted; text is packed, so none is padding."""
    batch_size: PositiveInt
    """Sequences per rank and micro-batch."""
    gradient_accumulation: PositiveInt = 1
    learning_rate: PositiveFloat
    learning_rate_schedule: Literal["constant", "cosine"] = "constant"
    """After the warm-up: constant, or a half cosine down to zero at max_steps."""
    warmup_steps: NonNegativeInt = 0
    max_steps: PositiveInt
    """The budget: a run that has not reached its target by then fails with kind target_not_reached."""
    evaluation_interval_steps: PositiveInt
    evaluation_sequences: PositiveInt
    checkpoint_interval_steps: PositiveInt | None = None
    gradient_clip_norm: PositiveFloat = 1.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    dtype: Literal["float32", "bfloat16"] = "float32"
    activation_checkpointing: bool = False
    """Recompute activations in the backward pass instead of keeping them."""
    cpu_threads: PositiveInt | None = None
    """CPU threads that a rank computes with at most; None: its whole share of the node's."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if isinstance(self.model, PreparedModel) and self.sequence_length > self.model.shape.context:
            raise ValueError(
                f"sequence_length ({self.sequence_length}) is longer than "
                f"model.shape.context ({self.model.shape.context})"
            )
        for key in ("evaluation_interval_steps", "warmup_steps"):
            if getattr(self, key) > self.max_steps:
                raise ValueError(f"{key} ({getattr(self, key)}) is above max_steps ({self.max_steps})")
        return self
