"""A hybrid_attention workload small enough for tests."""

from __future__ import annotations

from typing import Any


def retrieval(**more: Any) -> dict[str, Any]:
    content = {
        "sequence_length": 48,
        "pairs": 4,
        "keys": 16,
        "values": 8,
        "far_distance": 24,
        "far_query_rate": 0.05,
        "evaluation_sequences": 10,
        "probe_sequences": 126,
        "probe_far_queries": 4,
    }
    return {**content, **more}


def hybrid(**more: Any) -> dict[str, Any]:
    """Two layers of 16 channels; `more` replaces keys."""
    content: dict[str, Any] = {
        "kind": "hybrid_attention",
        "pattern": ["sliding_window", "full"],
        "window": 8,
        "hidden_size": 16,
        "heads": 2,
        "intermediate_size": 32,
        "retrieval": retrieval(),
        "quality": {"metric": "retrieval_accuracy", "target": 0.95, "direction": "higher"},
        "batch_size": 4,
        "learning_rate": 0.004,
        "max_steps": 6,
        "evaluation_interval_steps": 3,
        "cpu_threads": 1,
    }
    return {**content, **more}
