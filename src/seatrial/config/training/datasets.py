"""Text to train and to evaluate on."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.base import Closed, PositiveInt, TimeLimit
from seatrial.config.probe import Preparation
from seatrial.config.training.models import AnyModel


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


class HubDataset(Closed):
    """A Hugging Face dataset by name, or a folder with one; a rule of its own makes sequences of it.

    Its evaluation sequences are the first ones of their split, as MLPerf takes them.
    """

    source: Literal["hub", "folder"]
    name: str = Field(min_length=1)
    """hub: its name; folder: its path (parquet, JSON lines, CSV or text files, or what `save_to_disk` left)."""
    subset: str | None = None
    """What the hub calls a dataset's configuration."""
    revision: str | None = None
    data_files: dict[str, Annotated[list[str], Field(min_length=1)]] | None = None
    """Files or patterns by split, below the dataset; None: as its own description or their names say."""
    split: str = "train"
    evaluation_split: str = "validation"
    text_columns: Annotated[list[str], Field(min_length=1)] = ["text"]
    """A document is these columns, joined by `separator`."""
    separator: str = "\n"
    packed: bool = False
    """Its rows are sequences already: `input_ids`, and `labels` (-100: not predicted) where it has them. Nothing is
    tokenised or cut."""
    train_sequences: PositiveInt | None = None
    """Only so many sequences are prepared to train on; None: all there are."""
    time_limit_minutes: TimeLimit = 120.0
    """Of the preparation."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.split == self.evaluation_split:
            raise ValueError(f"trained and evaluated on the same split: {self.split}")
        return self


class PreparedText(Preparation):
    """Sequences of a dataset, tokenised for one model: what ranks map into memory."""

    source: Literal["text"] = "text"
    dataset: HubDataset
    tokenizer: Annotated[AnyModel, Field(discriminator="source")] | None
    """None: the dataset is tokenised already."""
    sequence_length: PositiveInt
    evaluation_sequences: PositiveInt
