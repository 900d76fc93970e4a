"""Causal language models: loading, LoRA adapters, loss. transformers and peft are imported here only.

Neither brings pandas or scikit-learn with it (a test holds that), so that ranks start quickly.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from seatrial.config.training import (
    AnyModel,
    ConfiguredModel,
    LlmFinetune,
    Lora,
    PackagedModel,
    PreparedModel,
    PretrainedModel,
)
from seatrial.errors import ConfigError, MeasurementFailed, Unsupported, nearest_name
from seatrial.train.prediction import token_losses

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

END_OF_TEXT = "<|endoftext|>"


def tokenizer(model: AnyModel, prepared: Path | None) -> PreTrainedTokenizerBase:
    """The tokenizer of a model; `prepared` is the folder of one that was prepared.

    Raises MeasurementFailed (crashed) with the library's words where it cannot be loaded; ConfigError for a
    package that is not installed.
    """
    from transformers import AutoTokenizer

    if isinstance(model, ConfiguredModel):
        if model.tokenizer == "bytes":
            return byte_tokenizer()
        own: dict[str, Any] = {} if model.tokenizer else {"revision": model.revision}
        name, options = model.tokenizer or model.name or "", own
    else:
        name, options = _place(model, prepared)
    try:
        found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name, **options)
    except (OSError, ValueError) as problem:
        raise MeasurementFailed("crashed", f"the tokenizer {name!r} cannot be loaded: {problem}") from problem
    return found


def byte_tokenizer() -> PreTrainedTokenizerBase:
    """256 bytes and an end-of-text token: every text can be encoded, and nothing has to be learnt first."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate(alphabet)} | {END_OF_TEXT: len(alphabet)}
    encoder = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    encoder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    encoder.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=encoder, bos_token=END_OF_TEXT, eos_token=END_OF_TEXT, clean_up_tokenization_spaces=False
    )


def load(workload: LlmFinetune, prepared: Path | None) -> PreTrainedModel:
    """The base model with its weights, on the CPU: prepared, by path, by name, or initialised at random.

    Frozen weights are in the workload's dtype; weights that are trained are float32, since updates are smaller than
    bfloat16 resolves. Raises MeasurementFailed (crashed) with the library's words where it cannot be loaded, and
    ConfigError for a configuration or package that does not exist.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    dtype = weights_dtype(workload)
    if isinstance(workload.model, ConfiguredModel):
        return from_configuration(_configuration(workload.model), dtype)
    name, options = _place(workload.model, prepared)
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, **options)
    except (OSError, ValueError) as problem:
        # OSError: no such model, no network; ValueError: a folder that holds no known architecture.
        raise MeasurementFailed("crashed", f"the model {name!r} cannot be loaded: {problem}") from problem
    return model


def facts(specification: AnyModel, model: PreTrainedModel) -> dict[str, object]:
    """What was loaded, for the record: where it came from, and its size by configuration and by parameters.

    A name that is also a folder's is the folder's: transformers looks there first. `revision` is the hub's commit.
    """
    config = model.config
    return {
        "architecture": type(model).__name__,
        "origin": _origin(specification),
        "revision": getattr(config, "_commit_hash", None),
        "layers": getattr(config, "num_hidden_layers", None),
        "hidden_size": getattr(config, "hidden_size", None),
        "attention_heads": getattr(config, "num_attention_heads", None),
        "vocabulary": getattr(config, "vocab_size", None),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def _origin(specification: AnyModel) -> str:
    if isinstance(specification, PretrainedModel) or (
        isinstance(specification, ConfiguredModel) and specification.name is not None
    ):
        return "folder" if Path(specification.name or "").expanduser().exists() else "hub"
    return "stated" if isinstance(specification, ConfiguredModel) else specification.source


def weights_dtype(workload: LlmFinetune) -> torch.dtype:
    """In what the base model's weights are kept."""
    frozen = workload.lora is not None
    return torch.bfloat16 if frozen and workload.dtype == "bfloat16" else torch.float32


def from_configuration(configuration: PretrainedConfig, dtype: torch.dtype) -> PreTrainedModel:
    """A model initialised at random, on the device that is the default."""
    from transformers import AutoModelForCausalLM

    model: PreTrainedModel = AutoModelForCausalLM.from_config(configuration, dtype=dtype)
    return model


