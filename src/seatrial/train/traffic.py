"""Bytes that expert parallelism and checkpoints are expected to move, and when a checkpoint is worth its time."""

from __future__ import annotations

import math
from typing import Literal

CheckpointContent = Literal["weights", "bfloat16_adam", "float32_adam", "mixed_adam", "mixed_adam_gradients"]

CHECKPOINT_BYTES_PER_PARAMETER: dict[CheckpointContent, int] = {
    "weights": 2,  # bfloat16 weights alone
    "bfloat16_adam": 8,  # bfloat16 optimiser states (torchtitan docs/bf16_optimizer_states.md)
    "float32_adam": 12,  # float32 weights and two moments
    "mixed_adam": 14,  # bfloat16 weights beside float32 weights and moments (MLPerf Storage's sizes)
    "mixed_adam_gradients": 18,  # and float32 gradients
}
HOURS_PER_FAILURE = 50_700.0
"""Accelerator-hours per unexpected interruption: 419 in 54 days on 16,384 H100 (Llama 3, arXiv 2407.21783)."""
INDEX_AND_WEIGHT_BYTES = 8
"""What travels beside every routed copy of a token: expert's index and weight, 4 bytes each."""
FP8_SCALE_BLOCK = 128
"""Elements that share one 4-byte scale in an FP8 dispatch."""


def naive_dispatch_bytes(tokens: int, top_k: int, hidden: int, bytes_per_element: float, ranks: int) -> float:
    """Bytes that one rank sends for its `tokens` where each of the k copies travels: T k h b (1 - 1/n)."""
    return tokens * top_k * hidden * bytes_per_element * (1 - 1 / ranks)


def node_deduplicated_bytes(tokens: int, remote_nodes: float, hidden: int, bytes_per_element: float) -> float:
    """Bytes that leave a rank's node where a token travels once to each of its distinct remote nodes."""
    return tokens * remote_nodes * hidden * bytes_per_element


def dispatch_metadata_bytes(tokens: int, top_k: int, hidden: int = 0, fp8: bool = False) -> float:
    """Bytes beside the activations: index and weight of each copy, and the scales of an FP8 dispatch."""
    scales = tokens * hidden / FP8_SCALE_BLOCK * 4 if fp8 else 0
    return tokens * top_k * INDEX_AND_WEIGHT_BYTES + scales


def expected_distinct_nodes(experts: int, top_k: int, nodes: int) -> float:
    """Nodes that a token's k distinct experts lie on under uniform routing: M (1 - C(E - E/M, k) / C(E, k)).

    Raises ValueError where the experts do not divide evenly among the nodes or k exceeds them.
    """
    if nodes < 1 or experts % nodes:
        raise ValueError(f"{experts} experts do not divide evenly among {nodes} nodes")
    if not 1 <= top_k <= experts:
        raise ValueError(f"top_k is {top_k}; allowed: 1 to {experts} (experts)")
    missed = math.comb(experts - experts // nodes, top_k) / math.comb(experts, top_k)
    return nodes * (1 - missed)


def checkpoint_bytes(parameters: int, content: CheckpointContent = "mixed_adam") -> int:
    """Bytes of a checkpoint of `parameters` trained parameters."""
    return parameters * CHECKPOINT_BYTES_PER_PARAMETER[content]


def mean_hours_between_failures(accelerators: int) -> float:
    """Mean time between unexpected interruptions of a job on `accelerators`, in hours."""
    return HOURS_PER_FAILURE / accelerators


def young_interval(write_seconds: float, failure_seconds: float) -> float:
    """Seconds between checkpoints that waste least: sqrt(2 C mu) (Young 1974)."""
    return math.sqrt(2 * write_seconds * failure_seconds)


def daly_interval(write_seconds: float, failure_seconds: float) -> float:
    """Young's interval with Daly's (2006) higher orders, in seconds; the mean time to failure where C >= 2 mu."""
    ratio = write_seconds / (2 * failure_seconds)
    if ratio >= 1:
        return failure_seconds
    return young_interval(write_seconds, failure_seconds) * (1 + math.sqrt(ratio) / 3 + ratio / 9) - write_seconds


def checkpoint_waste(
    write_seconds: float, interval_seconds: float, failure_seconds: float, restart_seconds: float = 0.0
) -> float:
    """Fraction of time lost to writing, to work done twice and to restarts: C/tau + tau/(2 mu) + R/mu."""
    redone = interval_seconds / (2 * failure_seconds)
    return write_seconds / interval_seconds + redone + restart_seconds / failure_seconds
