"""What the memory's bandwidth and the way to the host are held against."""

from __future__ import annotations

from seatrial.config.probe import Memory
from seatrial.config.target import Accelerator, Target
from seatrial.measure.ceilings.pcie import LANES, TRANSFERS, pcie_bandwidth


def ceiling(target: Target, workload: Memory) -> tuple[float, str] | None:
    """GB/s that the target states for one accelerator, with its basis; None on a CPU or where it is not stated."""
    if target.device == "cpu" or target.accelerator is None:
        return None
    if workload.host_copy:
        return _host_link(target.accelerator, both_ways=workload.operation == "bidirectional")
    bandwidth = target.accelerator.memory_bandwidth_gbps
    if bandwidth is None or bandwidth.value is None:
        return None
    return bandwidth.value, f"memory bandwidth of {target.accelerator.name}: {bandwidth.source}"


def _host_link(accelerator: Accelerator, both_ways: bool) -> tuple[float, str] | None:
    """The link to a host processor on the same module where there is one, else PCI Express with 16 lanes."""
    ways, words = (2, "both directions") if both_ways else (1, "one direction")
    own = accelerator.host_link_unidirectional_gbps
    if own is not None and own.value is not None:
        return ways * own.value, f"link of {accelerator.name} to its host, {words}: {own.source}"
    pcie = accelerator.pcie_generation
    if pcie is None or pcie.value is None or int(pcie.value) not in TRANSFERS:
        return None
    generation = int(pcie.value)
    return ways * pcie_bandwidth(generation), (
        f"PCI Express {generation} x{LANES} (lanes assumed), {words}, without packet headers: {pcie.source}"
    )
