"""What the ranks' draws amount to together: who sends how much to whom, and how uneven that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.config.probe.moe_alltoall import MoeAlltoall
from seatrial.measure.ceilings.links import by_the_network
from seatrial.measure.context import RankContext
from seatrial.measure.moe_alltoall.draws import Drawn, expert_counts
from seatrial.measure.moe_alltoall.volumes import (
    RowBytes,
    between_groups,
    distinct_groups,
    reaches,
    wire,
)

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Traffic:
    """Of every iteration, over all ranks; known before anything is timed."""

    rows: np.ndarray
    """[iterations, sources, destinations]: rows that the dispatcher sends, those that stay included."""
    choices: np.ndarray
    """[iterations, sources, destinations]: (token, choice) pairs."""
    experts: np.ndarray
    """[iterations, experts]: choices of each expert."""
    reached: np.ndarray | None
    """[iterations, 4]: sums over tokens of the ranks that their choices reach, of these the other ranks, of the
    fast domains, and of these the other ones; None where it is not known which choices belong to one token."""
    tokens: np.ndarray
    """[iterations]: tokens of all ranks."""
    domain: int
    """Ranks of a node, or of a fast fabric that spans several."""

    def bytes_by_scope(self, each: RowBytes) -> dict[str, np.ndarray]:
        """Bytes of all ranks by what is counted, [iterations] each.

        logical: a row for every choice; wire: of these what leaves its rank; between_nodes: what leaves its node;
        rank_deduplicated: every token once to each other rank; node_deduplicated: once to each other node. Numbers
        and weights travel for every choice in all of them.
        """
        outside = wire(self.choices).sum(axis=(1, 2))
        away = between_groups(self.choices, self.domain).sum(axis=(1, 2))
        found = {"logical": self.choices.sum(axis=(1, 2)) * each.row, "wire": outside * each.row}
        several = self.domain < self.choices.shape[1]
        if several:
            found["between_nodes"] = away * each.row
        if self.reached is not None:
            found["rank_deduplicated"] = self.reached[:, 1] * each.token + outside * each.choice
            if several:
                found["node_deduplicated"] = self.reached[:, 3] * each.token + away * each.choice
        return found


def traffic_of(ctx: RankContext, workload: MoeAlltoall, drawn: Drawn, sent: list[np.ndarray]) -> Traffic:
    """The traffic of all ranks from each one's draws; `sent` [ranks] rows of this one in every iteration.

    Every rank calls it and has the same.
    """
    import numpy as np

    local = workload.experts // ctx.world_size
    domain = min(by_the_network(ctx.case.target), ctx.world_size)
    chosen = [np.bincount(of[of >= 0] // local, minlength=ctx.world_size) for of in drawn.choices]
    reached = None
    if drawn.by_token:
        reached = summed(ctx, np.array([_reached(of, local, ctx.rank, domain) for of in drawn.choices]))
    return Traffic(
        rows=_gathered(ctx, np.stack(sent)),
        choices=_gathered(ctx, np.stack(chosen)),
        experts=summed(ctx, expert_counts(drawn.choices, workload.experts)),
        reached=reached,
        tokens=summed(ctx, np.array([len(of) for of in drawn.choices])),
        domain=domain,
    )


def summed(ctx: RankContext, numbers: np.ndarray) -> np.ndarray:
    """Whole numbers summed over all ranks."""
    import torch
    import torch.distributed as dist

    together = torch.as_tensor(numbers, device=ctx.device).long().contiguous()
    dist.all_reduce(together)
    found: np.ndarray = together.cpu().numpy()
    return found


def _gathered(ctx: RankContext, numbers: np.ndarray) -> np.ndarray:
    """[iterations, ranks] of every rank as [iterations, sources, destinations]."""
    import torch
    import torch.distributed as dist

    mine = torch.as_tensor(numbers, device=ctx.device).long().contiguous()
    everyone = [torch.empty_like(mine) for _ in range(ctx.world_size)]
    dist.all_gather(everyone, mine)
    found: np.ndarray = torch.stack(everyone, dim=1).cpu().numpy()
    return found


def _reached(choices: np.ndarray, local: int, rank: int, domain: int) -> list[int]:
    ranks, own = distinct_groups(choices, local), reaches(choices, local, rank)
    domains, home = distinct_groups(choices, local * domain), reaches(choices, local * domain, rank // domain)
    return [int(n) for n in (ranks.sum(), (ranks - own).sum(), domains.sum(), (domains - home).sum())]
