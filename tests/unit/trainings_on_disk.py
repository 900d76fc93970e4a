"""Made-up trainings of every kind for the tests of tables and page: what is declared, and what a run leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from study_on_disk import FINETUNE, training_measurements

from seatrial.record import Measurement, measurement

TEXT = {"source": "stdlib", "modules": ["copy", "heapq"], "evaluation_modules": ["queue"]}
MOE: dict[str, Any] = {
    "kind": "moe",
    "dataset": TEXT,
    "layers": 2,
    "hidden_size": 16,
    "heads": 4,
    "key_value_heads": 2,
    "head_size": 4,
    "experts": 4,
    "top_k": 2,
    "expert_size": 8,
    "balancing": {"method": "none"},
    "quality": {"metric": "evaluation_loss", "target": 1.5},
    "sequence_length": 12,
    "evaluation_sequences": 6,
    "batch_size": 4,
    "learning_rate": 0.01,
    "max_steps": 40,
    "evaluation_interval_steps": 10,
}
DIFFUSION: dict[str, Any] = {
    "kind": "diffusion",
    "objective": "flow_matching",
    "model": {"architecture": "mlp", "hidden_size": 32, "blocks": 2},
    "dataset": {"source": "prepared_digits", "name": "tiny", "held_out": 600, "features": 16},
    "quality": {"metric": "frechet_distance", "target": 2.5},
    "evaluation_samples": 100,
    "sampling_steps": 5,
    "batch_size": 32,
    "learning_rate": 0.001,
    "max_steps": 40,
    "evaluation_interval_steps": 10,
    "checkpoint_interval_steps": 10,
}
HYBRID: dict[str, Any] = {
    "kind": "hybrid_attention",
    "pattern": ["sliding_window", "full"],
    "window": 8,
    "hidden_size": 16,
    "heads": 2,
    "intermediate_size": 16,
    "retrieval": {
        "sequence_length": 48,
        "pairs": 4,
        "keys": 16,
        "values": 8,
        "far_distance": 24,
        "far_query_rate": 0.05,
        "evaluation_sequences": 10,
        "probe_sequences": 126,
        "probe_far_queries": 4,
    },
    "quality": {"metric": "retrieval_accuracy", "target": 0.95, "direction": "higher"},
    "batch_size": 4,
    "learning_rate": 0.004,
    "max_steps": 40,
    "evaluation_interval_steps": 10,
}
EXTERNAL: dict[str, Any] = {"kind": "external", "command": ["train"], "format": "torchtitan"}
GOAL = {"metric": "evaluation_loss", "target": 2.0, "direction": "lower"}
ALL = {"finetune": FINETUNE, "moe": MOE, "diffusion": DIFFUSION, "retrieval": HYBRID, "command": EXTERNAL}
TWO_RANKS = {
    "name": "laptop",
    "description": "a laptop",
    "nodes": 1,
    "accelerators_per_node": 0,
    "tasks_per_node": 2,
    "device": "cpu",
}
H100S = {
    "name": "h100x2",
    "description": "two H100",
    "nodes": 1,
    "accelerators_per_node": 2,
    "tasks_per_node": 2,
    "device": "cuda",
    "accelerator": {"name": "H100", "vendor": "NVIDIA", "family": "H100-SXM"},
}


def split(
    compute: Sequence[float],
    communication: Sequence[float] = (0.0,),
    data: Sequence[float] = (0.0,),
    other: Sequence[float] = (0.0,),
    stalls: Sequence[float] = (),
) -> list[Measurement]:
    """Seconds of each step by phase (a single value is every step's), the stalls, and the productive fraction."""
    parts = {"compute": compute, "exposed_communication": communication, "data_wait": data, "other": other}
    series = {n: list(v) * (len(compute) if len(v) == 1 else 1) for n, v in parts.items()}
    found = [measurement(f"train.{name}_time", values) for name, values in series.items()]
    if stalls:
        found.append(measurement("train.checkpoint_stall_time", stalls))
    whole = sum(sum(values) for values in series.values()) + sum(stalls)
    return [*found, measurement("train.productive_fraction", [sum(series["compute"]) / whole])]


def ranks(*times: float) -> list[Measurement]:
    """Each rank's own time of a step."""
    return [measurement("train.rank_time", [value], {"rank": rank}) for rank, value in enumerate(times)]


def evaluations(metric: str, values: Mapping[int, float]) -> list[Measurement]:
    """A quality by step."""
    return [measurement(f"train.{metric}", [value], {"step": step}) for step, value in values.items()]


def routed(imbalance: float, share: float | None = None, dropped: float | None = None) -> list[Measurement]:
    """Routing of two layers over two stretches."""
    found = []
    for layer in (0, 1):
        for step in (10, 20):
            place = {"layer": layer, "step": step}
            for over, factor in (("step", 1.0), ("stretch", 0.5)):
                where = {**place, "over": over}
                found.append(measurement("train.expert_imbalance", [imbalance * factor + layer], where))
                found.append(measurement("train.expert_gini", [0.2 * factor], where))
            if share is not None:
                found.append(measurement("train.rank_imbalance", [1.25], {**place, "over": "step"}))
            if dropped is not None:
                found.append(measurement("train.tokens_dropped", [dropped], place))
    return found + ([] if share is None else [measurement("train.all_to_all_share", [share, share])])


def energy(joules: Mapping[str, float], rank: int = 0, scope: str = "training") -> list[Measurement]:
    """Energy by device, as one rank reads it."""
    return [
        measurement("telemetry.energy", [value], {"device": device, "rank": rank, "scope": scope})
        for device, value in joules.items()
    ]


def in_samples(minutes: float) -> list[Measurement]:
    """What a training without tokens leaves that met its target after `minutes`."""
    found = [m for m in training_measurements(minutes) if m.metric != "train.throughput"]
    return [*found, measurement("train.sample_throughput", [250.0])]
