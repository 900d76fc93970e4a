"""A made-up cluster for the screening: good nodes with spread and noise, bad nodes and links put in by the test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from seatrial.measure.screen.found import Rules, Screening
from seatrial.measure.screen.reading import GroupRun, Reading
from seatrial.measure.screen.search import screen

RULES = Rules(slower=1.13, passes=2, confirmations=2, most_runs=300)
ITERATIONS = 5


@dataclass
class MadeUpCluster:
    """Nodes whose products and exchanges take about one second.

    A reading is a median of five iterations; each has lognormal noise, and now and then a hiccup. A node keeps its
    own part of the `spread`. In a disturbed run a node is slow in all iterations, through no fault of its own.
    """

    nodes: int
    source: np.random.Generator
    compute: Mapping[int, float] = field(default_factory=dict)
    """Slowness of bad nodes' products (1.2: 20 % slower)."""
    network: Mapping[int, float] = field(default_factory=dict)
    """Slowness of whatever bad nodes exchange."""
    links: Mapping[frozenset[int], float] = field(default_factory=dict)
    spread: float = 0.02
    noise: float = 0.03
    hiccups: float = 0.01
    """The share of a node's iterations that take 1.2 to 3 times as long."""
    disturbed: float = 1e-4
    """The share of a node's runs that do."""

    def __post_init__(self) -> None:
        own = self.source.lognormal(0, self.spread, (2, self.nodes))
        self.own_compute = own[0] * self._slowness(self.compute)
        self.own_network = own[1] * self._slowness(self.network)

    def _slowness(self, bad: Mapping[int, float]) -> np.ndarray:
        found = np.ones(self.nodes)
        for node, slowness in bad.items():
            found[node] = slowness
        return found

    def measure(self, run: GroupRun) -> Reading:
        """What a group run shows."""
        members = np.array(run.members)
        pairs = list(zip(run.members, run.members[1:], strict=False))
        links = np.array([self.links.get(frozenset(pair), 1.0) for pair in pairs])
        ends = self.own_network[members]
        exchange = np.maximum(ends[:-1], ends[1:]) * links
        return Reading(self._median(self.own_compute[members]).tolist(), self._median(exchange).tolist())

    def _median(self, true: np.ndarray) -> np.ndarray:
        source, shape = self.source, (ITERATIONS, len(true))
        seconds = true * np.exp(self.noise * source.standard_normal(shape))
        for _ in range(source.binomial(seconds.size, self.hiccups)):
            seconds[source.integers(ITERATIONS), source.integers(len(true))] *= source.uniform(1.2, 3)
        for _ in range(source.binomial(len(true), self.disturbed)):
            seconds[:, source.integers(len(true))] *= source.uniform(1.2, 3)
        seconds.sort(axis=0)
        found: np.ndarray = seconds[ITERATIONS // 2]
        return found


def screened(cluster: MadeUpCluster, seed: int, rules: Rules = RULES) -> Screening:
    """The result of screening `cluster`."""
    steps = screen(cluster.nodes, rules, seed)
    run = next(steps)
    while True:
        try:
            run = steps.send(cluster.measure(run))
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]
