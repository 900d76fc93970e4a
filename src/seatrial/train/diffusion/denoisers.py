"""Networks that denoise images: [n, channels, height, width] and a time in [0, 1] to a tensor like the images."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from seatrial.config.training.diffusion import DitDenoiser, FluxTransformer, MlpDenoiser, UNetDenoiser

TIME_SCALE = 1000.0
"""Time steps of diffusers' models, whose time embeddings take 0 to 1000."""
TIME_FEATURES = 64


class ImageDenoiser(nn.Module, ABC):
    """What the models here have in common."""

    @abstractmethod
    def blocks(self) -> list[nn.Module]:
        """The parts that are sharded one by one."""


def image_denoiser(
    spec: MlpDenoiser | DitDenoiser | UNetDenoiser | FluxTransformer, side: int, recompute: bool
) -> ImageDenoiser:
    """The denoiser of `spec` for images of one channel and `side` x `side` pixels, with random weights.

    `recompute`: activations are computed again in the backward pass.
    """
    if isinstance(spec, MlpDenoiser):
        return Mlp(spec, side * side, recompute)
    if isinstance(spec, DitDenoiser):
        return Dit(spec, side, recompute)
    if isinstance(spec, UNetDenoiser):
        return UNet(spec, side, recompute)
    raise ValueError(f"{spec.architecture} denoises no images")


class Mlp(ImageDenoiser):
    """Residual blocks over the flattened image; every block sees the time."""

    def __init__(self, spec: MlpDenoiser, pixels: int, recompute: bool) -> None:
        super().__init__()
        self.recompute = recompute
        width = spec.hidden_size
        self.image_in = nn.Linear(pixels, width)
        self.time_in = nn.Linear(TIME_FEATURES, width)
        self.layers = nn.ModuleList(MlpBlock(width) for _ in range(spec.blocks))
        self.norm = nn.LayerNorm(width)
        self.image_out = nn.Linear(width, pixels)
        nn.init.zeros_(self.image_out.weight)

    def blocks(self) -> list[nn.Module]:
        return list(self.layers)

    def forward(self, images: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        when = nn.functional.silu(self.time_in(time_features(time)))
        x = self.image_in(images.flatten(1))
        for layer in self.layers:
            x = checkpoint(layer, x, when, use_reentrant=False) if self.recompute else layer(x, when)
        return self.image_out(self.norm(x)).view_as(images)


class MlpBlock(nn.Module):
    """x + W2 silu(W1 norm(x) + V time); W2 starts at zero, so that the block starts as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner, self.when, self.outer = (nn.Linear(width, width) for _ in range(3))
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, x: torch.Tensor, when: torch.Tensor) -> torch.Tensor:
        return x + self.outer(nn.functional.silu(self.inner(self.norm(x)) + self.when(when)))


def time_features(time: torch.Tensor) -> torch.Tensor:
    """Sines and cosines [n, TIME_FEATURES] of times [n], their frequencies in a geometric series."""
    half = TIME_FEATURES // 2
    frequencies = torch.exp(torch.arange(half, device=time.device) * (-math.log(10_000.0) / half))
    angles = TIME_SCALE * time[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Dit(ImageDenoiser):
    """diffusers' DiTTransformer2DModel, unconditional: all images are of one class, which is never dropped."""

    def __init__(self, spec: DitDenoiser, side: int, recompute: bool) -> None:
        from diffusers import DiTTransformer2DModel

        super().__init__()
        transformer: Any = DiTTransformer2DModel(
            num_attention_heads=spec.heads,
            attention_head_dim=spec.head_dim,
            in_channels=1,
            out_channels=1,
            num_layers=spec.layers,
            sample_size=side,
            patch_size=spec.patch_size,
            num_embeds_ada_norm=1,
            norm_num_groups=1,
        )
        for block in transformer.transformer_blocks:
            block.norm1.emb.class_embedder.dropout_prob = 0.0
        if recompute:
            transformer.enable_gradient_checkpointing()
        self.transformer = transformer

    def blocks(self) -> list[nn.Module]:
        return list(self.transformer.transformer_blocks)

    def forward(self, images: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        one_class = torch.zeros(len(images), dtype=torch.int64, device=images.device)
        predicted: torch.Tensor = self.transformer(
            images, timestep=TIME_SCALE * time, class_labels=one_class, return_dict=False
        )[0]
        return predicted


class UNet(ImageDenoiser):
    """diffusers' UNet2DModel without attention but in its middle."""

    def __init__(self, spec: UNetDenoiser, side: int, recompute: bool) -> None:
        from diffusers import UNet2DModel

        super().__init__()
        stages = len(spec.channels)
        unet: Any = UNet2DModel(
            sample_size=side,
            in_channels=1,
            out_channels=1,
            down_block_types=("DownBlock2D",) * stages,
            up_block_types=("UpBlock2D",) * stages,
            block_out_channels=tuple(spec.channels),
            layers_per_block=spec.layers_per_block,
            norm_num_groups=spec.normalisation_groups,
        )
        if recompute:
            unet.enable_gradient_checkpointing()
        self.unet = unet

    def blocks(self) -> list[nn.Module]:
        return [*self.unet.down_blocks, self.unet.mid_block, *self.unet.up_blocks]

    def forward(self, images: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        predicted: torch.Tensor = self.unet(images, TIME_SCALE * time, return_dict=False)[0]
        return predicted
