"""Which experts a token goes to, with what weight, and what keeps the experts balanced.

Convention: probabilities are the softmax over all routed experts; the top k are chosen; their weights are their
probabilities over the sum of the chosen (the same as a softmax over the chosen logits: Jiang et al. 2024, Mixtral,
arXiv 2401.04088, 2.1). Everything is computed in float32, whatever the rest computes in (Fedus et al. 2021, Switch
Transformers, arXiv 2101.03961, 2.4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Routing:
    """Where each of N tokens goes: to experts[i, j] with weights[i, j] (their sum is 1), j = 0 ... k - 1."""

    experts: torch.Tensor
    weights: torch.Tensor
    probabilities: torch.Tensor
    """[N, experts], float32."""


class Router(nn.Module):
    """A linear layer over hidden states, and a bias of the choice that no gradient reaches."""

    def __init__(self, hidden: int, experts: int, top_k: int) -> None:
        super().__init__()
        self.top_k = top_k
        self.gate = nn.Linear(hidden, experts, bias=False)
        self.register_buffer("bias", torch.zeros(experts), persistent=False)
        self.bias: torch.Tensor

    def forward(self, tokens: torch.Tensor) -> Routing:
        """Routing of `tokens` [N, hidden]."""
        with torch.autocast(tokens.device.type, enabled=False):
            probabilities = self.gate(tokens.float()).softmax(dim=-1)
        # The bias says who is chosen, not with what weight (DeepSeek-AI 2024, arXiv 2412.19437, 2.1.2).
        experts = (probabilities.detach() + self.bias).topk(self.top_k, dim=-1).indices
        chosen = probabilities.gather(1, experts)
        return Routing(experts, chosen / chosen.sum(dim=-1, keepdim=True), probabilities)

    @torch.no_grad()
    def move_bias(self, counts: torch.Tensor, rate: float) -> None:
        """b_i += rate x sign(mean count - count_i) (Wang et al. 2024, arXiv 2408.15664, algorithm 1).

        `counts` [experts] are the tokens of all ranks in the step that ends.
        """
        counts = counts.double()
        self.bias += rate * torch.sign(counts.mean() - counts).to(self.bias.dtype)


def auxiliary_loss(counts: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
    """E x sum over experts of f_i P_i: 1 where all are equal (Switch Transformers, arXiv 2101.03961, equation 4).

    f_i is expert i's share of `counts` [E], which are those of all ranks' tokens (balance over the global batch:
    Qiu et al. 2025, arXiv 2501.11873), P_i the mean of `probabilities` [N, E] over this rank's. Only P has a
    gradient, and the loss is linear in it: its mean over ranks is the loss of the global batch.
    """
    shares = counts.to(probabilities.dtype) / counts.sum()
    return len(counts) * (shares * probabilities.mean(dim=0)).sum()


def capacity(factor: float, tokens: int, top_k: int, experts: int) -> int:
    """Most tokens of N that an expert takes: ceil(factor x N k / E) (arXiv 2101.03961, equation 3, k choices)."""
    return math.ceil(factor * tokens * top_k / experts)
