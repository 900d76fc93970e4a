"""What tests hold FLOPs to: the weights of a Llama-like model, counted by hand."""

from __future__ import annotations


def llama_weights(
    *, layers: int, hidden: int, heads: int, key_value_heads: int, head_dim: int, intermediate: int, vocabulary: int
) -> int:
    """Those in products: projections, gated MLP and head; the input embedding is none.

    Per layer d (H dh + 2 KV dh) + H dh d + 3 d f; d V for the head, tied or not.
    """
    attention = hidden * head_dim * (heads + 2 * key_value_heads) + heads * head_dim * hidden
    return layers * (attention + 3 * hidden * intermediate) + hidden * vocabulary
