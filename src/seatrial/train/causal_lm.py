"""Causal language models: loading, LoRA adapters, loss. transformers and peft are imported here only.

Neither brings pandas or scikit-learn with it (a test holds that), so that ranks start quickly.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from seatrial.config.training import LlmFinetune, Lora, PreparedModel
from seatrial.errors import ConfigError, MeasurementFailed

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def load(
    workload: LlmFinetune, prepared: Path | None, device: torch.device
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The base model on its device and its tokenizer: prepared, by path, or by name.

    Raises MeasurementFailed (crashed) with the library's words where it cannot be loaded.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    revision = None
    if isinstance(workload.model, PreparedModel):
        if prepared is None:
            raise MeasurementFailed("crashed", f"the prepared model {workload.model.name!r} was not given")
        name = str(prepared)
    else:
        name, revision = workload.model.name, workload.model.revision
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
        model = AutoModelForCausalLM.from_pretrained(name, revision=revision, dtype=DTYPES[workload.dtype])
    except (OSError, ValueError) as problem:
        # OSError: no such model, no network; ValueError: a folder that holds no known architecture.
        raise MeasurementFailed("crashed", f"the model {name!r} cannot be loaded: {problem}") from problem
    model.to(device)  # type: ignore[arg-type]  # transformers wraps torch's `to` and loses its signature
    return model, tokenizer


def with_adapters(model: PreTrainedModel, lora: Lora, activation_checkpointing: bool) -> torch.nn.Module:
    """`model` with all its own weights frozen and LoRA adapters (float32) on the layers that `lora` names.

    Raises ConfigError where the model has no such layers.
    """
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
            # peft, and the name that every transformers knows, use what newer ones call activation checkpointing.
            warnings.filterwarnings("ignore", message=".*gradient_checkpointing", category=FutureWarning)
            if activation_checkpointing:
                model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            return get_peft_model(model, config)
    except ValueError as problem:
        layers = {name.split(".")[-1] for name, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
        raise ConfigError(
            f"the adapters cannot be placed: {problem}",
            key="workload.lora.target_modules",
            value=lora.target_modules,
            allowed=layers,
        ) from problem


def token_losses(model: torch.nn.Module, windows: torch.Tensor, reduction: str) -> torch.Tensor:
    """Cross entropy in nats of predicting tokens 1 ... L of windows [n, L + 1] from those before each.

    `reduction` is `mean` or `sum` over the n L predictions. The loss is computed in float32.
    """
    logits = model(input_ids=windows[:, :-1], use_cache=False).logits
    return F.cross_entropy(logits.float().flatten(0, 1), windows[:, 1:].flatten(), reduction=reduction)


def trained_state(model: torch.nn.Module) -> dict[str, Any]:
    """The parameters that are trained, by name, on the CPU."""
    return {n: p.detach().cpu().clone() for n, p in model.named_parameters() if p.requires_grad}


def restore_trained(model: torch.nn.Module, state: dict[str, Any]) -> None:
    """Set the parameters that `trained_state` returned."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(state[name])
