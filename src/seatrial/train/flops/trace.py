"""FLOPs by watching the products that are executed: for models without a formula, such as convolutional U-Nets."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from seatrial.train.flops.count import FlopCount

if TYPE_CHECKING:
    import torch


def traced_flops(loss: Callable[[], torch.Tensor], samples: int) -> FlopCount:
    """FLOPs per sample of one forward and backward pass that `loss` (a scalar) starts, over a batch of `samples`.

    Runs `loss` and its backward pass once, so gradients are left behind: call it on a copy of the model on the
    `meta` device, which computes nothing. Attention is counted in full, as bidirectional models need it; windows
    and causality are not seen. Without activation checkpointing: recomputation would count as backward.
    Raises ValueError for samples < 1 and for counts that do not divide by `samples`.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    if samples < 1:
        raise ValueError(f"samples is {samples}; allowed: a whole number >= 1")
    # The plain form of attention: fused ones count otherwise, or, on a CPU, not at all.
    with sdpa_kernel(SDPBackend.MATH):
        with FlopCounterMode(display=False) as forward:
            value = loss()
        with FlopCounterMode(display=False) as backward:
            value.backward()
    counts = forward.get_total_flops(), backward.get_total_flops()
    if any(count % samples for count in counts):
        raise ValueError(f"{counts[0]:,} + {counts[1]:,} FLOPs do not divide by samples ({samples})")
    return FlopCount(counts[0] // samples, counts[1] // samples, basis="traced, attention convention full")
