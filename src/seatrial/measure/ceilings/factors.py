"""What turns sizes and times into bandwidths, and links into bounds on them: plain formulas, no targets.

Formulas: NVIDIA/nccl-tests doc/PERFORMANCE.md; in-network reduction: nccl-tests issues 212, 239 and 366.
"""

from __future__ import annotations

from collections.abc import Callable

BUS_FACTORS: dict[str, Callable[[int], float]] = {
    "all_reduce": lambda n: 2 * (n - 1) / n,
    "all_gather": lambda n: (n - 1) / n,
    "reduce_scatter": lambda n: (n - 1) / n,
    "all_to_all": lambda n: (n - 1) / n,
    "broadcast": lambda n: 1.0,
    "send_recv": lambda n: 1.0,
}
"""Bus over algorithm bandwidth, by operation, for n ranks."""
GATHERS = ("all_reduce", "all_gather", "reduce_scatter")
"""Operations that every rank contributes to and a group of ranks can do for its members together."""


def bus_factor(operation: str, ranks: int) -> float:
    """What turns algorithm bandwidth S/t into bus bandwidth, as nccl-tests defines them.

    S is the buffer of one rank for all_reduce, all_to_all, broadcast and send_recv, and the large tensor (of all
    ranks together) for all_gather and reduce_scatter. Raises ValueError for another operation.
    """
    _known(operation)
    return BUS_FACTORS[operation](ranks)


def inter_group_bound(nic_gbps: float, ranks: int, groups: int) -> float:
    """Bus bandwidth (GB/s) that all_reduce, all_gather and reduce_scatter over `groups` cannot exceed.

    A hierarchical all_reduce takes 2 S (k-1)/k bytes out of and into each of k groups, through the NICs of its
    g members (`nic_gbps` GB/s each and one way), so busbw <= nic g k (n-1) / (n (k-1)), for equal groups
    nic (n-1)/(k-1). Where the ranks do not divide evenly the smallest group decides.
    """
    smallest = ranks // groups
    return nic_gbps * smallest * groups * (ranks - 1) / (ranks * (groups - 1))


def across_bound(operation: str, nic_gbps: float, ranks: int, groups: int) -> float:
    """Bus bandwidth (GB/s) of `operation` between `groups` of fast links, `nic_gbps` for each rank and direction.

    all_to_all leaves (n-g)/n of each rank's buffer to its own NIC, which nobody can relieve: nic (n-1)/(n-g).
    broadcast enters a group once, through all its NICs: g nic. send_recv has one NIC: nic. The others:
    inter_group_bound. Raises ValueError for another operation.
    """
    _known(operation)
    smallest = ranks // groups
    if operation in GATHERS:
        return inter_group_bound(nic_gbps, ranks, groups)
    if operation == "all_to_all":
        return nic_gbps * (ranks - 1) / (ranks - smallest)
    return nic_gbps * smallest if operation == "broadcast" else nic_gbps


def wire_bandwidth(bus_gbps: float, ranks: int, groups: int, operation: str = "all_reduce") -> float:
    """GB/s that each rank's NIC carries one way where `operation` reads `bus_gbps`; inverts across_bound."""
    return bus_gbps / across_bound(operation, 1.0, ranks, groups)


def inside_bound(operation: str, link_gbps: float, ranks: int, group: int) -> float:
    """Bus bandwidth (GB/s) of `operation` over `ranks` by links of `link_gbps` one way inside groups of `group`.

    Inside one group: the link's rate. Over several, part of the bytes never takes the fast links: of a hierarchical
    all_reduce each rank's link carries 2 S (g-1)/g, of all_to_all S (g-1)/n. Needs group >= 2. Raises ValueError
    for another operation.
    """
    _known(operation)
    if group >= ranks or operation == "send_recv":
        return link_gbps
    if operation == "all_to_all":
        return link_gbps * (ranks - 1) / (group - 1)
    share = group / (group - 1)
    return link_gbps * share if operation == "broadcast" else link_gbps * share * (ranks - 1) / ranks


def in_network_bound(link_gbps: float, ranks: int, group: int | None = None) -> float:
    """Equivalent ring bandwidth of all_reduce where the switches of a group add up on the way (NVLink SHARP).

    Each link carries S (g+1)/g one way instead of a ring's 2 S (g-1)/g, and nccl-tests keeps the ring's factor: for
    one group busbw <= 2 B (n-1)/(n+1), 1.56 B for 8 ranks.
    """
    group = ranks if group is None else group
    return 2 * link_gbps * (ranks - 1) / ranks * group / (group + 1)


def tree_bound(link_gbps: float, ranks: int, groups: int = 1) -> float:
    """Bus bandwidth of all_reduce by a double binary tree, by `link_gbps` one way for each rank.

    A rank in the middle sends S upwards and S downwards: t >= 2 S / B, so busbw <= B (n-1)/n. The same for groups,
    whose members' NICs send together: g nic (n-1)/n; a tree of two or three groups has no middle, and is bound as
    any all_reduce between groups is.
    """
    if groups in (2, 3):
        return inter_group_bound(link_gbps, ranks, groups)
    return link_gbps * (ranks // groups) * (ranks - 1) / ranks if groups > 1 else link_gbps * (ranks - 1) / ranks


def _known(operation: str) -> None:
    if operation not in BUS_FACTORS:
        raise ValueError(f"no bus factor for {operation!r}; allowed: {', '.join(BUS_FACTORS)}")
