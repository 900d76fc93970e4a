"""FLOPs of a Hugging Face causal language model: its own weights, its configuration's attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.train.flops.count import Checkpointing, FlopCount, Undefined, training_flops
from seatrial.train.flops.mixers import AttentionLayer, Convention
from seatrial.train.flops.parameters import UncountableError, count_matmul_parameters

if TYPE_CHECKING:
    import torch


def causal_lm_flops(
    config: Any,
    model: torch.nn.Module,
    sequence_length: int,
    convention: Convention = "full",
    checkpointing: Checkpointing = "none",
) -> FlopCount | Undefined:
    """FLOPs to train `model` on one sequence of `sequence_length` tokens.

    `config` is the model's Hugging Face configuration; what is trained, and any LoRA adapter, is read off the
    parameters (a frozen base counts 4N). Windowed layers count their window, routed experts their active share,
    multi-head latent attention its own head sizes. Undefined, in words, where layers are of a kind without a
    formula here. `checkpointing` is `full` by the usual convention, `layers` for what the library recomputes.
    """
    try:
        layers = attention_layers(config)
        parameters = count_matmul_parameters(model, getattr(config, "num_experts_per_tok", None))
    except UncountableError as problem:
        return Undefined(f"the FLOPs of {type(model).__name__} cannot be counted: {problem}")
    found = len(parameters.attention)
    if found != len(layers):
        return Undefined(
            f"the FLOPs of {type(model).__name__} cannot be counted: its configuration states {len(layers)} "
            f"attention layers, the model has {found}"
        )
    reached = [reached for _, reached in parameters.attention]
    matmuls = (parameters.layers, parameters.head)
    return training_flops(
        matmuls,
        [layer for layer, r in zip(layers, reached, strict=True) if r],
        sequence_length,
        convention,
        checkpointing,
        forward_only_mixers=[layer for layer, r in zip(layers, reached, strict=True) if not r],
        basis=_basis(*matmuls, parameters.inactive),
    )


def attention_layers(config: Any) -> list[AttentionLayer]:
    """The attention of each layer by a Hugging Face configuration.

    Raises UncountableError for an encoder, images or sound beside the text, and layers of other kinds.
    """
    if getattr(config, "is_encoder_decoder", False) or getattr(config, "vision_config", None) is not None:
        raise UncountableError("it is not a decoder of text alone")
    heads, layers = getattr(config, "num_attention_heads", None), getattr(config, "num_hidden_layers", None)
    if not isinstance(heads, int) or not isinstance(layers, int):
        raise UncountableError("its configuration states no num_attention_heads or num_hidden_layers")
    nope, rope = getattr(config, "qk_nope_head_dim", None), getattr(config, "qk_rope_head_dim", None)
    if nope is not None and rope is not None:  # latent attention; its `head_dim` is something else
        qk, v = nope + rope, config.v_head_dim
    else:
        qk = v = getattr(config, "head_dim", None) or config.hidden_size // heads
    return [AttentionLayer(heads, qk, v, window) for window in _windows(config, layers)]


def _windows(config: Any, layers: int) -> list[int | None]:
    """The window of each layer; None where it sees everything."""
    window = getattr(config, "sliding_window", None) or None
    if not getattr(config, "use_sliding_window", True):
        window = None
    types = getattr(config, "layer_types", None)
    if types is None:
        return [window] * layers
    unknown = sorted(set(types) - {"full_attention", "sliding_attention"})
    if unknown:
        raise UncountableError(f"layers of type {', '.join(unknown)} have no formula here")
    if "sliding_attention" in types and window is None:
        raise UncountableError("sliding_attention layers without a sliding_window")
    return [window if kind == "sliding_attention" else None for kind in types]


def _basis(layers: Any, head: Any, inactive: int) -> str:
    trained, frozen = layers.trained + head.trained, layers.frozen + head.frozen
    words = [f"6 x {trained:,} trained"]
    if frozen:
        words.append(f"4 x {frozen:,} frozen")
    if layers.forward_only + head.forward_only:
        words.append(f"2 x {layers.forward_only + head.forward_only:,} before everything trained")
    text = " + ".join(words) + " weights in products per token"
    return text + (f" ({inactive:,} of experts not met)" if inactive else "")
