"""The system under test: accelerators, nodes, fabric, launcher, prices; every figure with its source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from seatrial.config.base import AsOf, Closed, Fact, NonNegativeInt, PositiveInt, Slug
from seatrial.config.launcher import Launcher
from seatrial.config.secrets import Variables
from seatrial.errors import FieldMistake

Precision = Literal["float32", "tf32", "float16", "bfloat16", "fp8", "fp4", "int8"]


class Accelerator(Closed):
    """One accelerator. Peaks are dense (no structured sparsity)."""

    name: str
    vendor: str
    year: PositiveInt | None = None
    """The year it came out."""
    device_names: list[str] = []
    """Patterns (`*` for any text, case ignored) of the names by which the driver's tool knows this accelerator."""
    family: str | None = None
    """MLPerf family with form factor (`H100-SXM`, `B200`, `GB200`), or None where nothing published compares."""
    peak_tflops: dict[Precision, Fact] = {}
    achievable_tflops: dict[Precision, Fact] = {}
    """The best that someone's matrix products reached, where that was published."""
    memory_gb: Fact | None = None
    memory_bandwidth_gbps: Fact | None = None
    """GB/s (1e9 bytes per second)."""
    achievable_memory_bandwidth_gbps: Fact | None = None
    """GB/s that someone's triad reached."""
    last_level_cache_mib: Fact | None = None
    """Where the driver does not tell it all: AMD's Infinity Cache."""
    power_w: Fact | None = None
    pcie_generation: Fact | None = None
    host_link_unidirectional_gbps: Fact | None = None
    """GB/s to a host processor on the same module (NVLink-C2C), one direction."""
    usual_nic_gbit: Fact | None = None
    """Gb/s, one direction: the NIC usually built in for each accelerator. A target's own network is `scale_out`."""


class ScaleUp(Closed):
    """The links inside a node or rack, per accelerator, aggregate over its links, by direction."""

    name: str
    unidirectional_gbps: Fact
    bidirectional_gbps: Fact
    peer_unidirectional_gbps: Fact | None = None
    """GB/s to one single peer, one direction."""
    domain: PositiveInt | None = None
    """Accelerators that share the fast fabric; None: those of one node."""
    switches: str | None = None
    in_network_reduction: bool | None = None
    """Whether the switches add up on the way (NVLink SHARP), which lifts the ceiling of all_reduce."""
    in_network_reduction_source: str | None = None
    """Where that was read."""
    in_network_reduction_least_ranks: Fact | None = None
    """Ranks of a group from which the library lets the switches add up; fewer do as if they could not."""
    aggregate_tbps: Fact | None = None
    """TB/s of the whole domain, both directions, all accelerators at once."""
    bisection_tbps: Fact | None = None
    """TB/s between two halves of the domain."""
    allreduce_tbps: Fact | None = None
    """TB/s that the vendor states for all_reduce over the whole domain."""


class ScaleOut(Closed):
    """The network between nodes: line rate per accelerator and direction in Gb/s."""

    name: str
    gbit_per_accelerator: Fact | None = None
    gbit_per_node: Fact | None = None
    nics: str | None = None
    nodes_per_switch: PositiveInt | None = None
    """Nodes below one leaf switch."""
    oversubscription: Fact | None = None
    """Bandwidth of a leaf switch towards its nodes over its bandwidth upwards; 1: full bisection."""
    in_network_reduction: bool | None = None
    """Whether the switches add up on the way (InfiniBand SHARP) and the library uses it."""
    topology: str | None = None
    """Where the order of switches is to be read: `slurm` (scontrol show topology) or a file of that form."""


class Node(Closed):
    """One node without its accelerators."""

    cpus: PositiveInt | None = None
    """CPU cores that a job may use on a node."""
    memory_mb: PositiveInt | None = None
    power_kw: Fact | None = None
    """Greatest power draw of one node with its accelerators."""
    rack_units: PositiveInt | None = None
    description: str | None = None


class Rack(Closed):
    """A rack that is wired and sold as one system, such as an NVL72."""

    nodes: PositiveInt
    """Compute trays: what Slurm sees as nodes."""
    switch_trays: PositiveInt | None = None
    power_kw: Fact | None = None


class Storage(Closed):
    """A file system that checkpoints or training data go to; rates of the whole system and of one node."""

    name: str
    path: str | None = None
    """Where every node finds it."""
    write_gbps: Fact | None = None
    read_gbps: Fact | None = None
    write_gbps_per_node: Fact | None = None
    read_gbps_per_node: Fact | None = None


class Reliability(Closed):
    """How often something breaks."""

    accelerator_hours_between_failures: Fact
    """Accelerator-hours per interruption; a job on n accelerators is interrupted n times as often as one on one."""


Feature = Literal["scale_up", "scale_up.in_network_reduction", "scale_out", "scale_out.in_network_reduction"]


