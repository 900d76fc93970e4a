"""Routed experts: gated feed-forwards whose weights lie in one tensor, applied to rows sorted by expert."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from seatrial.train.decoder import INITIAL_STANDARD_DEVIATION
from seatrial.train.layout import Layout
from seatrial.train.tensor_parallel import copy_to_group, reduce_from_group, slice_of

ALIGNMENT_BYTES = 16
"""Rows of operands that torch's grouped product takes lie on multiples of this."""


class Experts(nn.Module):
    """This rank's share of a layer's experts, each down(silu(gate x) * up x) (arXiv 2002.05202).

    Experts are shared out in order over the ranks of the ep group; under tensor parallelism every rank has a slice
    of each expert's inner size. All parameters are marked `expert`.
    """

    def __init__(self, hidden: int, inner: int, experts: int, layout: Layout) -> None:
        super().__init__()
        self.layout, self.first = layout, layout.ep.rank * (experts // layout.ep.size)
        self.inner = inner
        held, part = experts // layout.ep.size, inner // layout.tp.size
        self.gate_up = nn.Parameter(torch.empty(held, hidden, 2 * part, device=layout.device))
        """[experts, hidden, 2 inner]: gate, then up."""
        self.down = nn.Parameter(torch.empty(held, part, hidden, device=layout.device))
        """[experts, inner, hidden]."""
        for parameter in (self.gate_up, self.down):
            parameter.expert = True  # type: ignore[attr-defined]
            parameter.tp_sharded = layout.tp.size > 1  # type: ignore[attr-defined]

    @torch.no_grad()
    def initialise(self, seed: int, residual_scale: float) -> None:
        """Draw every expert from a generator of its own: on whichever rank it lies, it starts the same.

        `residual_scale` is the factor of what writes into the residual stream (see decoder.initialise).
        """
        hidden, layout = self.down.shape[2], self.layout
        for index in range(len(self.down)):
            generator = torch.Generator(layout.device).manual_seed(seed + self.first + index)
            # Whole, then cut: under tensor parallelism too an expert starts the same.
            whole = torch.empty(3, hidden, self.inner, device=layout.device)
            gate, up, down = whole.normal_(std=INITIAL_STANDARD_DEVIATION, generator=generator).unbind()
            self.gate_up[index].copy_(torch.cat((slice_of(gate, 1, layout), slice_of(up, 1, layout)), dim=1))
            self.down[index].copy_(slice_of(down, 1, layout).T * residual_scale)

    def forward(self, rows: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """[M, hidden] to the same; `rows` are sorted by expert, counts[i] of them this rank's expert i's."""
        kind = rows.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else rows.dtype
        x = copy_to_group(rows, self.layout).to(dtype)
        gate, up = grouped_product(x, self.gate_up.to(dtype), counts).chunk(2, dim=-1)
        return reduce_from_group(grouped_product(F.silu(gate) * up, self.down.to(dtype), counts), self.layout)


def grouped_product(x: torch.Tensor, weights: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """[M, n]: rows of `x` [M, m], sorted by group, times their group's of `weights` [groups, m, n].

    counts[i] rows belong to group i. One kernel for all groups where torch has one, else one product for each.
    """
    element = x.element_size()
    aligned = all(size * element % ALIGNMENT_BYTES == 0 for size in weights.shape[1:])
    known = x.device.type == "cpu" or (x.device.type == "cuda" and x.dtype == torch.bfloat16)
    if known and aligned and len(x):
        return F.grouped_mm(x, weights, offs=counts.cumsum(0).to(torch.int32))
    parts = x.split(counts.tolist())
    return torch.cat([part @ weight for part, weight in zip(parts, weights.unbind(0), strict=True)])
