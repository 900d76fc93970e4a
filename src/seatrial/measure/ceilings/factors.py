"""What turns sizes and times into bandwidths, and links into bounds on them: plain formulas, no targets.

Formulas: NVIDIA/nccl-tests doc/PERFORMANCE.md; in-network reduction: nccl-tests issues 212, 239 and 366.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


def inter_group_bound(nic_gbps: float, sizes: Sequence[int]) -> float:
    """Bus bandwidth (GB/s) that an all_reduce over groups of `sizes` ranks cannot exceed, `nic_gbps` for each rank.

    S bytes have to leave and enter every group, through the NICs of its g members, and without switches that add
    up all k groups together send at least 2 S (k-1): t >= S / (nic g) of the least group and t >= 2 S (k-1) /
    (nic n), which a hierarchical algorithm reaches whose groups own shares by what they carry. busbw = 2 S (n-1) /
    (n t); for equal groups nic (n-1)/(k-1).
    """
    ranks = sum(sizes)
    return nic_gbps * (ranks - 1) * min(2 * min(sizes) / ranks, 1 / (len(sizes) - 1))


def gather_bound(nic_gbps: float, sizes: Sequence[int]) -> float:
    """Bus bandwidth (GB/s) of all_gather and reduce_scatter over groups of `sizes` ranks.

    A group of g has to receive (of reduce_scatter: send) what the other n-g ranks hold, S (n-g)/n:
    busbw <= nic g (n-1)/(n-g) of the least group; for equal groups nic (n-1)/(k-1).
    """
    ranks, least = sum(sizes), min(sizes)
    return nic_gbps * least * (ranks - 1) / (ranks - least)


def ring_bound(nic_gbps: float, sizes: Sequence[int]) -> float:
    """Bus bandwidth (GB/s) of flat rings: all of it enters every group, through its members' NICs: g nic."""
    return nic_gbps * min(sizes)


def network_reduction_bound(nic_gbps: float, sizes: Sequence[int]) -> float:
    """Equivalent ring bandwidth of all_reduce where the switches between groups add up (SHARP): S out, S in."""
    return ring_bound(nic_gbps, sizes) * bus_factor("all_reduce", sum(sizes))


def across_bound(operation: str, nic_gbps: float, sizes: Sequence[int]) -> float:
    """Bus bandwidth (GB/s) of `operation` between groups of `sizes` ranks, `nic_gbps` for each rank and direction.

    all_to_all leaves (n-g)/n of each rank's buffer to its own NIC, which nobody can relieve: nic (n-1)/(n-g) of the
    least group. broadcast enters every group once, through all its NICs: g nic. send_recv has one NIC: nic. The
    others: inter_group_bound, gather_bound. Needs two groups. Raises ValueError for another operation.
    """
    _known(operation)
    if operation == "all_reduce":
        return inter_group_bound(nic_gbps, sizes)
    if operation in GATHERS:
        return gather_bound(nic_gbps, sizes)
    if operation == "all_to_all":
        return nic_gbps * (sum(sizes) - 1) / (sum(sizes) - min(sizes))
    return ring_bound(nic_gbps, sizes) if operation == "broadcast" else nic_gbps


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


def tree_bound(link_gbps: float, sizes: Sequence[int]) -> float:
    """Bus bandwidth of all_reduce by a double binary tree, by `link_gbps` one way for each rank.

    Within one group every rank is a place in the trees. One in the middle sends S upwards and S downwards:
    t >= 2 S / B, so busbw <= B (n-1)/n. The same for groups, whose members' NICs send together: g nic (n-1)/n, of
    the third least, since each of the two trees has a root that sends less. A tree of two or three groups has no
    middle; that and the others are bound as any all_reduce between groups is.
    """
    ranks = sum(sizes)
    if len(sizes) == 1:
        return link_gbps * (ranks - 1) / ranks
    bound = inter_group_bound(link_gbps, sizes)
    return bound if len(sizes) < 4 else min(bound, link_gbps * sorted(sizes)[2] * (ranks - 1) / ranks)


def _known(operation: str) -> None:
    if operation not in BUS_FACTORS:
        raise ValueError(f"no bus factor for {operation!r}; allowed: {', '.join(BUS_FACTORS)}")
