"""What a cut and a pair could carry, from the target's facts."""

from __future__ import annotations

from seatrial.config.target import Target
from seatrial.measure.bisection.matchings import Matching, Pair
from seatrial.measure.ceilings import full_bisection
from seatrial.measure.ceilings.bisection import ranks_of_half
from seatrial.measure.ceilings.links import fast_domain, nic, peer_link

Ceiling = tuple[float, str] | None


def full_bisection_of(target: Target, matching: Matching, hosts: int) -> Ceiling:
    """GB/s one way that the ranks of `matching`, on `hosts` hosts, could exchange if no switch narrowed the way.

    The target's full bisection at the size of the matching; None where the facts do not say.
    """
    senders = len(matching.peer_of)
    if senders < 2:
        return None
    if hosts < 2:
        sized = target.model_copy(update={"nodes": 1, "tasks_per_node": senders})
        return full_bisection(sized)
    # With an odd number of hosts one sits out, and with an odd number of rails the middle one.
    sized = target.model_copy(update={"nodes": hosts})
    found = full_bisection(sized)
    if found is None:
        return None
    half, sending = ranks_of_half(sized), senders // 2
    if sending == half:
        return found
    words = f"{found[1]}; {sending}/{half} of it, as {sending} pairs of ranks send here"
    return found[0] * sending / half, words


def pair_ceiling(target: Target, pair: Pair, hosts: int) -> Ceiling:
    """GB/s one way that the ranks of one pair could exchange with nobody else on the fabric."""
    alone, domain = len(pair.ranks), fast_domain(target)
    inside = not pair.across_hosts or target.tasks_per_node * hosts <= domain
    # Of hosts in several domains that span hosts it is not known which share one: the faster links bound them all.
    if not inside and domain <= target.tasks_per_node:
        rate = nic(target)
        if rate is None or target.scale_out is None:
            return None
        share, whole, source = rate
        who = "one rank" if alone == 1 else f"{alone} ranks"
        return min(alone * whole, target.tasks_per_node * share), f"{who} over {target.scale_out.name}: {source}"
    if target.device == "cpu":
        return None
    link = peer_link(target)
    return None if link is None else (alone * link.gbps, link.basis)
