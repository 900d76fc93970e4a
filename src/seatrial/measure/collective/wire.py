"""What a reading means on the wire: the GB/s that each NIC carries between nodes."""

from __future__ import annotations

from typing import NamedTuple

from seatrial.config.target import Target
from seatrial.measure.ceilings.collective import across_bound_of, way_of
from seatrial.measure.ceilings.excess import across_reasons
from seatrial.measure.ceilings.links import network_cut


class Wire(NamedTuple):
    """`per_bus`: GB/s of a NIC, one way, for each GB/s of bus bandwidth; its line rate and how both were found."""

    per_bus: float
    line_gbps: float
    basis: str


def wire(target: Target, operation: str, backend: str) -> Wire | None:
    """How `operation` over all ranks of `target` loads the NIC of each rank, or its share of the node's.

    The same way as that of the ceiling between nodes, whose bound is where the NICs that decide (of the least
    group) carry their line rate: hierarchical, a flat ring or tree where NCCL_ALGO says so, or switches that add
    up. Over gloo, which knows of no nodes, a ring through all ranks, in which torch does reduce_scatter by a whole
    all_reduce (counted on the wire, torch 2.13). None within one fast domain and where no NIC is declared.
    """
    cut = network_cut(target)
    if cut is None:
        return None
    line = cut.pair_gbps if operation == "send_recv" else cut.gbps
    bound, basis = across_bound_of(target, way_of(target, operation, backend), cut)
    per_bus = line / bound
    if backend == "gloo" and operation == "reduce_scatter":
        per_bus, basis = 2 * per_bus, f"twice, as by an all_reduce, {basis}"
    return Wire(per_bus, line, f"line rate of {cut.name} for each rank, one direction; {basis}")


def explain_wire_excess(target: Target, operation: str, gbps: float, backend: str = "auto") -> str | None:
    """Why a rate of `gbps` on the wire may stand above the NICs' line rate; None where it does not.

    The rate was computed from times, not counted: it names what that takes for granted and the reading contradicts.
    """
    carried = wire(target, operation, backend)
    if carried is None or gbps <= carried.line_gbps:
        return None
    way = way_of(target, operation, backend)
    reasons = across_reasons(target, operation)
    if way.algorithm is not None:
        reasons.insert(0, f"an algorithm that loads the NICs less than a {way.algorithm}")
    if backend == "gloo" and target.device != "cpu":
        reasons.insert(0, "gloo, which may take another network than the accelerators' own")
    above = f"{100 * gbps / carried.line_gbps:.3g} % of the {carried.basis}"
    return f"{above}. Above it: {'; or '.join(reasons)}"
