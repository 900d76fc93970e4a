"""What PCI Express carries, by generation: the one table that every ceiling over it takes."""

from __future__ import annotations

LANES = 16
TRANSFERS = {1: 2.5, 2: 5.0, 3: 8.0, 4: 16.0, 5: 32.0, 6: 64.0}
"""Gigatransfers per second and lane, one bit each way, by generation."""
ENCODING = {1: 8 / 10, 2: 8 / 10, 3: 128 / 130, 4: 128 / 130, 5: 128 / 130, 6: 236 / 256}
"""Bits of data over bits on the lane: 8b/10b, 128b/130b, and of generation 6 the 236 of a flit's 256 bytes that
carry packets (PCI-SIG: PCI Express Base Specification)."""


def pcie_bandwidth(generation: int, lanes: int = LANES) -> float:
    """GB/s one way over `lanes` lanes, after the encoding on the wire, before packet headers.

    Raises KeyError for a generation that is not in TRANSFERS.
    """
    return TRANSFERS[generation] * ENCODING[generation] * lanes / 8
