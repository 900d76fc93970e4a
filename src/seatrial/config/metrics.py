"""Every metric that a record can hold: its unit and which direction is better. Labels carry the dimensions."""

from __future__ import annotations

from typing import Literal, NamedTuple

Direction = Literal["higher", "lower"]


class Metric(NamedTuple):
    """Unit, better direction and meaning of a metric."""

    unit: str
    direction: Direction
    meaning: str


METRICS: dict[str, Metric] = {
    "gemm.throughput": Metric("TFLOP/s", "higher", "2mnk floating-point operations over the time of one product"),
    "memory.bandwidth": Metric("GB/s", "higher", "bytes read and written over the time of one pass"),
    "collective.time": Metric("s", "lower", "time of one collective, the maximum over ranks"),
    "collective.algorithm_bandwidth": Metric("GB/s", "higher", "size over time (algbw of nccl-tests)"),
    "collective.bus_bandwidth": Metric(
        "GB/s", "higher", "algorithm bandwidth times the operation's factor (busbw)"
    ),
    "train.time_to_quality": Metric(
        "min", "lower", "training time at the interpolated crossing of the quality target"
    ),
    "train.time_to_evaluation": Metric(
        "min", "lower", "training time at the first evaluation that meets the quality target"
    ),
    "train.samples_to_quality": Metric("samples", "lower", "training sequences at the interpolated crossing"),
    "train.throughput": Metric("tokens/s", "higher", "training tokens of all ranks over training time"),
    "train.step_time": Metric("s", "lower", "time of one optimiser step, the maximum over ranks"),
    "train.evaluation_loss": Metric("nats/token", "lower", "mean loss on the evaluation set"),
    "train.evaluation_time": Metric("s", "lower", "time of one evaluation, outside the training clock"),
    "train.checkpoint_time": Metric("s", "lower", "time of one checkpoint, outside the training clock"),
}
