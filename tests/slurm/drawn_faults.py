"""The faults that the findings must name: each drawn at run time, with the cause that is the right answer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

from faults import (
    Cluster,
    Draw,
    all_links,
    background_load,
    slow_loader,
    throttled_disk,
    throttled_link,
    throttled_processors,
)


class Fault(NamedTuple):
    """What is broken while it lasts, the cause that the main finding must name, and the node where it names one."""

    broken: AbstractContextManager[None]
    cause: str
    told: str
    node: str | None = None


def one_link(cluster: Cluster, draw: Draw, disk: Path) -> Fault:
    """The link of one node carries a tenth."""
    node, mbit = draw.node(cluster.nodes), draw.mbit(20, 35)
    return Fault(throttled_link(cluster, node, mbit), "interconnect", f"{node}, {mbit} Mbit/s", node)


def every_link(cluster: Cluster, draw: Draw, disk: Path) -> Fault:
    """All links carry a tenth."""
    mbit = draw.mbit(20, 35)
    return Fault(all_links(cluster, mbit), "interconnect", f"{mbit} Mbit/s")


def slow_disk(cluster: Cluster, draw: Draw, disk: Path) -> Fault:
    """The disk that all nodes share takes a twentieth."""
    rate = draw.bytes_per_second(0.8e6, 1.2e6)
    broken = throttled_disk(cluster, cluster.nodes, rate, disk, reads=False)
    return Fault(broken, "storage", f"writes at {rate / 1e6:.2f} MB/s")


def slow_node(cluster: Cluster, draw: Draw, disk: Path) -> Fault:
    """One node computes with half of what the others have, or less."""
    node, share = draw.node(cluster.nodes), draw.share(0.2, 0.28)
    broken = throttled_processors(cluster, [node], share)
    return Fault(broken, "straggler_node", f"{node}, {share:g} of a processor", node)


def slow_samples(cluster: Cluster, draw: Draw, disk: Path) -> Fault:
    """The data loader waits before each sample."""
    seconds = draw.seconds(0.002, 0.004)
    return Fault(slow_loader(cluster, seconds), "data_loading", f"{1e3 * seconds:.1f} ms a sample")


def busy_nodes(cluster: Cluster, draw: Draw, disk: Path) -> Fault:
    """Others compute on nodes drawn anew, in bursts."""
    seed = draw.seed_of_another()
    broken = background_load(cluster, processes=(4, 10), burst=(0.5, 2.0), pause=(0.3, 1.0), seed=seed)
    return Fault(broken, "noise", "bursts of 4 to 10 processes")


def healthy(cluster: Cluster, draw: Draw, disk: Path) -> Fault:
    """Nothing is broken."""
    return Fault(nullcontext(), "none", "")


FAULTS: dict[str, Callable[[Cluster, Draw, Path], Fault]] = {
    "one link": one_link,
    "all links": every_link,
    "disk": slow_disk,
    "one node's processors": slow_node,
    "data loader": slow_samples,
    "background load": busy_nodes,
    "healthy": healthy,
}
