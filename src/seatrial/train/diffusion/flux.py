"""FLUX.1's transformer: made and started as MLPerf's flux1 reference does, and its tokens."""

from __future__ import annotations

import math
from typing import Any

import torch

from seatrial.config.training.diffusion import FluxTransformer
from seatrial.train.layout import Layout
from seatrial.train.sharding import shard

EMBEDDER_DEVIATION = 0.02
POSITION_AXES = 3


def flux_transformer(spec: FluxTransformer, recompute: bool) -> Any:
    """diffusers' FluxTransformer2DModel, not guidance-distilled; on the device that is current (`meta` too)."""
    from diffusers import FluxTransformer2DModel

    model: Any = FluxTransformer2DModel(
        patch_size=1,
        in_channels=spec.in_channels,
        num_layers=spec.num_layers,
        num_single_layers=spec.num_single_layers,
        attention_head_dim=spec.attention_head_dim,
        num_attention_heads=spec.num_attention_heads,
        joint_attention_dim=spec.joint_attention_dim,
        pooled_projection_dim=spec.pooled_projection_dim,
        guidance_embeds=False,
        axes_dims_rope=tuple(spec.axes_dims_rope),
    )
    if recompute:
        model.enable_gradient_checkpointing()
    return model


def place(
    spec: FluxTransformer, recompute: bool, layout: Layout, seed: int, gathered_as: torch.dtype | None = None
) -> Any:
    """The transformer on its device, sharded over the fsdp group, with the random weights of `seed`.

    `gathered_as` is sharding.shard's. Nothing is allocated before it is sharded: no rank ever holds the whole
    model. The weights are the same whatever the ranks.
    """
    with torch.device("meta"):
        model = flux_transformer(spec, recompute)
    shard(model, [*model.transformer_blocks, *model.single_transformer_blocks], layout, gathered_as)
    model.to_empty(device=layout.device)
    generator = torch.Generator(layout.device).manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            whole = torch.empty(parameter.shape, dtype=parameter.dtype, device=layout.device)
            _start(name, whole, generator)
            _own(parameter, layout).copy_(_part(parameter, whole, layout))
    return model


def _own(parameter: torch.Tensor, layout: Layout) -> torch.Tensor:
    own: torch.Tensor = parameter.to_local() if hasattr(parameter, "to_local") else parameter
    return own


def _part(parameter: torch.Tensor, whole: torch.Tensor, layout: Layout) -> torch.Tensor:
    """This rank's rows of `whole`: FSDP2 cuts the first dimension as torch.chunk does; late ranks may get none."""
    if not hasattr(parameter, "to_local"):
        return whole
    parts = whole.chunk(layout.fsdp.size)
    return parts[layout.fsdp.rank] if layout.fsdp.rank < len(parts) else whole[:0]


def _start(name: str, whole: torch.Tensor, generator: torch.Generator) -> None:
    """A parameter's first values: zero for what modulates and for the output (as in DiT), normal for the embedders
    of time and CLIP, Glorot's uniform for the rest, by the shapes of the reference's fused layers."""
    if whole.ndim == 1:
        whole.fill_(1.0 if name.endswith(".weight") else 0.0)
        return
    layer = name.removesuffix(".weight")
    if layer == "proj_out" or layer.endswith((".linear", "norm_out.linear")):
        whole.zero_()
    elif layer.startswith("time_text_embed."):
        whole.normal_(std=EMBEDDER_DEVIATION, generator=generator)
    else:
        outputs, inputs = whole.shape
        fused = _fused_outputs(layer)
        bound = math.sqrt(6 / (inputs + (fused * inputs if fused else outputs)))
        whole.uniform_(-bound, bound, generator=generator)


def _fused_outputs(layer: str) -> int | None:
    """Outputs, in units of the hidden size, of the reference's layer that this one is a part of: q, k and v are one
    layer, with the feed-forward's first in the single-stream blocks."""
    last = layer.rsplit(".", 1)[-1]
    if layer.startswith("single_transformer_blocks.") and last in ("to_q", "to_k", "to_v", "proj_mlp"):
        return 7
    return 3 if last in ("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj") else None


def packed(latents: torch.Tensor) -> torch.Tensor:
    """Latents [n, c, h, w] as tokens [n, h/2 * w/2, 4c], one for each 2 x 2 patch."""
    n, channels, height, width = latents.shape
    patches = latents.reshape(n, channels, height // 2, 2, width // 2, 2)
    return patches.permute(0, 2, 4, 1, 3, 5).reshape(n, height // 2 * (width // 2), channels * 4)


def positions(height: int, width: int, device: torch.device) -> torch.Tensor:
    """Places [h/2 * w/2, 3] of an image's tokens: zero, row and column."""
    rows = torch.arange(height // 2, device=device)
    columns = torch.arange(width // 2, device=device)
    row, column = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([torch.zeros_like(row), row, column], dim=-1).reshape(-1, POSITION_AXES).float()
