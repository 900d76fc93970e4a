"""Random numbers that depend on nothing but what they are for.

A number is a function of (seed, stream, step, sample, element): any number of ranks, any micro-batch size and any
restart sees the same noise for the same sample at the same step, and nothing has to be saved.

Every element's counter goes through the mixing function of SplitMix64.
"""

from __future__ import annotations

import math
from typing import Literal

import torch

from seatrial.train.splitmix64 import GOLDEN, mixed, top_bits

MANTISSA_BITS = 24

Stream = Literal["training_noise", "training_time", "training_latent", "caption", "generated", "evaluation_noise",
                 "evaluation_latent"]  # fmt: skip
STREAMS: tuple[Stream, ...] = (
    "training_noise", "training_time", "training_latent", "caption", "generated", "evaluation_noise",
    "evaluation_latent",
)  # fmt: skip


class Noise:
    """The random numbers of one repeat."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def uniform(self, stream: Stream, step: int, samples: torch.Tensor, elements: int = 1) -> torch.Tensor:
        """Float32 in (0, 1), [n, elements], for the samples numbered in `samples` [n] (int64, any device)."""
        seeded = mixed(mixed(torch.tensor(self.seed)) + STREAMS.index(stream))
        key = int(mixed(seeded + step))  # a number: nothing is copied to an accelerator
        keys = mixed(mixed(samples) ^ key)
        counters = torch.arange(1, elements + 1, device=samples.device) * GOLDEN
        bits = top_bits(mixed(keys[:, None] + counters), MANTISSA_BITS)
        return (bits.float() + 0.5) * 2.0**-MANTISSA_BITS

    def normal(self, stream: Stream, step: int, samples: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        """Standard normal float32 [n, *shape], by Box and Muller from pairs of uniform numbers."""
        pairs = -(-math.prod(shape) // 2)
        radius, angle = self.uniform(stream, step, samples, 2 * pairs).split(pairs, dim=1)
        radius, angle = (-2 * radius.log()).sqrt(), 2 * math.pi * angle
        both = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
        return both[:, : math.prod(shape)].reshape(len(samples), *shape)
