"""How unevenly tokens are spread, from their counts."""

from __future__ import annotations

import torch


def imbalance(counts: torch.Tensor) -> torch.Tensor:
    """Greatest over mean of `counts` [..., n]: 1 is even, n all on one. MaxVio (arXiv 2408.15664) is this - 1."""
    return counts.amax(dim=-1) / counts.double().mean(dim=-1)


def gini(counts: torch.Tensor) -> torch.Tensor:
    """Gini coefficient of `counts` [..., n]: sum over i = 1 ... n of (2i - n - 1) x_i / (n sum x), x ascending.

    0 is even, 1 - 1/n all on one.
    """
    n = counts.shape[-1]
    ranks = torch.arange(1, n + 1, device=counts.device, dtype=torch.float64)
    ascending = counts.sort(dim=-1).values.double()
    return ((2 * ranks - n - 1) * ascending).sum(dim=-1) / (n * ascending.sum(dim=-1))
