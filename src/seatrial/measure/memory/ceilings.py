"""What the memory's bandwidth and the way to the host are held against."""

from __future__ import annotations

from seatrial.config.probe import Memory
from seatrial.config.target import Accelerator, Target

PCIE_LANES = 16
PCIE_TRANSFERS = {1: 2.5, 2: 5.0, 3: 8.0, 4: 16.0, 5: 32.0, 6: 64.0}
"""Gigatransfers per second and lane, one bit each way, by generation."""
PCIE_ENCODING = {1: 8 / 10, 2: 8 / 10, 3: 128 / 130, 4: 128 / 130, 5: 128 / 130, 6: 236 / 256}
"""Bits of data over bits on the lane: 8b/10b, 128b/130b, and of generation 6 the 236 of a flit's 256 bytes that
carry packets (PCI-SIG: PCI Express Base Specification)."""


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


def pcie_bandwidth(generation: int, lanes: int = PCIE_LANES) -> float:
    """GB/s one way over `lanes` lanes, after the encoding on the wire, before packet headers."""
    return PCIE_TRANSFERS[generation] * PCIE_ENCODING[generation] * lanes / 8


def _host_link(accelerator: Accelerator, both_ways: bool) -> tuple[float, str] | None:
    """The link to a host processor on the same module where there is one, else PCI Express with 16 lanes."""
    ways, words = (2, "both directions") if both_ways else (1, "one direction")
    own = accelerator.host_link_unidirectional_gbps
    if own is not None and own.value is not None:
        return ways * own.value, f"link of {accelerator.name} to its host, {words}: {own.source}"
    pcie = accelerator.pcie_generation
    if pcie is None or pcie.value is None or int(pcie.value) not in PCIE_TRANSFERS:
        return None
    generation = int(pcie.value)
    return ways * pcie_bandwidth(generation), (
        f"PCI Express {generation} x{PCIE_LANES} (lanes assumed), {words}, without packet headers: {pcie.source}"
    )
