"""Parameters of the probe collective."""

from __future__ import annotations

from typing import Literal

from seatrial.config.probe.base import AcrossRanks, Buffer


class Collective(Buffer, AcrossRanks):
    """A collective over all ranks. `size_bytes` as nccl-tests counts it: the buffer per rank for all_reduce."""

    kind: Literal["collective"]
    operation: Literal["all_reduce"]
