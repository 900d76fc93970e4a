"""Slow processors: the cpu controller gives the processes of some nodes a share of a processor and no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from faults import groups
from faults.cluster import Cluster

CONTROLLER = "cpu"
PERIOD_US = 10_000
"""Short: a limit in slices of 0.1 s, the kernel's own choice, would let a short step through and hold the next."""
LEAST_US = 1000
"""What the kernel takes as a quota at least."""


def why_not() -> str | None:
    """Why the processors of a node cannot be throttled on this machine, or None."""
    why = groups.why_not(CONTROLLER)
    return None if why is None else f"processors cannot be throttled: {why}"


@contextmanager
def throttled_processors(cluster: Cluster, nodes: Sequence[str], processors: float) -> Iterator[None]:
    """All `nodes` together compute no faster than so many processors (0.25: a quarter of one).

    Raises ValueError for less than the kernel can limit to.
    """
    quota = round(processors * PERIOD_US)
    if quota < LEAST_US:
        raise ValueError(f"{processors} processors are too few; the least is {LEAST_US / PERIOD_US}")
    limits = {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(quota)}
    with groups.limited(cluster, nodes, CONTROLLER, limits):
        yield
