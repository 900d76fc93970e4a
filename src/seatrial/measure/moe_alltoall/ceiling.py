"""What the declared links allow for the rows that a load sends. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from seatrial.config.target import Target
from seatrial.measure.ceilings.links import cuts, fast_domain, inside_link
from seatrial.measure.moe_alltoall.volumes import between_groups, busiest, wire

if TYPE_CHECKING:
    import numpy as np


def wire_ceiling(
    target: Target, rows: np.ndarray, row_bytes: int, backend: str
) -> tuple[np.ndarray, float, str] | None:
    """Least seconds of each iteration, and GB/s that the busiest rank cannot exceed, with the basis.

    `rows` [iterations, sources, destinations] of `row_bytes` each, one of a choice. Across fast domains and leaf
    switches, a group's rows over what its ranks' links carry together, and a rank's over what it can have alone
    (all-to-all cannot borrow another's NIC); within a domain a rank's over its links. The bandwidth is the busiest
    rank's wire bytes over the longest of these, the median over iterations. None over gloo on accelerators, where a
    rate that decides is not stated, and where nothing is sent.
    """
    import numpy as np

    sent = busiest(wire(rows))
    if (backend == "gloo" and target.device != "cpu") or not sent.all():
        return None
    domain, across = fast_domain(target), cuts(target)
    if across is None:
        return None
    seconds, words = np.zeros(len(rows)), []
    for cut in across:
        out = between_groups(rows, cut.sizes[0])
        together = _longest_group(out, cut.sizes) / cut.gbps
        seconds = np.maximum(seconds, np.maximum(together, busiest(out) / cut.pair_gbps))
        words.append(f"{cut.gbps:.4g} GB/s of {cut.name} for each rank: {cut.source}")
    inside = inside_link(target, min(domain, target.world_size)) if target.device != "cpu" and domain > 1 else None
    if inside is not None:
        seconds = np.maximum(seconds, busiest(wire(rows) - between_groups(rows, domain)) / inside[0])
        words.append(f"{inside[0]:.4g} GB/s within a domain, {inside[1]}")
    if not words or not seconds.all():
        return None
    bound = median((sent / seconds).tolist())
    basis = "NIC-bound all-to-all" if across else "all-to-all inside the fast fabric"
    return seconds * row_bytes / 1e9, bound, f"{basis} of this load's rows: {'; '.join(words)}"


def _longest_group(rows: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Of the group of ranks that takes longest, the greater of out and in, for each of its ranks."""
    import numpy as np

    starts = np.arange(0, rows.shape[1], sizes[0])
    out, into = (np.add.reduceat(rows.sum(axis=axis), starts, axis=1) for axis in (2, 1))
    return np.asarray((np.maximum(out, into) / np.asarray(sizes)).max(axis=1))
