"""The links of a target as its facts declare them: the fast fabric, PCIe between bridges, NICs, uplinks."""

from __future__ import annotations

from typing import NamedTuple

from seatrial.config.target import ScaleOut, Target
from seatrial.measure.ceilings.pcie import LANES, TRANSFERS, pcie_bandwidth


class Bound(NamedTuple):
    """GB/s that cannot be exceeded, and why, in words."""

    gbps: float
    basis: str


class Cut(NamedTuple):
    """Groups of ranks with `gbps` between them for each rank and direction."""

    sizes: tuple[int, ...]
    """Ranks of each group, in their order; the last one may be what is left over."""
    gbps: float
    pair_gbps: float
    """What one rank alone can send across."""
    name: str
    source: str
    network: bool = True
    """Whether it is the network between nodes that is crossed, not the way through a host."""

    @property
    def groups(self) -> int:
        return len(self.sizes)


def group_sizes(ranks: int, size: int) -> tuple[int, ...]:
    """The sizes of groups of `size` consecutive ranks: the last group is what is left over."""
    whole, rest = divmod(ranks, size)
    return (size,) * whole + ((rest,) if rest else ())


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
    module = None if accelerator is None else accelerator.host_link_unidirectional_gbps
    if module is not None and module.value is not None:
        return Bound(module.value, f"through the host's memory, over the module's own link: {module.source}")
    lanes = _pcie(target)
    return None if lanes is None else Bound(lanes.gbps, f"through the host's memory, over {lanes.basis}")


def _pcie(target: Target) -> Bound | None:
    """One accelerator's PCI Express, 16 lanes of the declared generation."""
    generation = None if target.accelerator is None else target.accelerator.pcie_generation
    if generation is None or generation.value is None or int(generation.value) not in TRANSFERS:
        return None
    words = f"PCIe {generation.value:g} x{LANES}, one direction: generation {generation.source}"
    return Bound(pcie_bandwidth(int(generation.value)), words)


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
    """Between the fast domains of a node, between nodes (or racks), and between leaf switches that carry less.

    None where a rate is not stated, an empty list where all ranks share one fast domain.
    """
    ranks, domain, node = target.world_size, fast_domain(target), by_the_network(target)
    found = []
    if domain < node and ranks > domain:
        host = bridge_cut(target)
        if host is None:
            return None
        found.append(host)
    if ranks > node:
        network = network_cut(target)
        if network is None:
            return None
        uplinks = uplink_cut(target)
        found += [network] if uplinks is None else [network, uplinks]
    return found


def by_the_network(target: Target) -> int:
    """Ranks that reach each other without the network: a node's, or those of a fast domain that spans nodes."""
    return max(fast_domain(target), target.tasks_per_node)


def whole_leaves(target: Target) -> bool:
    """Whether below a leaf switch stand whole fast domains, or one domain spans whole leaves; or none is declared.

    Anything else has no bound here: the plan refuses it where an oversubscription is declared.
    """
    network = target.scale_out
    if network is None or network.nodes_per_switch is None:
        return True
    below, domain = network.nodes_per_switch * target.tasks_per_node, by_the_network(target)
    return below % domain == 0 or domain % below == 0


def bridge_cut(target: Target) -> Cut | None:
    """Between the fast domains of one node (bridged PCIe cards), at each accelerator's own PCI Express.

    None where its generation is not stated. What leaves the node takes that way too.
    """
    lanes = _pcie(target)
    if lanes is None:
        return None
    sizes = group_sizes(target.world_size, fast_domain(target))
    return Cut(sizes, lanes.gbps, lanes.gbps, "the way between bridges", lanes.basis, network=False)


def network_cut(target: Target) -> Cut | None:
    """Between nodes, or fast domains that span nodes, at the NICs; None within one and where no NIC is declared."""
    rate, network, node = nic(target), target.scale_out, by_the_network(target)
    if rate is None or network is None or target.world_size <= node:
        return None
    own, alone, source = rate
    return Cut(group_sizes(target.world_size, node), own, alone, network.name, source)


def uplink_cut(target: Target) -> Cut | None:
    """Between leaf switches whose uplinks carry less than the NICs below; None where there is no such."""
    rate, network = nic(target), target.scale_out
    leaf = None if network is None else _leaf(target, network, by_the_network(target))
    if rate is None or network is None or leaf is None or target.world_size <= leaf[0]:
        return None
    ranks, factor, words = leaf
    up = rate[0] / factor
    sizes = group_sizes(target.world_size, ranks)
    return Cut(sizes, up, min(rate[1], up * ranks), f"uplinks of {network.name}", words)


def _leaf(target: Target, network: ScaleOut, domain: int) -> tuple[int, float, str] | None:
    """Ranks whose uplinks form one cut, how much less these carry, and the source; None where nothing is declared.

    Below a leaf stand whole fast domains, or a fast domain spans several whole leaves: then it is the domain that
    is cut, since its ranks reach each other otherwise.
    """
    ratio = network.oversubscription
    if network.nodes_per_switch is None or ratio is None or ratio.value is None or ratio.value <= 1:
        return None
    below = network.nodes_per_switch * target.tasks_per_node
    if not whole_leaves(target):
        return None
    words = f"{network.nodes_per_switch} nodes below a switch, oversubscribed {ratio.value:g}:1: {ratio.source}"
    return max(below, domain), ratio.value, words
