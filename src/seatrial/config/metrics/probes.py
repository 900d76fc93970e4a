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
    "bisection.bandwidth": Metric(
        "GB/s",
        "higher",
        "bytes that cross from one half to the other, in one direction while as many go back, over the time of the "
        "slowest rank",
    ),
    "bisection.pair_bandwidth": Metric(
        "GB/s", "higher", "bytes of a pair in one direction, while as many go back, over the time of its exchange"
    ),
    "bisection.pair_time": Metric(
        "s", "lower", "time of one exchange of a pair in both directions, the maximum over its ranks"
    ),
}
