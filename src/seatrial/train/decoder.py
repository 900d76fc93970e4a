"""Parts of a small causal decoder: positions, attention, feed-forward, layers, and a head tied to the embedding.

Layers are pre-norm residual, as in Llama (Touvron et al. 2023, arXiv 2302.13971): RMSNorm, rotary positions,
SwiGLU, no biases. Token mixer and feed-forward of every layer are given: other architectures need only other parts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

INITIAL_STANDARD_DEVIATION = 0.02
"""Of every weight matrix (GPT-2); those that write into the residual stream: divided by sqrt(2 layers)."""

_recomputing: ContextVar[bool] = ContextVar("recomputing", default=False)


def recomputing() -> bool:
    """Whether a layer's forward pass is being repeated for its backward pass: what counts has counted already."""
    return _recomputing.get()


class Rotary(nn.Module):
    """Rotary positions (Su et al. 2021, arXiv 2104.09864): pairs (i, i + d/2) turn by position x base^(-2i/d)."""

    def __init__(self, head_size: int, base: float = 10_000.0) -> None:
        super().__init__()
        if head_size % 2:
            raise ValueError(f"rotary positions turn pairs: the head size must be even, not {head_size}")
        self.head_size, self.base = head_size, base
        self._tables: tuple[torch.Tensor, torch.Tensor] | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` [batch, heads, length, head size], turned; positions count from 0."""
        length = x.shape[-2]
        if self._tables is None or len(self._tables[0]) < length or self._tables[0].device != x.device:
            self._tables = self._cos_sin(length, x.device)
        cos, sin = (table[:length].to(x.dtype) for table in self._tables)
        first, second = x.chunk(2, dim=-1)
        return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)

    def _cos_sin(self, length: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """[length, head size / 2] each, in float32."""
        exponents = torch.arange(0, self.head_size, 2, device=device, dtype=torch.float32) / self.head_size
        angles = torch.outer(torch.arange(length, device=device, dtype=torch.float32), self.base**-exponents)
        return angles.cos(), angles.sin()


class CausalAttention(nn.Module):
    """Softmax attention over all earlier positions; several query heads may share a key-value head (GQA).

    `positions` turns queries and keys [batch, heads, length, head size]; None: no positions (NoPE).
    """

    def __init__(
        self,
        hidden: int,
        heads: int,
        key_value_heads: int | None = None,
        head_size: int | None = None,
        positions: nn.Module | None = None,
    ) -> None:
        """`key_value_heads`: as many as heads; `head_size`: hidden / heads, unless given."""
        super().__init__()
        shared = key_value_heads or heads
        if heads % shared:
            raise ValueError(f"heads ({heads}) is not divisible by key_value_heads ({shared})")
        if head_size is None and hidden % heads:
            raise ValueError(f"hidden ({hidden}) is not divisible by heads ({heads})")
        self.head_size = head_size or hidden // heads
        self.q_proj = nn.Linear(hidden, heads * self.head_size, bias=False)
        self.k_proj = nn.Linear(hidden, shared * self.head_size, bias=False)
        self.v_proj = nn.Linear(hidden, shared * self.head_size, bias=False)
        self.o_proj = nn.Linear(heads * self.head_size, hidden, bias=False)
        self.positions = positions

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, length, hidden] to the same."""
        # The number of heads follows from the weights: under tensor parallelism a rank has a share of them.
        q, k, v = (
            layer(x).unflatten(-1, (-1, self.head_size)).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        if self.positions is not None:
            q, k = self.positions(q), self.positions(k)
        mixed = self.attend(q, k, v)
        return self.o_proj(mixed.transpose(1, 2).flatten(2))

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Attention of queries [batch, heads, length, head size] over keys and values."""
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=q.shape[1] != k.shape[1])


class SwiGLU(nn.Module):
    """Gated feed-forward: down(silu(gate x) * up x) (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden, inner, bias=False)
        self.up_proj = nn.Linear(hidden, inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., hidden] to the same."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """x + mixer(norm x), then x + feed_forward(norm x)."""

    def __init__(self, hidden: int, mixer: nn.Module, feed_forward: nn.Module) -> None:
        super().__init__()
        self.mixer_norm = nn.RMSNorm(hidden, eps=1e-5)
        self.mixer = mixer
        self.feed_forward_norm = nn.RMSNorm(hidden, eps=1e-5)
        self.feed_forward = feed_forward
        self.activation_checkpointing = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, length, hidden] to the same."""
        if self.activation_checkpointing and torch.is_grad_enabled():
            # Within the layer, so that hooks on it (sharding) lie outside of what is computed twice.
            return checkpoint(self._forward, x, use_reentrant=False, context_fn=_contexts)
        return self._forward(x)

    def _forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.mixer(self.mixer_norm(x))
        return x + self.feed_forward(self.feed_forward_norm(x))


class Decoder(nn.Module):
    """A causal language model; its head is its embedding, transposed (Press and Wolf 2016, arXiv 1608.05859)."""

    def __init__(
        self,
        vocabulary: int,
        hidden: int,
        layers: Sequence[tuple[nn.Module, nn.Module]],
        after_embedding: nn.Module | None = None,
        activation_checkpointing: bool = False,
    ) -> None:
        """`layers`: (mixer, feed_forward) of each; modules over [batch, length, hidden].

        `after_embedding`, over the same, is applied to the embedded tokens.
        """
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.after_embedding = after_embedding
        self.layers = nn.ModuleList(Layer(hidden, mixer, feed_forward) for mixer, feed_forward in layers)
        self.norm = nn.RMSNorm(hidden, eps=1e-5)
        for layer in self.layers:
            assert isinstance(layer, Layer)
            layer.activation_checkpointing = activation_checkpointing

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits [batch, length, vocabulary] of the token after each of `tokens` [batch, length]."""
        x = self.embedding(tokens)
        if self.after_embedding is not None:
            x = self.after_embedding(x)
        for layer in self.layers:
            x = layer(x)
        return F.linear(self.norm(x), self.embedding.weight)


@torch.no_grad()
def initialise(model: Decoder, residual: Callable[[str], bool] | None = None) -> None:
    """Draw every linear layer's and embedding's weight from torch's default generator, in the modules' order.

    `residual` says by a layer's name whether it writes into the residual stream; None: o_proj and down_proj do.
    """
    into_residual = residual or (lambda name: name.rpartition(".")[2] in ("o_proj", "down_proj"))
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            deviation = INITIAL_STANDARD_DEVIATION
            if into_residual(name):
                deviation /= (2 * len(model.layers)) ** 0.5
            nn.init.normal_(module.weight, std=deviation)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)


@contextlib.contextmanager
def _repeated() -> Iterator[None]:
    token = _recomputing.set(True)
    try:
        yield
    finally:
        _recomputing.reset(token)


def _contexts() -> tuple[contextlib.AbstractContextManager[None], contextlib.AbstractContextManager[None]]:
    """What the first forward pass of a checkpointed layer runs in, and its repetition."""
    return contextlib.nullcontext(), _repeated()
