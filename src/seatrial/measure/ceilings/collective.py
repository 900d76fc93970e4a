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
    network_reduction_bound,
    ring_bound,
    tree_bound,
)
from seatrial.measure.ceilings.links import (
    Bound,
    Cut,
    cuts,
    fast_domain,
    group_sizes,
    inside_link,
    peer_link,
    switched_off,
)

ALGORITHM = "NCCL_ALGO"
"""NCCL's variable that fixes an algorithm."""


class Way(NamedTuple):
    """How an operation is done, which the bounds and the rates on the wire are computed for."""

    operation: str
    ranks: int
    algorithm: str | None
    """ring or tree where the algorithm is fixed, else None: the best that there is."""


def way_of(target: Target, operation: str, backend: str = "auto") -> Way:
    """The way that the target's library may take: gloo knows of no nodes and takes rings through all ranks."""
    rings = target.device == "cpu" or backend == "gloo"
    return Way(operation, target.world_size, "ring" if rings else _fixed_algorithm(target))


def collective_ceiling(target: Target, operation: str, backend: str = "auto") -> tuple[float, str] | None:
    """Bus bandwidth in GB/s that the declared links allow `operation` over one rank for each accelerator, and why.

    The least of: the links inside the fast fabric (a ring's rate, or more where its switches add up on the way),
    PCI Express between bridged accelerators, the NICs, and the uplinks of oversubscribed switches. On CPUs, over
    gloo, the network between nodes alone bounds it. None where a fact that decides is not stated, for gloo on
    accelerators, which takes another network than theirs, and for tasks with several accelerators. Raises
    ValueError for an unknown operation.
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
    way = way_of(target, operation, backend)
    bounds = [across_bound_of(target, way, cut) for cut in across]
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
    """The links inside the fast fabric: the least over its groups, of which the last may be smaller."""
    sizes = {size for size in group_sizes(way.ranks, fast_domain(target)) if size > 1}
    bounds = [_inside_group(target, way, size) for size in sorted(sizes)]
    known = [bound for bound in bounds if bound is not None]
    return min(known) if known and len(known) == len(bounds) else None


def _inside_group(target: Target, way: Way, group: int) -> Bound | None:
    link = peer_link(target) if way.operation == "send_recv" else inside_link(target, group)
    if link is None:
        return None
    rate, basis = link
    if way.algorithm == "tree" and way.operation == "all_reduce":
        return Bound(tree_bound(rate, (way.ranks,)), f"double binary tree over {basis}")
    if way.algorithm == "ring":
        return Bound(rate, f"ring over {basis}")
    plain = inside_bound(way.operation, rate, way.ranks, group)
    if way.operation == "all_reduce" and adds_up(target, group):
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


def adds_up(target: Target, group: int) -> bool:
    """Whether the switches of the fast fabric add up for `group` ranks of it."""
    links = target.scale_up
    if links is None or not links.in_network_reduction:
        return False
    if switched_off(target) & {"scale_up", "scale_up.in_network_reduction"}:
        return False
    least = links.in_network_reduction_least_ranks
    return least is None or least.value is None or group >= least.value


def across_bound_of(target: Target, way: Way, cut: Cut) -> Bound:
    """The rate between the groups of a cut, as bus bandwidth, the way the operation is done there."""
    each = f"{cut.gbps:.4g} GB/s of {cut.name} for each rank: {cut.source}"
    groups = f"{cut.groups} groups"
    if cut.sizes[-1] != cut.sizes[0]:
        groups += f" (the least: {_count(min(cut.sizes))})"
    ring = ring_bound(cut.gbps, cut.sizes)
    if way.operation == "send_recv":
        return Bound(cut.pair_gbps, f"one rank to one rank, {cut.pair_gbps:.4g} GB/s of {cut.name}: {cut.source}")
    if way.operation in GATHERS and way.algorithm == "ring":
        return Bound(ring, f"flat ring over {groups}, {each}")
    if way.operation == "all_reduce" and way.algorithm == "tree":
        return Bound(tree_bound(cut.gbps, cut.sizes), f"double binary tree over {groups}, {each}")
    if way.operation == "all_reduce" and cut.network and _network_adds_up(target):
        bound = network_reduction_bound(cut.gbps, cut.sizes)
        return Bound(bound, f"in-network reduction between {groups} (a flat ring: {ring:.4g}), {each}")
    bound = across_bound(way.operation, cut.gbps, cut.sizes)
    if way.operation in GATHERS:
        return Bound(bound, f"hierarchical {way.operation} over {groups} (a flat ring: {ring:.4g}), {each}")
    return Bound(bound, f"{way.operation} between {groups}, {each}")


def _count(ranks: int) -> str:
    return f"{ranks} rank" if ranks == 1 else f"{ranks} ranks"


def _network_adds_up(target: Target) -> bool:
    network = target.scale_out
    return bool(network and network.in_network_reduction) and "scale_out.in_network_reduction" not in switched_off(
        target
    )
