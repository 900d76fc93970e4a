"""A private Slurm as the faults see it: the nodes' processes, network namespaces and links."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Cluster:
    """What tests/slurm/cluster/slurm-up started in `base`; names as slurm-lib.sh makes them."""

    base: Path
    environment: dict[str, str]
    """In which Slurm's commands find it."""
    nodes: tuple[str, ...]
    network: str | None
    """Number of the network of its nodes' namespaces; None: the nodes share the machine's network."""
    mtu: int
    """Bytes of an IP packet on the links."""

    @classmethod
    def read(cls, environment: dict[str, str]) -> Cluster:
        """The cluster that `environment` (SLURM_BASE) names."""
        base = Path(environment["SLURM_BASE"])
        words = (base / "etc" / "params").read_text().split()
        params = dict(word.split("=", 1) for word in words)
        nodes = tuple(f"{params['NODE_PREFIX']}{k}" for k in range(1, int(params["NODES"]) + 1))
        network = params["NETWORK"] if params["ISOLATE"] == "net" else None
        return cls(base, environment, nodes, network, int(params["MTU"]))

    def number(self, node: str) -> int:
        """1 for the first node. Raises ValueError for a name of no node."""
        return self.nodes.index(node) + 1

    def namespace(self, node: str) -> str:
        """Name of the node's network namespace, in which its link is eth0."""
        return f"msl{self._network}-{self.number(node)}"

    def host_link(self, node: str) -> str:
        """Name of the other end of the node's eth0, in the machine's own namespace."""
        return f"msl{self._network}-v{self.number(node)}"

    def address(self, node: str) -> str:
        """IPv4 address of the node's eth0."""
        return f"10.213.{self._network}.{10 + self.number(node)}"

    def processes(self, node: str) -> list[psutil.Process]:
        """The node's first process, whose end would be a power cut, and all below it."""
        first = psutil.Process(int((self.base / "run" / f"init.{node}.pid").read_text()))
        return [first, *first.children(recursive=True)]

    @property
    def _network(self) -> str:
        if self.network is None:
            raise ValueError("the nodes share the machine's network: start the cluster with --isolate net")
        return self.network