class Ablation(Closed):
    """A way to run without one of the fabric's features, so that the feature is measured on one machine."""

    description: str = Field(min_length=1)
    environment: Variables = Field(min_length=1)
    """Variables set for every rank before torch starts, over the launcher's own."""
    without: list[Feature] = []
    """The declared features whose ceilings do not hold then."""
    vendor: str | None = None
    """Whose accelerators' library obeys the variables; None: they concern every target."""


class Price(Closed):
    """A price range with its date and source. `low` and `high` in `currency`; None: that end is not known."""

    low: float | None = Field(default=None, ge=0)
    high: float | None = Field(default=None, ge=0)
    currency: str = "USD"
    as_of: AsOf
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _ordered(self) -> Price:
        if self.low is None and self.high is None:
            raise ValueError("a price needs low, high or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low ({self.low}) is above high ({self.high})")
        return self

    @property
    def middle(self) -> float:
        """The mean of both ends, or the one end that is known."""
        ends = [end for end in (self.low, self.high) if end is not None]
        return sum(ends) / len(ends)


class Prices(Closed):
    """What the target costs: an hour of one accelerator or node, one accelerator, node or rack to buy."""

    accelerator_hour: Price | None = None
    node_hour: Price | None = None
    accelerator_purchase: Price | None = None
    node_purchase: Price | None = None
    rack_purchase: Price | None = None


class Target(Closed):
    """A system under test. `nodes` and `tasks_per_node` say how much of it a case uses."""

    name: Slug
    description: str
    nodes: PositiveInt
    accelerators_per_node: NonNegativeInt
    tasks_per_node: PositiveInt
    device: Literal["cuda", "cpu", "neuron", "other"]
    """Where the work runs: `cuda` (also AMD's ROCm builds of torch), `cpu`, or what can be planned and compared but
    on which no workload runs (its repeats end as unsupported): `neuron` (AWS Trainium) and `other` (TPU, Gaudi)."""
    accelerator: Accelerator | None = None
    scale_up: ScaleUp | None = None
    scale_out: ScaleOut | None = None
    node: Node = Node()
    rack: Rack | None = None
    storage: dict[Slug, Storage] = {}
    reliability: Reliability | None = None
    ablations: dict[Slug, Ablation] = {}
    """What can be switched off here, by name."""
    ablation: Slug | None = None
    """Which of `ablations` a case runs under; None: everything is on."""
    launcher: Launcher = Launcher()
    prices: Prices = Prices()
    notes: list[str] = []

    @model_validator(mode="after")
    def _divisible(self) -> Target:
        if self.accelerators_per_node and self.accelerators_per_node % self.tasks_per_node:
            each = self.accelerators_per_node
            raise FieldMistake(
                f"accelerators_per_node ({each}) is not divisible by tasks_per_node; "
                "every task must hold equally many accelerators",
                field="tasks_per_node",
                value=self.tasks_per_node,
                allowed=", ".join(str(n) for n in range(1, each + 1) if each % n == 0),
            )
        if self.device != "cpu" and not self.accelerators_per_node:
            raise FieldMistake(
                f"device is {self.device} but accelerators_per_node is 0",
                field="accelerators_per_node",
                value=0,
                allowed="a value >= 1, or device cpu",
            )
        return self

    @model_validator(mode="after")
    def _known_ablation(self) -> Target:
        if self.ablation is not None and self.ablation not in self.ablations:
            raise FieldMistake(
                f"target {self.name} does not say how to run without it",
                field="ablation",
                value=self.ablation,
                allowed=", ".join(["null", *self.ablations]),
            )
        chosen = self.ablations[self.ablation] if self.ablation is not None else None
        if chosen is not None and not self._obeys(chosen):
            here = "CPUs" if self.device == "cpu" else f"accelerators of {self._vendor}"
            raise FieldMistake(
                f"nothing on {here} obeys this ablation, which is for accelerators of {chosen.vendor}",
                field="ablation",
                value=self.ablation,
                allowed=", ".join(["null", *(name for name, way in self.ablations.items() if self._obeys(way))]),
            )
        return self

    @property
    def _vendor(self) -> str | None:
        return self.accelerator.vendor.lower() if self.accelerator is not None else None

    def _obeys(self, ablation: Ablation) -> bool:
        """Whether a library on this target reads the ablation's variables."""
        return ablation.vendor is None or (self.device != "cpu" and self._vendor in (None, ablation.vendor.lower()))

    @property
    def environment(self) -> dict[str, str]:
        """Variables that are set for every rank before torch starts: the launcher's, then those of the ablation."""
        switched_off = self.ablations[self.ablation].environment if self.ablation is not None else {}
        return {**self.launcher.environment, **switched_off}

    @property
    def world_size(self) -> int:
        """Ranks of a case: nodes x tasks_per_node."""
        return self.nodes * self.tasks_per_node

    @property
    def accelerators(self) -> int:
        """Accelerators of a case: nodes x accelerators_per_node."""
        return self.nodes * self.accelerators_per_node
