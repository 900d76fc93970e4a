"""Pre-trains the small base model that a laptop fine-tunes: Llama architecture, Python's own documentation.

On the CPU with one thread, so that a specification gives the same model whatever else the machine has.
"""

from __future__ import annotations

import math
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from seatrial.config.training import LlamaShape, PreparedModel
from seatrial.errors import MeasurementFailed
from seatrial.prepare.folder import prepared_aside
from seatrial.train import causal_lm, packing
from seatrial.train.causal_lm import END_OF_TEXT
from seatrial.train.corpus import Corpus, documentation
from seatrial.train.order import BatchOrder
from seatrial.train.threads import at_most_threads

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

HELD_OUT = 0.05
"""Share of the corpus' last sequences that is not trained on; the summary's loss is theirs."""


def prepare_model(spec: PreparedModel, folder: Path, library: Path | None = None) -> None:
    """Pre-train the model of `spec` and leave it in `folder` with its tokenizer and `prepared.json`.

    The folder is made aside and renamed: there is never a half-written one. An older one is replaced.
    `library` is another Python's standard library to take the documentation from; None: this one's.
    Raises MeasurementFailed (diverged) where the loss does not fall below that of guessing evenly.
    """
    started = time.perf_counter()
    text = documentation(library)
    with at_most_threads(1):
        torch.manual_seed(spec.seed)
        tokenizer = train_tokenizer(text, spec.shape)
        windows = packing.pack(text, tokenizer, spec.shape.context)
        model = _new_model(spec.shape, tokenizer)
        held_out = max(1, math.ceil(len(windows) * HELD_OUT))
        _pretrain(model, windows[:-held_out], spec)
        loss = _mean_loss(model, windows[-held_out:], spec.batch_size)
    if not loss < math.log(spec.shape.vocabulary):
        raise MeasurementFailed(
            "diverged",
            f"the base model {spec.name!r} has a loss of {loss:.4g} nats/token after {spec.steps} steps; "
            f"guessing evenly has {math.log(spec.shape.vocabulary):.4g}",
        )
    summary = {
        "spec": spec.model_dump(mode="json"),
        "corpus": {"origin": text.origin, "sha256": text.sha256, "characters": text.characters},
        "python": platform.python_version(),
        "torch": torch.__version__,
        "tokens": windows[:, 1:].numel(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": spec.steps,
        "loss": loss,
        "seconds": round(time.perf_counter() - started, 3),
    }
    _save(folder, model, tokenizer, summary)


def train_tokenizer(text: Corpus, shape: LlamaShape) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of `shape.vocabulary` tokens: every text can be encoded, none is unknown."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=shape.vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(text.documents, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        model_max_length=shape.context,
        clean_up_tokenization_spaces=False,
    )


def _new_model(shape: LlamaShape, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        max_position_embeddings=shape.context,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)


def _pretrain(model: PreTrainedModel, windows: torch.Tensor, spec: PreparedModel) -> None:
    """`spec.steps` AdamW steps; the learning rate rises over the first twentieth and falls as a cosine to 5 %."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=spec.learning_rate, betas=(0.9, 0.95), weight_decay=0.1)
    order = BatchOrder(len(windows), spec.seed)
    warmup = max(1, spec.steps // 20)
    model.train()
    for step in range(spec.steps):
        cosine = 0.525 + 0.475 * math.cos(math.pi * step / spec.steps)
        for group in optimizer.param_groups:
            group["lr"] = spec.learning_rate * min(1.0, (step + 1) / warmup) * cosine
        batch = windows[order.positions(step * spec.batch_size, spec.batch_size)]
        optimizer.zero_grad(set_to_none=True)
        _losses(model, batch).mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def _losses(model: PreTrainedModel, windows: torch.Tensor) -> torch.Tensor:
    """Of predicting tokens 1 ... L of windows [n, L + 1] from those before each: [n, L]."""
    return causal_lm.prediction_losses(model, windows[:, :-1], windows[:, 1:])


def _mean_loss(model: PreTrainedModel, windows: torch.Tensor, batch_size: int) -> float:
    model.eval()
    with torch.no_grad():
        total = sum(float(_losses(model, part).sum().item()) for part in windows.split(batch_size))
    return total / windows[:, 1:].numel()


def _save(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, summary: dict[str, Any]
) -> None:
    """Write everything aside, the summary last, and rename the whole folder into place."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    with prepared_aside(folder, summary) as aside:
        model.save_pretrained(aside)
        tokenizer.save_pretrained(aside)
