"""What a matrix product is held against."""

from __future__ import annotations

from seatrial.config.probe import Gemm
from seatrial.config.target import Target


def ceiling(target: Target, workload: Gemm) -> tuple[float, str] | None:
    """The dense peak of one accelerator in TFLOP/s with its basis; None where the target does not state it."""
    if target.device == "cpu" or target.accelerator is None:
        return None
    peak = target.accelerator.peak_tflops.get(workload.dtype)
    if peak is None or peak.value is None:
        return None
    return peak.value, f"dense {workload.dtype} peak of {target.accelerator.name}: {peak.source}"
