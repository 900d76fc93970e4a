"""What can cross between two halves of a target: with full bisection, and as the fabric is declared."""

from __future__ import annotations

from seatrial.config.target import Target
from seatrial.measure.ceilings.links import (
    Bound,
    Cut,
    bridge_cut,
    fast_domain,
    inside_link,
    network_cut,
    nic,
    uplink_cut,
)


def full_bisection(target: Target) -> tuple[float, str] | None:
    """GB/s one way from half of the ranks to the others where no switch narrows the way: n/2 times a rank's link.

    Halves are of whole nodes where there are several; of an odd number the smaller one counts.
    The links are the NICs where the halves stand on different nodes, PCI Express between bridged accelerators of
    one node, else those of the fast fabric. None where they are not stated, and for a single rank.
    """
    ranks = target.world_size
    if ranks < 2:
        return None
    half = ranks_of_half(target)
    domain = fast_domain(target)
    if domain < ranks <= target.tasks_per_node:
        between = bridge_cut(target)
        if between is None:
            return None
        return Bound(half * between.gbps, f"{half} ranks of one half, each over {between.source}")
    if ranks > domain:
        rate = nic(target)
        if rate is None or target.scale_out is None:
            return None
        return Bound(
            half * rate[0],
            f"{half} ranks of one half, {rate[0]:.4g} GB/s of {target.scale_out.name} each: {rate[2]}",
        )
    if target.device == "cpu":
        return None
    link = inside_link(target, ranks)
    if link is None:
        return None
    return Bound(half * link.gbps, f"{half} ranks of one half, {link.gbps:.4g} GB/s each, {link.basis}")


def ranks_of_half(target: Target) -> int:
    """Ranks of a half of the target's nodes, of an odd number the smaller one; of one node, of its ranks."""
    return target.nodes // 2 * target.tasks_per_node if target.nodes > 1 else target.tasks_per_node // 2


def bisection_ceiling(target: Target) -> tuple[float, str] | None:
    """GB/s one way between the worst two halves as the fabric is declared: full bisection, or what uplinks leave.

    Halves are of whole nodes (of an odd number the larger one has a node more), and all of them are tried: which
    nodes of which leaf switch stand where. The worst is the one with the least minimum cut.
    """
    full, narrow, own = full_bisection(target), uplink_cut(target), network_cut(target)
    if full is None or narrow is None or own is None:
        return full
    per_node = target.tasks_per_node
    bound = _worst_halves(narrow, own.gbps, per_node)
    if bound >= target.nodes // 2 * per_node * own.gbps:
        return full
    return Bound(
        bound, f"worst halves of whole nodes, {narrow.gbps:.4g} GB/s for each rank upwards: {narrow.source}"
    )


def _worst_halves(narrow: Cut, own_gbps: float, per_node: int) -> float:
    """The least minimum cut over all halves of whole nodes, of leaf switches with the sizes of `narrow`.

    A half sends through its nodes' links (`own_gbps` for each rank) to the other nodes of a leaf, and through the
    leaf's uplinks to those of others. The minimum cut puts the core on one side and each leaf on the better one.
    Its cost is a sum over leaves, concave in a leaf's nodes, so that of equal leaves at most one is itself divided:
    only the nodes of the last leaf, which may be smaller, have to be tried one by one.
    """
    leaves = [size // per_node for size in narrow.sizes]
    node, up = per_node * own_gbps, per_node * narrow.gbps
    half, leaf, last = sum(leaves) // 2, leaves[0], leaves[-1]

    def cost(sending: int, nodes: int, core_receives: bool) -> float:
        receiving = nodes - sending
        sender_side = receiving * node + (nodes * up if core_receives else 0)
        return min(sender_side, sending * node + (0 if core_receives else nodes * up))

    found = []
    for of_last in range(max(0, half - sum(leaves[:-1])), min(last, half) + 1):
        whole, rest = divmod(half - of_last, leaf)
        others = [leaf] * whole + ([rest] if rest else [])
        others += [0] * (len(leaves) - 1 - len(others))
        sides = [*zip(others, leaves[:-1], strict=True), (of_last, last)]
        found += [sum(cost(sending, nodes, core) for sending, nodes in sides) for core in (True, False)]
    return min(found)
