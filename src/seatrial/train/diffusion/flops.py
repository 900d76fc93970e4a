"""Model FLOPs of denoisers."""

from __future__ import annotations

import torch

from seatrial.config.training import Diffusion
from seatrial.config.training.diffusion import DIGITS_SIDE, FluxTransformer, MlpDenoiser
from seatrial.train.diffusion.denoisers import image_denoiser
from seatrial.train.diffusion.digits import CHANNELS
from seatrial.train.flops import (
    AttentionLayer,
    Checkpointing,
    FlopCount,
    Matmuls,
    count_matmul_parameters,
    traced_flops,
    training_flops,
)

TRACED_BATCH = 2
TIME_EMBEDDING = 256
"""Sines and cosines that FLUX embeds its time in."""


def image_flops(workload: Diffusion) -> FlopCount | None:
    """FLOPs to train on one image: 6N for fully connected layers, traced for the others.

    None under activation checkpointing of traced models: what is computed twice would count as the model's.
    """
    with torch.device("meta"):
        model = image_denoiser(workload.model, DIGITS_SIDE, recompute=False)
    if isinstance(workload.model, MlpDenoiser):
        counted = count_matmul_parameters(model)
        checkpointing: Checkpointing = "layers" if workload.activation_checkpointing else "none"
        return training_flops(
            [counted.layers, counted.head], [], 1, checkpointing=checkpointing, basis="6N of all linear layers"
        )
    if workload.activation_checkpointing:
        return None
    images = torch.zeros(TRACED_BATCH, CHANNELS, DIGITS_SIDE, DIGITS_SIDE, device="meta")
    return traced_flops(lambda: model(images, torch.zeros(TRACED_BATCH, device="meta")).sum(), TRACED_BATCH)


def flux_flops(spec: FluxTransformer, image_tokens: int, text_tokens: int, recompute: bool) -> FlopCount:
    """FLOPs to train FLUX's transformer on one sample: image and caption have weights of their own in the first
    blocks; what makes the modulation of a block runs once for each sample; attention is over both, bidirectional.
    """
    hidden = spec.num_attention_heads * spec.attention_head_dim
    both, square = image_tokens + text_tokens, hidden * hidden
    stream = spec.num_layers * 12 * square  # 4 of attention, 8 of the feed-forward
    modulation = (spec.num_layers * 2 * 6 + spec.num_single_layers * 3) * square
    embedders = (TIME_EMBEDDING + spec.pooled_projection_dim) * hidden + 2 * square
    matmuls = [
        Matmuls(stream, rows=image_tokens),
        Matmuls(stream, rows=text_tokens),
        Matmuls(spec.num_single_layers * 12 * square, rows=both),
        Matmuls(modulation, rows=1),
        Matmuls(embedders + 2 * square, rows=1, in_layers=False),  # the output is modulated too
        Matmuls(2 * spec.in_channels * hidden, rows=image_tokens, in_layers=False),
        Matmuls(spec.joint_attention_dim * hidden, rows=text_tokens, in_layers=False),
    ]
    attention = AttentionLayer(
        spec.num_attention_heads, spec.attention_head_dim, spec.attention_head_dim, causal=False
    )
    return training_flops(
        matmuls,
        [attention] * (spec.num_layers + spec.num_single_layers),
        both,
        checkpointing="layers" if recompute else "none",
        basis="FLUX, modulation once for each sample",
    )
