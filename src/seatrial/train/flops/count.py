"""FLOPs of one training sample from shapes: forward, activation gradients and weight gradients, 2N each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from seatrial.train.flops.mixers import Convention, Mixer

Checkpointing = Literal["none", "full", "layers", "attention"]
"""What the backward pass recomputes. `full`: one whole forward pass, so that HFU is 4/3 of MFU in dense full
training (the usual convention); `layers`: the checkpointed layers without head and embedders, which is what
Hugging Face models do (and Korthikanti et al., arXiv 2205.05198, count); `attention`: scores and values only."""


@dataclass(frozen=True)
class Undefined:
    """A figure that is not defined here, and why, in words."""

    reason: str


@dataclass(frozen=True)
class FlopCount:
    """FLOPs of one training sample on its way through the whole model, all ranks that share it together."""

    forward: int
    backward: int
    recompute: int = 0
    """Forward work done a second time in the backward pass under activation checkpointing."""
    frozen_forward: int = 0
    """Forward passes of encoders that are never trained (an image model's autoencoder and text encoder)."""
    basis: str = ""
    """How it was counted, in words, the attention convention among them."""

    @property
    def model(self) -> int:
        """What the model's mathematics needs: forward and backward. MFU counts this."""
        return self.forward + self.backward

    @property
    def hardware(self) -> int:
        """What the accelerators execute: the model's, the recomputed and the frozen encoders'. HFU counts this."""
        return self.model + self.recompute + self.frozen_forward


@dataclass(frozen=True)
class Matmuls:
    """Weights that stand in matrix products with every one of `rows` rows of a sample."""

    trained: int = 0
    frozen: int = 0
    """Not trained, but gradients pass through to something trained before: LoRA's base model. 4N instead of 6N."""
    forward_only: int = 0
    """Not trained, and nothing before is: no backward pass at all."""
    rows: int | None = None
    """None: every token of the sample. 1 for what runs once per sample (the conditioning of adaLN)."""
    in_layers: bool = True
    """False for head and embedders, which stand outside the layers that activation checkpointing recomputes."""

    def __post_init__(self) -> None:
        if min(self.trained, self.frozen, self.forward_only, 0 if self.rows is None else self.rows) < 0:
            raise ValueError(f"counts of weights and rows are never negative: {self}")

    @property
    def parameters(self) -> int:
        return self.trained + self.frozen + self.forward_only

    def forward(self, tokens: int) -> int:
        return 2 * self.parameters * self._rows(tokens)

    def backward(self, tokens: int) -> int:
        return (4 * self.trained + 2 * self.frozen) * self._rows(tokens)

    def recomputed(self, tokens: int) -> int:
        """The forward pass of what has a backward pass."""
        return 2 * (self.trained + self.frozen) * self._rows(tokens)

    def _rows(self, tokens: int) -> int:
        return tokens if self.rows is None else self.rows


@dataclass(frozen=True)
class RoutedExperts:
    """Weights of one mixture-of-experts layer. Padding, capacity and dropped tokens are no model FLOPs."""

    expert: int
    """Weights of one routed expert."""
    experts: int
    top_k: int
    router: int = 0
    """Hidden size times experts."""
    shared: int = 0
    """Weights of all shared experts (and their gate), which every token passes."""

    def __post_init__(self) -> None:
        if not 1 <= self.top_k <= self.experts:
            raise ValueError(f"top_k is {self.top_k}; allowed: 1 to {self.experts} (experts)")

    @property
    def active(self) -> int:
        """Weights that a token meets: shared + k expert + router. MFU counts these."""
        return self.shared + self.top_k * self.expert + self.router

    @property
    def total(self) -> int:
        """Weights that are there: what memory holds."""
        return self.shared + self.experts * self.expert + self.router


def training_flops(
    matmuls: Sequence[Matmuls],
    mixers: Sequence[Mixer],
    tokens: int,
    convention: Convention = "full",
    checkpointing: Checkpointing = "none",
    forward_only_mixers: Sequence[Mixer] = (),
    frozen_forward: int = 0,
    basis: str = "",
) -> FlopCount:
    """FLOPs to train on one sample of `tokens`.

    Dense training: 6 N tokens + 3 attention. LoRA: frozen N and trained N_lora, 4 N + 6 N_lora per token, attention
    still three times its forward pass. `forward_only_mixers` lie before everything trained. `frozen_forward` is
    counted apart (2 N rows of encoders that are not trained). Raises ValueError for tokens < 1.
    """
    if tokens < 1:
        raise ValueError(f"tokens is {tokens}; allowed: a whole number >= 1")
    mixing = sum(mixer.forward(tokens, convention) for mixer in mixers)
    before = sum(mixer.forward(tokens, convention) for mixer in forward_only_mixers)
    recompute = {
        "none": 0,
        "full": mixing + sum(m.recomputed(tokens) for m in matmuls),
        "layers": mixing + sum(m.recomputed(tokens) for m in matmuls if m.in_layers),
        "attention": mixing,
    }
    words = [basis] if basis else []
    words.append(f"attention convention {convention}")
    if checkpointing != "none":
        words.append(f"recomputed: {checkpointing}")
    return FlopCount(
        forward=sum(m.forward(tokens) for m in matmuls) + mixing + before,
        backward=sum(m.backward(tokens) for m in matmuls) + 2 * mixing,
        recompute=recompute[checkpointing],
        frozen_forward=frozen_forward,
        basis=", ".join(words),
    )
