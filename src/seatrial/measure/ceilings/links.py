"""The links of a target as its facts declare them: inside the fast fabric, the NICs, the uplinks of switches."""

from __future__ import annotations

import math
from typing import NamedTuple

from seatrial.config.target import ScaleOut, Target

PCIE_LANE_GBPS = {3: 0.985, 4: 1.969, 5: 3.938, 6: 7.563}
"""GB/s one way of a PCIe lane by generation: 8, 16, 32 GT/s in 128b/130b, 64 GT/s in flits (242 of 256 bytes)."""
LANES = 16


class Bound(NamedTuple):
    """GB/s that cannot be exceeded, and why, in words."""

    gbps: float
    basis: str


class Cut(NamedTuple):
    """Groups of ranks with `gbps` between them for each rank and direction."""

    groups: int
    gbps: float
    pair_gbps: float
    """What one rank alone can send across."""
    name: str
    source: str


def switched_off(target: Target) -> frozenset[str]:
    """The declared features that the case runs without."""
    if target.ablation is None:
        return frozenset()
    return frozenset(target.ablations[target.ablation].without)


def fast_domain(target: Target) -> int:
    """Ranks that share the fast fabric: those of one node where nothing else is declared, or where it is off."""
    links = target.scale_up
    if links is not None and links.domain is not None and "scale_up" not in switched_off(target):
        return links.domain
    return target.tasks_per_node


def inside_link(target: Target, ranks: int) -> Bound | None:
    """GB/s one way of each rank to the others of its group; None where no fact says.

    In a mesh only the links to the `ranks` - 1 peers take part. With the fast fabric off, the way through the
    host: PCIe x16 of the accelerator's generation.
    """
    if "scale_up" in switched_off(target):
        return _host_link(target)
    links = target.scale_up
    if links is None or links.unidirectional_gbps.value is None:
        return None
    one_way = links.unidirectional_gbps.value
    peer = links.peer_unidirectional_gbps
    if peer is not None and peer.value is not None and peer.value * (ranks - 1) < one_way:
        return Bound(peer.value * (ranks - 1), f"links of {links.name} to {ranks - 1} peers: {peer.source}")
    return Bound(one_way, f"{links.name}, one direction: {links.unidirectional_gbps.source}")


def peer_link(target: Target) -> Bound | None:
    """GB/s one way to one single peer of the group."""
    return inside_link(target, 2)


def _host_link(target: Target) -> Bound | None:
    """The way to the host's memory, which data take where accelerators do not reach each other."""
    accelerator = target.accelerator
    if accelerator is None:
        return None
    module = accelerator.host_link_unidirectional_gbps
    if module is not None and module.value is not None:
        return Bound(module.value, f"through the host's memory, over the module's own link: {module.source}")
    generation = accelerator.pcie_generation
    if generation is None or generation.value is None or int(generation.value) not in PCIE_LANE_GBPS:
        return None
    rate = PCIE_LANE_GBPS[int(generation.value)] * LANES
    words = f"through the host's memory, over PCIe {generation.value:g} x{LANES}, one direction"
    return Bound(rate, f"{words}: generation {generation.source}")


def nic(target: Target) -> tuple[float, float, str] | None:
    """GB/s one way of each rank across nodes, what one rank alone can have, and the source; None where not stated.

    Where only the node's rate is declared, its ranks share it, and one alone has it all.
    """
    network = target.scale_out
    if network is None or "scale_out" in switched_off(target):
        return None
    by_accelerator, by_node = network.gbit_per_accelerator, network.gbit_per_node
    if by_accelerator is not None and by_accelerator.value is not None and target.device != "cpu":
        rate = by_accelerator.value / 8
        return rate, rate, by_accelerator.source
    if by_node is not None and by_node.value is not None:
        whole = by_node.value / 8
        return whole / target.tasks_per_node, whole, by_node.source
    return None


def cuts(target: Target) -> list[Cut] | None:
    """Between fast domains, and between leaf switches whose uplinks carry less; None where a rate is not stated.

    An empty list where all ranks share one fast domain.
    """
    domain = fast_domain(target)
    groups = math.ceil(target.world_size / domain)
    if groups < 2:
        return []
    rate = nic(target)
    if rate is None or target.scale_out is None:
        return None
    own, alone, source = rate
    found = [Cut(groups, own, alone, target.scale_out.name, source)]
    leaf = _leaf(target, target.scale_out, domain)
    if leaf is not None:
        ranks, factor, words = leaf
        leaves = math.ceil(target.world_size / ranks)
        up = own / factor
        if leaves > 1:
            found.append(Cut(leaves, up, min(alone, up * ranks), f"uplinks of {target.scale_out.name}", words))
    return found


def _leaf(target: Target, network: ScaleOut, domain: int) -> tuple[int, float, str] | None:
    """Ranks whose uplinks form one cut, how much less these carry, and the source; None where nothing is declared.

    Below a leaf stand whole fast domains, or a fast domain spans several whole leaves: then it is the domain that
    is cut, since its ranks reach each other otherwise.
    """
    ratio = network.oversubscription
    if network.nodes_per_switch is None or ratio is None or ratio.value is None or ratio.value <= 1:
        return None
    below = network.nodes_per_switch * target.tasks_per_node
    if below % domain and domain % below:
        return None
    words = f"{network.nodes_per_switch} nodes below a switch, oversubscribed {ratio.value:g}:1: {ratio.source}"
    return max(below, domain), ratio.value, words
