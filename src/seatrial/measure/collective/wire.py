"""What a reading means on the wire: the GB/s that each NIC carries between nodes."""

from __future__ import annotations

import math
from typing import NamedTuple

from seatrial.config.target import Target
from seatrial.measure.ceilings.factors import GATHERS, wire_bandwidth
from seatrial.measure.ceilings.links import fast_domain, nic


class Wire(NamedTuple):
    """`per_bus`: GB/s of a NIC, one way, for each GB/s of bus bandwidth; its line rate and how both were found."""

    per_bus: float
    line_gbps: float
    basis: str


def wire(target: Target, operation: str, backend: str) -> Wire | None:
    """How `operation` over all ranks of `target` loads the NIC of each rank, or its share of the node's.

    Where ranks share the fast fabric, a hierarchical algorithm is assumed, which loads the NICs least; over gloo,
    which knows of no nodes, a ring through all ranks, in which torch does reduce_scatter by a whole all_reduce
    (counted on the wire, torch 2.13). None within one fast domain and where no NIC is declared.
    """
    ranks, domain = target.world_size, fast_domain(target)
    groups, network, rate = math.ceil(target.world_size / domain), target.scale_out, nic(target)
    if groups < 2 or network is None or rate is None:
        return None
    shared, alone, source = rate
    line = alone if operation == "send_recv" else shared
    if backend == "gloo" and operation in GATHERS:
        times = 2 if operation == "reduce_scatter" else 1
        per_bus, way = times / (ranks // groups), "a ring through all ranks"
    else:
        per_bus, way = wire_bandwidth(1.0, ranks, groups, operation), f"between {groups} groups"
    return Wire(per_bus, line, f"line rate of {network.name} for each rank, one direction; {way}: {source}")
