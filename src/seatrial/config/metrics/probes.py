"""What the probes measure."""

from __future__ import annotations

from seatrial.config.metrics.metric import Metric

PROBES: dict[str, Metric] = {
    "gemm.throughput": Metric("TFLOP/s", "higher", "2mnk floating-point operations over the time of one product"),
    "memory.bandwidth": Metric("GB/s", "higher", "bytes read and written over the time of one pass"),
    "collective.time": Metric("s", "lower", "time of one collective, the maximum over ranks"),
    "collective.algorithm_bandwidth": Metric("GB/s", "higher", "size over time (algbw of nccl-tests)"),
    "collective.bus_bandwidth": Metric(
        "GB/s", "higher", "algorithm bandwidth times the operation's factor (busbw)"
    ),
}
