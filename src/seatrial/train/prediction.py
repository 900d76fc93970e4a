"""Losses of predicted tokens: the same for every model that gives logits."""

from __future__ import annotations

import torch
import torch.nn.functional as F

NOT_PREDICTED = -100
"""The target of a token whose prediction does not count, by PyTorch's and Hugging Face's convention."""


def token_losses(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross entropy in nats [n, L], in float32, of logits [n, L, vocabulary]; 0 where the target [n, L] is
    NOT_PREDICTED."""
    losses = F.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), reduction="none", ignore_index=NOT_PREDICTED
    )
    return losses.view(targets.shape)


def sequence_losses(losses: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Each sequence's mean [n] of `token_losses` [n, L] over its predicted tokens; 0 where it has none."""
    return losses.sum(dim=1) / (targets != NOT_PREDICTED).sum(dim=1).clamp(min=1)
