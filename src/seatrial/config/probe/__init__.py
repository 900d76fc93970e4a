"""Parameters of the probes, a file for each."""

from seatrial.config.probe.base import (
    ELEMENT_BYTES,
    AcrossRanks,
    Buffer,
    Dtype,
    Preparation,
    Probe,
    Workload,
)
from seatrial.config.probe.bisection import Bisection
from seatrial.config.probe.checkpoint import Checkpoint
from seatrial.config.probe.collective import Collective
from seatrial.config.probe.dataload import Dataload
from seatrial.config.probe.gemm import Gemm
from seatrial.config.probe.memory import Memory
from seatrial.config.probe.moe_alltoall import MoeAlltoall
from seatrial.config.probe.screen import Screen

__all__ = [
    "ELEMENT_BYTES",
    "AcrossRanks",
    "Bisection",
    "Buffer",
    "Checkpoint",
    "Collective",
    "Dataload",
    "Dtype",
    "Gemm",
    "Memory",
    "MoeAlltoall",
    "Preparation",
    "Probe",
    "Screen",
    "Workload",
]
