"""Packed sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from seatrial.errors import MeasurementFailed
from seatrial.train.corpus import Corpus

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def pack(corpus: Corpus, tokenizer: PreTrainedTokenizerBase, length: int) -> torch.Tensor:
    """All documents, an end-of-text token after each, cut into windows [n, length + 1] of int64.

    Neighbouring windows share one token, so that every token but the first is predicted exactly once;
    what does not fill the last window is dropped.
    """
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    tokens: list[int] = []
    for text in corpus.documents:
        # verbose: the whole text is longer than the model's context, which is what packing is for.
        tokens.extend(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
        tokens.extend(end)
    if (len(tokens) - 1) // length < 1:
        raise MeasurementFailed(
            "wrong_result",
            f"{corpus.origin}: {len(tokens)} tokens do not fill one sequence of {length}; nothing to train on",
        )
    return windows(torch.tensor(tokens, dtype=torch.int64), length)


def windows(tokens: torch.Tensor, length: int) -> torch.Tensor:
    """A stream of tokens cut into windows [n, length + 1], a view; neighbours share one token."""
    count = (len(tokens) - 1) // length
    return tokens[: count * length + 1].unfold(0, length + 1, length)


def spread(windows: torch.Tensor, count: int) -> torch.Tensor:
    """`count` windows spread evenly over all of them, so that every document has its share."""
    if count > len(windows):
        raise MeasurementFailed(
            "wrong_result",
            f"evaluation_sequences is {count}, but the evaluation text fills only {len(windows)} sequences",
        )
    return windows[torch.arange(count) * len(windows) // count]
