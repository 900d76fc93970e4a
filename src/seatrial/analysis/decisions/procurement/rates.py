"""The rates that a proposal is reckoned with: measured here, given by the study, or the target's stated ceiling.

The three are never mixed silently: every rate says which it is, and where it was taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from seatrial.analysis.decisions.decision import Input
from seatrial.analysis.decisions.procurement.step import ALLTOALL, INSIDE, LINK, MEMORY, NETWORK, PRODUCTS
from seatrial.config.assumption import Assumption
from seatrial.config.procurement import Procurement, Proposal, Rate
from seatrial.config.target import Fact, Target
from seatrial.measure.ceilings import bisection_ceiling, collective_ceiling
from seatrial.measure.ceilings.links import by_the_network, group_sizes, inside_link, nic

WRITTEN, READ = "checkpoints written", "checkpoints read"
Basis = Literal["measured", "given by the study", "stated, not measured"]
UNITS: dict[Rate, str] = dict.fromkeys(get_args(Rate), "GB/s") | {"products_tflops": "TFLOPS"}
WORDS: dict[Rate, str] = {
    "products_tflops": PRODUCTS,
    "memory_gbps": MEMORY,
    "network_gbps": NETWORK,
    "alltoall_gbps": ALLTOALL,
    "link_gbps": LINK,
    "alltoall_inside_gbps": INSIDE,
    "bisection_gbps": "bandwidth between the worst halves",
    "checkpoint_write_gbps": WRITTEN,
    "checkpoint_read_gbps": READ,
}
"""What a rate is called as an input of a decision."""


@dataclass(frozen=True)
class Reading:
    """A rate with the basis that it has; `note` says how far it was taken from where it was measured."""

    input: Input
    basis: Basis
    note: str | None = None
    times: float = 1.0
    """How many times as many ranks as were measured the proposal has, or as few."""


@dataclass(frozen=True)
class Ceiling:
    """A rate as the target's facts state it."""

    value: float
    source: str
    reached: bool = False
    """Whether somebody's best is stated, not what cannot be exceeded."""


def readings(procurement: Procurement, proposal: Proposal, measured: Mapping[Rate, Reading]) -> dict[Rate, Reading]:
    """The rates of `proposal`: those of `measured` first, then what it states itself, then its target's ceilings.

    What none of them knows has no entry.
    """
    found: dict[Rate, Reading] = {}
    for rate in get_args(Rate):
        if rate in measured:
            found[rate] = measured[rate]
        elif rate in proposal.rates:
            found[rate] = Reading(rate_input(rate, proposal.rates[rate]), "given by the study")
        elif (ceiling := stated(rate, procurement, proposal)) is not None:
            share = None if ceiling.reached else procurement.of_ceiling.get(rate)
            found[rate] = Reading(_of_ceiling(rate, ceiling, share), "stated, not measured")
    return found


def rate_input(rate: Rate, assumption: Assumption) -> Input:
    """A rate that the configuration gives, as an input."""
    return Input(
        WORDS[rate],
        assumption.value,
        assumption.low,
        assumption.high,
        UNITS[rate],
        assumption.source,
        assumption.as_of,
        measured=False,
    )


def _of_ceiling(rate: Rate, ceiling: Ceiling, share: Assumption | None) -> Input:
    """A ceiling, or the share of it that such machines were seen to reach."""
    source = f"stated, not measured: {ceiling.source}"
    if share is None:
        return Input(WORDS[rate], ceiling.value, None, None, UNITS[rate], source, None, measured=False)
    ends = [None if end is None else end * ceiling.value for end in (share.low, share.high)]
    source = f"{source}; x {share.value:g}, the share that is reached: {share.source}"
    value = share.value * ceiling.value
    return Input(WORDS[rate], value, ends[0], ends[1], UNITS[rate], source, share.as_of, measured=False)


