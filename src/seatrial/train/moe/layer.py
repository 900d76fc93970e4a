"""The feed-forward of a layer with routed experts."""

from __future__ import annotations

import torch
from torch import nn

from seatrial.config.training.moe import AuxiliaryLoss, Moe
from seatrial.train.decoder import SwiGLU, recomputing
from seatrial.train.layout import Layout
from seatrial.train.moe.dispatch import assign, gather, place, scatter, take
from seatrial.train.moe.exchange import Exchange
from seatrial.train.moe.experts import Experts
from seatrial.train.moe.router import Router, auxiliary_loss, capacity
from seatrial.train.moe.statistics import RoutingStatistics, over_data_ranks


class RoutedFeedForward(nn.Module):
    """Each token through its top-k experts, weighted, and through the shared ones.

    A token whose choice is dropped passes that expert by: the residual stream carries it on. Experts have a
    capacity in training only, so that an evaluation does not depend on how its batches are cut.
    """

    def __init__(self, workload: Moe, number: int, layout: Layout, statistics: RoutingStatistics) -> None:
        super().__init__()
        hidden, inner, count = workload.hidden_size, workload.expert_size, workload.experts
        self.layout, self.number, self.statistics = layout, number, statistics
        self.capacity_factor = workload.capacity_factor
        self.router = Router(hidden, count, workload.top_k)
        self.experts = Experts(hidden, inner, count, layout)
        self.shared = SwiGLU(hidden, inner * workload.shared_experts) if workload.shared_experts else None
        self.exchange = Exchange(layout)
        self.auxiliary: torch.Tensor | None = None
        """The auxiliary loss of the last micro-batch, where there is one."""
        self._coefficient = (
            workload.balancing.coefficient if isinstance(workload.balancing, AuxiliaryLoss) else None
        )
        self._chosen: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, length, hidden] to the same."""
        tokens = x.flatten(0, -2)
        routing = self.router(tokens)
        count, limit = routing.probabilities.shape[1], None
        if self.training and self.capacity_factor is not None:
            limit = capacity(self.capacity_factor, len(tokens), self.router.top_k, count)
        assignment = assign(routing.experts, count, limit)
        if self.training:
            if not recomputing():
                self.statistics.note(self.number, assignment)
            if self._coefficient is not None:
                chosen = self._over_ranks(assignment.chosen)
                self.auxiliary = self._coefficient * auxiliary_loss(chosen, routing.probabilities)
        self.exchange.counting = self.training
        rows = self._through_experts(scatter(tokens, assignment.slots, self.router.top_k), assignment.kept)
        mixed = gather(rows, assignment.slots, routing.weights)
        if self.shared is not None:
            mixed = mixed + self.shared(tokens)
        return mixed.view_as(x)

    def _through_experts(self, rows: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """Rows sorted by expert through them, wherever they are, and back to the same places."""
        if self.layout.ep.size == 1:
            return self.experts(rows, kept)
        received, splits = self.exchange.counts(kept)
        there = self.exchange.rows(rows, splits)
        # Rows come sorted by source rank, and by expert within each; experts want them by expert alone.
        sources, held = received.shape
        expert = torch.arange(held, device=rows.device).repeat(sources).repeat_interleave(received.flatten())
        order = expert.argsort(stable=True)
        computed = self.experts(take(there, order), received.sum(dim=0))
        return self.exchange.rows(place(computed, order, len(order)), splits.reversed())

    def _over_ranks(self, chosen: torch.Tensor) -> torch.Tensor:
        """The micro-batch's counts over all ranks; what is recomputed has been summed already."""
        if not recomputing() or self._chosen is None:
            self._chosen = over_data_ranks(chosen, self.layout)
        return self._chosen
