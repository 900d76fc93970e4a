"""Processors of the nodes: places of their own (cpuset), a part of one and no more (the cpu controller's quota)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from faults import groups
from faults.cluster import Cluster

CONTROLLER, PLACES = "cpu", "cpuset"
SHARES = 102_400
"""A hundred times the usual: what a node may use it gets, whatever else the machine does."""
PERIOD_US = 4000
"""In periods of 0.1 s, the kernel's own choice, a limited node would be silent for so long at a time that messages
between nodes waited for it; still shorter ones lose a quarter of what they allow."""
LEAST_US = 1000
"""What the kernel takes as a quota at least: less of a processor has longer periods."""
LONGEST_PERIOD_US = 1_000_000
"""That the kernel takes."""


def why_not() -> str | None:
    """Why the processors of a node cannot be throttled or chosen on this machine, or None."""
    why = groups.why_not(CONTROLLER) or groups.why_not(PLACES)
    return None if why is None else f"processors cannot be throttled: {why}"


@contextmanager
def throttled_processors(cluster: Cluster, nodes: Sequence[str], processors: float) -> Iterator[None]:
    """All `nodes` together compute no faster than so many processors (0.25: a quarter of one).

    Raises ValueError for less than the kernel can limit to.
    """
    period = max(PERIOD_US, round(LEAST_US / processors))
    if period > LONGEST_PERIOD_US:
        raise ValueError(f"{processors} processors are too few; the least is {LEAST_US / LONGEST_PERIOD_US}")
    quota = round(processors * period)
    limits = {"cpu.cfs_period_us": str(period), "cpu.cfs_quota_us": str(quota), "cpu.shares": str(SHARES)}
    with groups.limited(cluster, nodes, CONTROLLER, limits):
        yield


@contextmanager
def processors_of_their_own(cluster: Cluster) -> Iterator[None]:
    """Each node stays on one of the machine's processors, where it comes before what else the machine does.

    Where there are fewer processors than nodes, several nodes share one evenly.
    """
    processors = sorted(os.sched_getaffinity(0))
    memory = (groups.HIERARCHIES / PLACES / "cpuset.mems").read_text().strip()
    with ExitStack() as stack:
        for number, node in enumerate(cluster.nodes):
            place = {"cpuset.mems": memory, "cpuset.cpus": str(processors[number % len(processors)])}
            stack.enter_context(groups.limited(cluster, [node], PLACES, place))
            stack.enter_context(groups.limited(cluster, [node], CONTROLLER, {"cpu.shares": str(SHARES)}))
        yield
