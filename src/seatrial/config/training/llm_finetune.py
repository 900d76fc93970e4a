"""Parameters of llm_finetune."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.base import Closed, PositiveFloat, PositiveInt
from seatrial.config.probe import Preparation
from seatrial.config.training.base import Training
from seatrial.config.training.datasets import HubDataset, PreparedText, StdlibDataset, TextDataset
from seatrial.config.training.models import AnyModel, PreparedModel, tokenizer_of


class Lora(Closed):
    """LoRA adapters: rank, scale (alpha / rank) and the linear layers that carry them."""

    rank: PositiveInt
    alpha: PositiveFloat
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: Annotated[list[str], Field(min_length=1)]


class LlmFinetune(Training):
    """Fine-tuning of a causal language model to a target evaluation loss: LoRA adapters, or all its weights."""

    kind: Literal["llm_finetune"]
    model: Annotated[AnyModel, Field(discriminator="source")]
    dataset: Annotated[StdlibDataset | TextDataset | HubDataset, Field(discriminator="source")]
    lora: Lora | None
    """None: all weights are trained."""
    sequence_length: PositiveInt
    """Tokens of one sequence; text is packed, so none is padding. All are predicted, but of rows that a dataset
    gives as they are: there the first is not, nor what its labels leave out."""
    evaluation_sequences: PositiveInt

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if isinstance(self.model, PreparedModel) and self.sequence_length > self.model.shape.context:
            raise ValueError(
                f"sequence_length ({self.sequence_length}) is longer than "
                f"model.shape.context ({self.model.shape.context})"
            )
        if self.parallelism.ep > 1:
            raise ValueError(
                f"parallelism.ep ({self.parallelism.ep}): llm_finetune has no routed experts to share; allowed: 1"
            )
        metrics = [quality.metric for quality in (self.quality, *self.also)]
        if metrics != ["evaluation_loss"]:
            raise ValueError(
                f"quality.metric {', '.join(metrics)}: llm_finetune measures evaluation_loss and nothing else"
            )
        return self

    def preparations(self) -> list[Preparation]:
        text = self.prepared_text()
        model = [self.model] if isinstance(self.model, PreparedModel) else []
        return [*model, *([text] if text else [])]

    def prepared_text(self) -> PreparedText | None:
        """How its dataset is prepared; None where it needs no preparation."""
        if not isinstance(self.dataset, HubDataset):
            return None
        slug = re.sub(r"[^a-z0-9]+", "_", self.dataset.name.lower()).strip("_")
        return PreparedText(
            name=slug[-60:].lstrip("_") or "text",
            time_limit_minutes=self.dataset.time_limit_minutes,
            dataset=self.dataset,
            tokenizer=None if self.dataset.packed else tokenizer_of(self.model),
            sequence_length=self.sequence_length,
            evaluation_sequences=self.evaluation_sequences,
        )
