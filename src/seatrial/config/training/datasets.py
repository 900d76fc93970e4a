"""Text to train and to evaluate on."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.base import Closed


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
