"""Where a causal language model comes from."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.base import Closed, PositiveFloat, PositiveInt
from seatrial.config.probe import Preparation
from seatrial.errors import ConfigError


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
    """On the hub, or a folder."""
    revision: str | None = None
    gguf_file: str | None = Field(default=None, min_length=1)
    """A GGUF file of it, which is dequantised: weights and tokenizer come from there."""


class PackagedModel(Closed):
    """A GGUF file that an installed Python package ships, dequantised: pretrained weights without a network."""

    source: Literal["packaged"]
    package: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The package as it is imported; it is looked up and never imported."""
    gguf_file: str = Field(min_length=1)
    installed_by: str = Field(min_length=1)
    """The command that installs the package, for the error where it is not there."""

    @property
    def name(self) -> str:
        return f"{self.package}/{self.gguf_file}"

    def folder(self) -> Path:
        """The package's folder. Raises ConfigError where it is not installed or has no such file."""
        found = importlib.util.find_spec(self.package)
        folders = [] if found is None else list(found.submodule_search_locations or [])
        for folder in folders:
            if (Path(folder) / self.gguf_file).is_file():
                return Path(folder)
        raise ConfigError(
            "the Python package is not installed" if not folders else "the package has no such file",
            key="workload.model.package" if not folders else "workload.model.gguf_file",
            value=self.package if not folders else self.gguf_file,
            allowed=f"an installed package; this one is installed by `{self.installed_by}`",
        )


class ConfiguredModel(Closed):
    """Random initialisation from a Hugging Face configuration: by name, by path, or stated here."""

    source: Literal["config"]
    name: str | None = Field(default=None, min_length=1)
    """A name on the hub, or a folder, that has the configuration."""
    revision: str | None = None
    architecture: dict[str, Any] | None = None
    """The configuration itself: `model_type`, and the fields of that type's configuration."""
    tokenizer: str | None = Field(default=None, min_length=1)
    """A name or path, or `bytes` (256 bytes and an end-of-text token); None: that of `name`."""

    @model_validator(mode="after")
    def _stated_once(self) -> Self:
        if (self.name is None) == (self.architecture is None):
            raise ValueError("either name or architecture must be stated, and not both")
        if self.architecture is not None:
            if not isinstance(self.architecture.get("model_type"), str):
                raise ValueError("architecture must state its model_type (llama, qwen3, gpt2, ...)")
            if self.tokenizer is None:
                raise ValueError("tokenizer must be stated where the architecture is: a name, a path, or bytes")
        return self


AnyModel = PreparedModel | PretrainedModel | PackagedModel | ConfiguredModel
"""Every way to come by a causal language model."""


def tokenizer_of(model: AnyModel) -> AnyModel:
    """The part of a model's specification that decides its tokenizer.

    Texts that are prepared for one model then serve for all of the same tokenizer.
    """
    if isinstance(model, ConfiguredModel) and model.tokenizer not in (None, "bytes"):
        return PretrainedModel(source="pretrained", name=model.tokenizer)
    if isinstance(model, ConfiguredModel) and model.tokenizer is None:
        assert model.name is not None
        return PretrainedModel(source="pretrained", name=model.name, revision=model.revision)
    return model