def stated(rate: Rate, procurement: Procurement, proposal: Proposal) -> Ceiling | None:
    """What the target's facts say of a rate; None where they say nothing."""
    whole = proposal.whole
    if rate == "products_tflops":
        return _products(whole, procurement.dtype)
    if rate == "memory_gbps":
        return _memory(whole)
    if rate in ("checkpoint_write_gbps", "checkpoint_read_gbps"):
        return _storage(whole, "write" if rate == "checkpoint_write_gbps" else "read")
    if rate == "alltoall_inside_gbps":
        return None  # what the links are stated to carry
    if rate == "link_gbps":
        link = inside_link(whole, min(by_the_network(whole), whole.world_size))
        return None if link is None else Ceiling(link.gbps, link.basis)
    if rate == "bisection_gbps":
        bound = bisection_ceiling(whole)
        return None if bound is None else Ceiling(*bound)
    if rate == "alltoall_gbps":
        return _alltoall(procurement, whole, procurement.planned.layout.experts)
    own = nic(whole)
    return None if own is None else Ceiling(own[0], own[2])


def _products(target: Target, dtype: str) -> Ceiling | None:
    if target.accelerator is None:
        return None
    best = _known(target.accelerator.achievable_tflops.get(dtype))  # type: ignore[call-overload]
    if best is not None:
        return Ceiling(best[0], best[1], reached=True)
    peak = _known(target.accelerator.peak_tflops.get(dtype))  # type: ignore[call-overload]
    return None if peak is None else Ceiling(peak[0], f"peak, {peak[1]}")


def _memory(target: Target) -> Ceiling | None:
    if target.accelerator is None:
        return None
    best = _known(target.accelerator.achievable_memory_bandwidth_gbps)
    if best is not None:
        return Ceiling(best[0], best[1], reached=True)
    peak = _known(target.accelerator.memory_bandwidth_gbps)
    return None if peak is None else Ceiling(*peak)


def _storage(target: Target, way: Literal["write", "read"]) -> Ceiling | None:
    """The fastest of the target's file systems: its own rate, or its nodes' together where that is less."""
    found: list[Ceiling] = []
    for storage in target.storage.values():
        whole = _known(storage.write_gbps if way == "write" else storage.read_gbps)
        each = _known(storage.write_gbps_per_node if way == "write" else storage.read_gbps_per_node)
        bounds = [] if whole is None else [Ceiling(*whole)]
        if each is not None:
            bounds.append(Ceiling(each[0] * target.nodes, f"{target.nodes} nodes: {each[1]}"))
        if bounds:
            found.append(min(bounds, key=lambda bound: bound.value))
    return max(found, key=lambda bound: bound.value, default=None)


def memory_reading(proposal: Proposal) -> Reading | None:
    """The memory of one accelerator; None where nothing states it."""
    accelerator = proposal.target.accelerator
    known = None if accelerator is None else _known(accelerator.memory_gb)
    if known is None:
        return None
    found = Input("memory of an accelerator", known[0], None, None, "GB", known[1], None, measured=False)
    return Reading(found, "stated, not measured", "the state alone: activations come on top")


def alltoall_reading(procurement: Procurement, proposal: Proposal, ranks: int) -> Reading | None:
    """The stated ceiling of an all-to-all between nodes over `ranks`; None where nothing states it."""
    ceiling = _alltoall(procurement, proposal.whole, ranks)
    if ceiling is None:
        return None
    share = procurement.of_ceiling.get("alltoall_gbps")
    return Reading(_of_ceiling("alltoall_gbps", ceiling, share), "stated, not measured")


def _alltoall(procurement: Procurement, whole: Target, ranks: int) -> Ceiling | None:
    """What a rank can send over the network in an all-to-all over `ranks`, what uplinks leave of it among it.

    The bound is of the bytes to all other ranks, of which (n - g) / (n - 1) take the network in the least group.
    """
    domain, layout = by_the_network(whole), procurement.planned.layout
    ranks = whole.world_size if layout.placement == "scattered" else min(ranks * layout.tensor, whole.world_size)
    if ranks <= domain:
        return None
    spanned = whole.model_copy(update={"nodes": -(-ranks // whole.tasks_per_node)})
    bound = collective_ceiling(spanned, "all_to_all")
    if bound is None:
        return None
    n = spanned.world_size
    return Ceiling(bound[0] * (n - min(group_sizes(n, domain))) / (n - 1), bound[1])


def _known(fact: Fact | None) -> tuple[float, str] | None:
    return None if fact is None or fact.value is None else (fact.value, fact.source)
