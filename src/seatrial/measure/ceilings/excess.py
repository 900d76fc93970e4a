"""A reading above its ceiling is explained, not clipped: which assumption of the bound it breaks."""

from __future__ import annotations

from seatrial.config.target import Target
from seatrial.measure.ceilings.collective import adds_up, collective_ceiling
from seatrial.measure.ceilings.factors import in_network_bound
from seatrial.measure.ceilings.links import cuts, fast_domain, inside_link, switched_off, uplink_cut


def explain_excess(target: Target, operation: str, gbps: float, backend: str = "auto") -> str | None:
    """Why a bus bandwidth of `gbps` may stand above the ceiling of `operation`; None where it does not.

    Names what the bound takes for granted and the reading contradicts. Raises ValueError for an unknown operation.
    """
    ceiling = collective_ceiling(target, operation, backend)
    if ceiling is None or gbps <= ceiling[0]:
        return None
    across = cuts(target) or []
    if any(cut.network for cut in across):
        reasons = across_reasons(target, operation)
    else:
        reasons = _bridge_reasons() if across else _inside_reasons(target, operation, gbps)
    above = f"{100 * gbps / ceiling[0]:.3g} % of the bound, which takes {ceiling[1]}"
    return f"{above}. Above it: {'; or '.join(reasons)}"


def _bridge_reasons() -> list[str]:
    return [
        "bridges that join more accelerators than scale_up.domain says",
        "a newer generation of PCI Express than accelerator.pcie_generation says",
        "data that never left a cache, where the message is small",
    ]


def _inside_reasons(target: Target, operation: str, gbps: float) -> list[str]:
    reasons = []
    links = target.scale_up
    group = min(fast_domain(target), target.world_size)
    link = inside_link(target, group)
    if "scale_up" in switched_off(target):
        reasons.append(f"the fast fabric was not off after all (ablation {target.ablation})")
    elif operation == "all_reduce" and links is not None and link is not None:
        reach = in_network_bound(link.gbps, target.world_size)
        if "scale_up.in_network_reduction" in switched_off(target):
            reasons.append(f"in-network reduction was not off after all (ablation {target.ablation})")
        elif not links.in_network_reduction and gbps <= reach:
            reasons.append(
                "switches that add up on the way (NVLink SHARP), which reach up to "
                f"{reach:.4g} GB/s: declare scale_up.in_network_reduction"
            )
        elif links.in_network_reduction and not adds_up(target, group) and gbps <= reach:
            reasons.append(
                f"switches that add up on the way for {group} ranks too, which reach up to {reach:.4g} GB/s: "
                "scale_up.in_network_reduction_least_ranks says otherwise"
            )
    reasons.append("the links are declared slower than they are (scale_up)")
    return [*reasons, "data that never left a cache, where the message is small"]


def across_reasons(target: Target, operation: str) -> list[str]:
    """What the bounds of the network between nodes take for granted of `operation`."""
    reasons = []
    network = target.scale_out
    if operation == "all_reduce" and network is not None and not network.in_network_reduction:
        reasons.append(
            "switches of the network that add up on the way (SHARP): declare scale_out.in_network_reduction"
        )
    if operation in ("send_recv", "all_to_all"):
        reasons.append("a rank that sends through several NICs")
    if network is not None and network.oversubscription is not None:
        reasons.append("ranks that stand below fewer switches than nodes_per_switch says")
    uplinks = uplink_cut(target)
    if uplinks is not None and uplinks.sizes[-1] != uplinks.sizes[0]:
        reasons.append("a switch that is not full and has more uplinks than its nodes' share")
    reasons.append("the network is declared slower than it is (scale_out)")
    return [*reasons, "nodes that share a machine, so that messages never took the network"]
