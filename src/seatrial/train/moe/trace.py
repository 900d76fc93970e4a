"""A trace of the routing: how many choices of each rank's tokens reached each expert, step by step, as a file.

The probe moe_alltoall replays it, as `load: {kind: replay, file: .../0.routing.npz, array: layer_0}`.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

import torch
import torch.distributed as dist

from seatrial.paths import written_aside
from seatrial.train.layout import Layout

SUFFIX = "routing.npz"


class RoutingTrace:
    """The last `steps` steps; `write` gathers them from the ranks that see different data."""

    def __init__(self, steps: int, layout: Layout, path: Path) -> None:
        self._layout, self._path = layout, path
        self._kept: deque[torch.Tensor] = deque(maxlen=steps)

    def note(self, kept: torch.Tensor) -> None:
        """Keep a step's choices [layers, experts] that reached the experts, of this rank's tokens."""
        self._kept.append(kept.clone())

    def write(self) -> None:
        """Write an array [steps, ranks, experts] for each layer; all ranks. Nothing before the first step."""
        import numpy as np

        if not self._kept:
            return
        mine = torch.stack(tuple(self._kept))
        everyone = [mine]
        if self._layout.ranks.size > 1:
            everyone = [torch.empty_like(mine) for _ in range(self._layout.ranks.size)]
            dist.all_gather(everyone, mine)
        if self._layout.ranks.rank != 0:
            return
        # Ranks of one tp group, which stand next to each other, have counted the same tokens.
        counts = torch.stack(everyone[:: self._layout.tp.size], dim=2).cpu().numpy()
        with written_aside(self._path) as aside:
            arrays = {f"layer_{n}": counts[:, n] for n in range(counts.shape[1])}
            np.savez_compressed(aside, allow_pickle=False, **arrays)