def _place(model: AnyModel, prepared: Path | None) -> tuple[str, dict[str, Any]]:
    """Where transformers finds a model and its tokenizer, and with which words."""
    if isinstance(model, PreparedModel):
        if prepared is None:
            raise MeasurementFailed("crashed", f"the prepared model {model.name!r} was not given")
        return str(prepared), {}
    if isinstance(model, PackagedModel):
        return str(model.folder()), {"gguf_file": model.gguf_file}
    assert not isinstance(model, ConfiguredModel)
    file = {} if model.gguf_file is None else {"gguf_file": model.gguf_file}
    return str(Path(model.name).expanduser()), {"revision": model.revision, **file}


def _configuration(model: ConfiguredModel) -> PretrainedConfig:
    from transformers import AutoConfig

    if model.architecture is None:
        assert model.name is not None
        try:
            found: PretrainedConfig = AutoConfig.from_pretrained(model.name, revision=model.revision)
        except (OSError, ValueError) as problem:
            message = f"the configuration {model.name!r} cannot be loaded: {problem}"
            raise MeasurementFailed("crashed", message) from problem
        return found
    kind = model.architecture["model_type"]
    fields = {key: value for key, value in model.architecture.items() if key != "model_type"}
    try:
        known = set(AutoConfig.for_model(kind).to_dict())
    except ValueError as problem:
        key = "workload.model.architecture.model_type"
        raise ConfigError(
            "transformers knows no such model", key=key, value=kind, allowed="one of its causal language models"
        ) from problem
    for key in fields.keys() - known:
        # The library would take a mistyped field without a word, and the model would not be what was meant.
        raise ConfigError(
            f"the configuration of {kind} has no such field",
            key=f"workload.model.architecture.{key}", value=fields[key], allowed=known,
            nearest=nearest_name(key, known),
        )  # fmt: skip
    built: PretrainedConfig = AutoConfig.for_model(kind, **fields)
    return built


def made_trainable(model: PreTrainedModel, lora: Lora | None, activation_checkpointing: bool) -> torch.nn.Module:
    """`model` as it is trained: all its weights, or all frozen and LoRA adapters (float32) beside them.

    Raises ConfigError where the model has no layers that `lora` names; Unsupported where its activations cannot be
    recomputed.
    """
    if activation_checkpointing:
        if not model.supports_gradient_checkpointing:
            raise Unsupported(f"{type(model).__name__} cannot recompute activations (activation_checkpointing)")
        with warnings.catch_warnings():
            # The name that every transformers knows; newer ones call it activation checkpointing.
            warnings.filterwarnings("ignore", message=".*gradient_checkpointing", category=FutureWarning)
            # Not reentrant: adapters are reached although the embedding needs no gradient.
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return model if lora is None else _with_adapters(model, lora)


def _with_adapters(model: PreTrainedModel, lora: Lora) -> torch.nn.Module:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.rank,
        # peft scales by alpha / rank, as the paper does; alpha is whole in its type, any number in its formula.
        lora_alpha=lora.alpha,  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules),
        task_type="CAUSAL_LM",
    )
    try:
        with warnings.catch_warnings():
            # peft calls activation checkpointing what newer versions of transformers do not.
            warnings.filterwarnings("ignore", message=".*gradient_checkpointing", category=FutureWarning)
            return get_peft_model(model, config)
    except ValueError as problem:
        layers = {name.split(".")[-1] for name, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
        raise ConfigError(
            f"the adapters cannot be placed: {problem}",
            key="workload.lora.target_modules",
            value=lora.target_modules,
            allowed=layers,
        ) from problem


def decoder_layers(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The repeated layers of a Hugging Face model, adapters or not. Raises Unsupported where it names none."""
    base: Any = model
    if hasattr(model, "get_base_model"):
        base = base.get_base_model()
    kinds = set(getattr(base, "_no_split_modules", None) or ())
    layers = [module for module in model.modules() if type(module).__name__ in kinds]
    if not layers:
        raise Unsupported(f"{type(base).__name__} does not say which its layers are: it cannot be sharded by them")
    return layers


def prediction_losses(model: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross entropy in nats [n, L], in float32, of predicting `targets` [n, L] from `inputs` [n, L] up to there.

    0 where the target is NOT_PREDICTED.
    """
    return token_losses(model(input_ids=inputs, use_cache=False).logits, targets)
