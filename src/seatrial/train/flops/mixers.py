"""What mixes the tokens of a sample: attention and gated linear attention, and the products they cost.

Two conventions for causal attention: `full` counts every query against the whole sequence (PaLM, torchtitan: no
causal halving; a window counts in full), `causal` counts the keys that a query can see, on average (S + 1) / 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Convention = Literal["full", "causal"]


class Mixer(Protocol):
    """One layer that mixes tokens."""

    def forward(self, tokens: int, convention: Convention) -> int:
        """FLOPs of one forward pass over a sample of `tokens`, without the projections' weights."""
        ...


@dataclass(frozen=True)
class AttentionLayer:
    """Softmax attention. With grouped key-value heads the products are those of the `heads` queries."""

    heads: int
    head_dim_qk: int
    head_dim_v: int
    window: int | None = None
    """Keys that a query sees at most, its own among them (sliding-window attention)."""
    causal: bool = True
    """False: bidirectional, as in image transformers; every convention counts it in full."""

    def __post_init__(self) -> None:
        _positive(heads=self.heads, head_dim_qk=self.head_dim_qk, head_dim_v=self.head_dim_v)
        if self.window is not None:
            _positive(window=self.window)
            if not self.causal:
                raise ValueError("a window is defined for causal attention only")

    def pairs(self, tokens: int, convention: Convention) -> int:
        """Query-key pairs of a sample; over `tokens` this is the mean context.

        Causal with window w: w(w+1)/2 + (S-w)w where w < S, else S(S+1)/2.
        """
        _positive(tokens=tokens)
        seen = tokens if self.window is None else min(self.window, tokens)
        if convention == "full" or not self.causal:
            return tokens * seen
        return seen * (seen + 1) // 2 + (tokens - seen) * seen

    def forward(self, tokens: int, convention: Convention) -> int:
        """Scores and their product with the values: 2 H (d_qk + d_v) for each pair."""
        return 2 * self.heads * (self.head_dim_qk + self.head_dim_v) * self.pairs(tokens, convention)


@dataclass(frozen=True)
class GatedLinearAttentionLayer:
    """Gated linear attention in its chunked form; chunk 1 is the plain recurrence.

    Per token and head: 2 (d_k + d_v) for each key of its own chunk, 2 d_k d_v to read the state that the chunks
    before left, 2 d_k d_v to add to it (Yang et al., arXiv 2312.06635, section 4). Gates cost no products.
    """

    heads: int
    head_dim_k: int
    head_dim_v: int
    chunk: int

    def __post_init__(self) -> None:
        _positive(heads=self.heads, head_dim_k=self.head_dim_k, head_dim_v=self.head_dim_v, chunk=self.chunk)

    def forward(self, tokens: int, convention: Convention) -> int:
        """Within the chunks as causal attention by `convention`; state read and written for every token."""
        inside = AttentionLayer(self.heads, self.head_dim_k, self.head_dim_v)
        whole, rest = divmod(tokens, self.chunk)
        within = whole * inside.forward(self.chunk, convention) if whole else 0
        within += inside.forward(rest, convention) if rest else 0
        return within + tokens * self.heads * 4 * self.head_dim_k * self.head_dim_v


def _positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; allowed: a whole number >= 1")
