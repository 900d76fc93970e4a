"""The ceiling of a collective: the least of the bounds that hold, for the best algorithm the target may choose."""

from __future__ import annotations

from typing import NamedTuple

from seatrial.config.target import Target
from seatrial.measure.ceilings.factors import (
    GATHERS,
    across_bound,
    bus_factor,
    in_network_bound,
    inside_bound,
    tree_bound,
)
from seatrial.measure.ceilings.links import (
    Bound,
    Cut,
    cuts,
    fast_domain,
    inside_link,
    peer_link,
    switched_off,
)

ALGORITHM = "NCCL_ALGO"
"""NCCL's variable that fixes an algorithm."""


class Way(NamedTuple):
    """What the bounds are computed for."""

    operation: str
    ranks: int
    algorithm: str | None
    """ring or tree where the algorithm is fixed, else None: the best that there is."""


def collective_ceiling(target: Target, operation: str, backend: str = "auto") -> tuple[float, str] | None:
    """Bus bandwidth in GB/s that the declared links allow `operation` over one rank for each accelerator, and why.

    The least of: the links inside the fast fabric (a ring's rate, or more where its switches add up on the way),
    the NICs between fast domains, and the uplinks of oversubscribed switches. On CPUs, over gloo, the network
    between nodes alone bounds it. None where a fact that decides is not stated, for gloo on accelerators, which
    takes another network than theirs, and for tasks with several accelerators. Raises ValueError for an unknown
    operation.
    """
    bus_factor(operation, 2)
    on_cpu = target.device == "cpu"
    if target.world_size < 2 or (backend == "gloo" and not on_cpu):
        return None
    if not on_cpu and target.tasks_per_node != target.accelerators_per_node:
        return None
    across = cuts(target)
    if across is None:
        return None
    way = Way(operation, target.world_size, "ring" if on_cpu else _fixed_algorithm(target))
    bounds = [_across(target, way, cut) for cut in across]
    inside = None if on_cpu else _inside(target, way)
    if inside is not None:
        bounds.append(inside)
    elif not bounds:
        return None
    return min(bounds)


def _fixed_algorithm(target: Target) -> str | None:
    """ring or tree where the case's environment says so (NCCL_ALGO=Ring)."""
    chosen = target.environment.get(ALGORITHM, "").strip().lower()
    return chosen if chosen in ("ring", "tree") else None


def _inside(target: Target, way: Way) -> Bound | None:
    """The links inside the fast fabric."""
    group = min(fast_domain(target), way.ranks)
    if group < 2:
        return None
    link = peer_link(target) if way.operation == "send_recv" else inside_link(target, group)
    if link is None:
        return None
    rate, basis = link
    if way.algorithm == "tree" and way.operation == "all_reduce":
        return Bound(tree_bound(rate, way.ranks), f"double binary tree over {basis}")
    if way.algorithm == "ring":
        return Bound(rate, f"ring over {basis}")
    plain = inside_bound(way.operation, rate, way.ranks, group)
    if way.operation == "all_reduce" and _adds_up(target):
        together = in_network_bound(rate, way.ranks, group)
        if together > plain:
            words = f"in-network reduction, as equivalent ring bandwidth (a ring: {plain:.4g}), over {basis}"
            source = target.scale_up.in_network_reduction_source if target.scale_up else None
            return Bound(together, f"{words}; {source}" if source else words)
    return Bound(plain, f"{WORDS[way.operation]} over {basis}")


WORDS = {
    "all_reduce": "ring",
    "all_gather": "ring",
    "reduce_scatter": "ring",
    "all_to_all": "every rank to every other",
    "broadcast": "pipeline",
    "send_recv": "one peer",
}
"""How an operation is done inside the fast fabric, where nothing reduces on the way."""


def _adds_up(target: Target) -> bool:
    links, off = target.scale_up, switched_off(target)
    return bool(links and links.in_network_reduction) and not off & {"scale_up", "in_network_reduction"}


def _across(target: Target, way: Way, cut: Cut) -> Bound:
    """The rate between the groups of a cut, as bus bandwidth."""
    each = f"{cut.gbps:.4g} GB/s of {cut.name} for each rank: {cut.source}"
    ring = cut.gbps * (way.ranks // cut.groups)
    if way.operation == "send_recv":
        return Bound(cut.pair_gbps, f"one rank to one rank, {cut.pair_gbps:.4g} GB/s of {cut.name}: {cut.source}")
    if way.operation in GATHERS and way.algorithm == "ring":
        return Bound(ring, f"flat ring over {cut.groups} groups, {each}")
    if way.operation == "all_reduce" and way.algorithm == "tree":
        bound = tree_bound(cut.gbps, way.ranks, cut.groups)
        return Bound(bound, f"double binary tree over {cut.groups} groups, {each}")
    if way.operation == "all_reduce" and _network_adds_up(target):
        bound = cut.gbps * (way.ranks // cut.groups) * 2 * (way.ranks - 1) / way.ranks
        return Bound(bound, f"in-network reduction between {cut.groups} groups (a flat ring: {ring:.4g}), {each}")
    bound = across_bound(way.operation, cut.gbps, way.ranks, cut.groups)
    if way.operation in GATHERS:
        return Bound(
            bound, f"hierarchical {way.operation} over {cut.groups} groups (a flat ring: {ring:.4g}), {each}"
        )
    return Bound(bound, f"{way.operation} between {cut.groups} groups, {each}")


def _network_adds_up(target: Target) -> bool:
    network = target.scale_out
    return bool(network and network.in_network_reduction) and "in_network_reduction" not in switched_off(target)
