"""Ceilings of what the fabric can carry, from the target's declared facts. Imports no torch.

A ceiling is the least of the bounds that hold (links inside a fast domain, NICs, the uplinks of oversubscribed
switches), each for the best algorithm that the target may choose, with its basis in words.
"""

from seatrial.measure.ceilings.bisection import bisection_ceiling, full_bisection
from seatrial.measure.ceilings.collective import collective_ceiling
from seatrial.measure.ceilings.excess import explain_excess
from seatrial.measure.ceilings.factors import (
    BUS_FACTORS,
    across_bound,
    bus_factor,
    gather_bound,
    in_network_bound,
    inter_group_bound,
    tree_bound,
)

__all__ = [
    "BUS_FACTORS",
    "across_bound",
    "bisection_ceiling",
    "bus_factor",
    "collective_ceiling",
    "explain_excess",
    "full_bisection",
    "gather_bound",
    "in_network_bound",
    "inter_group_bound",
    "tree_bound",
]
