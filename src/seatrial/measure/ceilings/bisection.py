"""What can cross between two halves of a target: with full bisection, and as the fabric is declared."""

from __future__ import annotations

from seatrial.config.target import Target
from seatrial.measure.ceilings.links import Bound, cuts, fast_domain, inside_link, nic


def full_bisection(target: Target) -> tuple[float, str] | None:
    """GB/s one way from half of the ranks to the others where no switch narrows the way: n/2 times a rank's link.

    The links are the NICs where the halves stand in different fast domains, else those of the fast fabric. None
    where they are not stated, and for a single rank.
    """
    ranks = target.world_size
    if ranks < 2:
        return None
    half = ranks // 2
    if ranks > fast_domain(target):
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


def bisection_ceiling(target: Target) -> tuple[float, str] | None:
    """GB/s one way between the worst two halves as the fabric is declared: full bisection, or what uplinks leave.

    With several leaf switches the worst halves are made of whole leaves; a leaf that is left over is itself cut in
    two, at its nodes' own links or its uplinks, whichever carry less.
    """
    full = full_bisection(target)
    found = cuts(target)
    if full is None or not found or len(found) < 2:
        return full
    narrow, ranks = found[-1], target.world_size
    leaf = -(-ranks // narrow.groups)
    half = ranks // 2
    whole, rest = divmod(half, leaf)
    between = whole * leaf * narrow.gbps
    own = found[0].gbps
    bound = between + min(rest * own, (leaf - rest) * own + leaf * narrow.gbps)
    if bound >= full[0]:
        return full
    return Bound(bound, f"halves of whole switches, {narrow.gbps:.4g} GB/s for each rank upwards: {narrow.source}")
