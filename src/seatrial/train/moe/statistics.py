"""What a training measures of its routing: exact counts over all ranks, and the time of its all-to-alls.

Counts stay on the device, and are summed over ranks once per stretch (or every 128 steps, where it is longer).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.distributed as dist

from seatrial.record import Measurement, measurement
from seatrial.train.layout import Layout
from seatrial.train.moe.balance import gini, imbalance
from seatrial.train.moe.dispatch import Assignment
from seatrial.train.moe.exchange import Exchange
from seatrial.train.moe.stopwatch import Stopwatch

FOLD_STEPS = 128
FIELDS: tuple[tuple[str, dict[str, str]], ...] = (
    ("train.expert_imbalance", {"over": "step"}),
    ("train.expert_imbalance", {"over": "stretch"}),
    ("train.expert_gini", {"over": "step"}),
    ("train.expert_gini", {"over": "stretch"}),
    ("train.rank_imbalance", {"over": "step"}),
    ("train.tokens_dropped", {}),
    ("train.all_to_all_time", {"direction": "forward"}),
    ("train.all_to_all_time", {"direction": "backward"}),
)
"""Metric and labels of each column of a stretch's figures."""


class RoutingStatistics:
    """Figures of every layer for every stretch between pauses of the training."""

    def __init__(self, layers: int, experts: int, layout: Layout, drops: bool) -> None:
        """`drops`: whether experts have a capacity."""
        self.layout, self.drops = layout, drops
        self.steps = Stopwatch(layout.device)
        """From a step's first data to its update."""
        self._step = torch.zeros(layers, 2, experts, dtype=torch.int64, device=layout.device)
        self._waiting: list[torch.Tensor] = []
        self._folded = 0
        self._sums = torch.zeros(3, layers, dtype=torch.float64)
        self._tokens = torch.zeros(layers, 2, experts, dtype=torch.int64)
        # A row for each stretch: a run that is told to end has more of them than were planned. NaN: not measured.
        self._figures = torch.empty((0, layers, len(FIELDS)), dtype=torch.float64)
        self._shares = torch.empty((0, 2), dtype=torch.float64)
        """[stretches, step at its end | share of all-to-all]."""
        self._found: list[Measurement] = []

    def note(self, layer: int, assignment: Assignment) -> None:
        """Count a micro-batch's slots in one layer: those that chose each expert, and those that reached it."""
        self._step[layer, 0] += assignment.chosen
        self._step[layer, 1] += assignment.kept

    def step_done(self) -> torch.Tensor:
        """End a step; its counts so far on this rank alone, [layers, chosen | kept, experts]."""
        counts = self._step.clone()
        self._step.zero_()
        self._waiting.append(counts)
        if len(self._waiting) >= FOLD_STEPS:
            self._fold()
        return counts

    def close(self, step: int, exchanges: Sequence[Exchange]) -> None:
        """End a stretch at `step`; all ranks. Nothing where no step was done in it."""
        self._fold()
        if not self._folded:
            return
        figures, share = self._of_counts(), math.nan
        times = [s.seconds() for e in exchanges for s in (e.forward, e.backward)]
        whole, *times = self.layout.ranks.total([self.steps.seconds(), *times])
        if self.layout.ep.size > 1:
            per_step = torch.tensor(times, dtype=torch.float64).view(-1, 2) / (
                self._folded * self.layout.ranks.size
            )
            figures[:, 6:8] = per_step
            share = sum(times) / whole
        ended = torch.tensor([[step, share]], dtype=torch.float64)
        self._figures = torch.cat([self._figures, figures[None]])
        self._shares = torch.cat([self._shares, ended])
        self._found += self._of_row(len(self._shares) - 1)
        self._folded = 0
        self._sums.zero_()
        self._tokens.zero_()

    def measurements(self) -> list[Measurement]:
        """One for each figure, layer and stretch; the share of all-to-all has its stretches as samples."""
        shares = [share for _, share in self._shares.tolist() if math.isfinite(share)]
        return self._found + ([measurement("train.all_to_all_share", shares)] if shares else [])

    def state(self) -> dict[str, torch.Tensor]:
        """The figures so far; a checkpoint is written between stretches, where there is nothing else."""
        return {"figures": self._figures, "shares": self._shares}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Continue from what `state` returned."""
        self._figures, self._shares = state["figures"], state["shares"]
        self._found = [m for row in range(len(self._shares)) for m in self._of_row(row)]

    def _of_row(self, row: int) -> list[Measurement]:
        step = int(self._shares[row, 0])
        return [
            measurement(metric, [value], {"layer": layer, "step": step, **labels})
            for layer, values in enumerate(self._figures[row].tolist())
            for (metric, labels), value in zip(FIELDS, values, strict=True)
            if math.isfinite(value)
        ]

    def _fold(self) -> None:
        """Sum the waiting steps' counts over all ranks and add what they say."""
        if not self._waiting:
            return
        counts = over_data_ranks(torch.stack(self._waiting), self.layout).cpu()
        chosen, kept = counts[:, :, 0], counts[:, :, 1]
        self._sums[0] += imbalance(chosen).sum(dim=0)
        self._sums[1] += gini(chosen).sum(dim=0)
        self._sums[2] += imbalance(kept.unflatten(-1, (self.layout.ep.size, -1)).sum(dim=-1)).sum(dim=0)
        self._tokens += counts.sum(dim=0)
        self._folded += len(self._waiting)
        self._waiting = []

    def _of_counts(self) -> torch.Tensor:
        """The stretch's figures [layers, FIELDS] that follow from counts; NaN where there is none."""
        chosen, kept = self._tokens.unbind(dim=1)
        figures = torch.full((len(chosen), len(FIELDS)), math.nan, dtype=torch.float64)
        mean_imbalance, mean_gini, ranks = self._sums / self._folded
        figures[:, 0], figures[:, 1] = mean_imbalance, imbalance(chosen)
        figures[:, 2], figures[:, 3] = mean_gini, gini(chosen)
        if self.layout.ep.size > 1:
            figures[:, 4] = ranks
        if self.drops:
            figures[:, 5] = 1 - kept.sum(dim=-1).double() / chosen.sum(dim=-1)
        return figures


def over_data_ranks(counts: torch.Tensor, layout: Layout) -> torch.Tensor:
    """The sum of whole-number `counts` over the ranks that see different data; the same on every rank."""
    if layout.ranks.size == 1:
        return counts
    with layout.phases("communication"):
        total = counts.clone()
        dist.all_reduce(total)
    # Every rank of a tp group has counted the same tokens.
    return total // layout.tp.size
