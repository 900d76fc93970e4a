"""Published models by their shape, and a small procurement, for the tests."""

from __future__ import annotations

from typing import Any

from seatrial.config.model_shape import Model
from seatrial.config.procurement import Training

DEEPSEEK_V3 = {
    "layers": 61,
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "vocabulary": 129280,
    "attention": {
        "kind": "latent",
        "heads": 128,
        "query_rank": 1536,
        "key_value_rank": 512,
        "plain_size": 128,
        "rotary_size": 64,
        "value_size": 128,
    },
    "experts": {"experts": 256, "top_k": 8, "hidden_size": 2048, "shared": 1, "dense_layers": 3},
}
LLAMA_3_70B = {
    "layers": 80,
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "vocabulary": 128256,
    "attention": {"kind": "grouped", "heads": 64, "key_value_heads": 8, "head_size": 128},
}
LLAMA_3_8B = {
    "layers": 32,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "vocabulary": 128256,
    "attention": {"kind": "grouped", "heads": 32, "key_value_heads": 8, "head_size": 128},
}
QWEN_3_235B = {
    "layers": 94,
    "hidden_size": 4096,
    "vocabulary": 151936,
    "attention": {"kind": "grouped", "heads": 64, "key_value_heads": 4, "head_size": 128},
    "experts": {"experts": 128, "top_k": 8, "hidden_size": 1536},
}
MIXTURE = {
    "layers": 48,
    "hidden_size": 4096,
    "vocabulary": 128256,
    "attention": {"kind": "grouped", "heads": 32, "key_value_heads": 8, "head_size": 128},
    "experts": {"experts": 64, "top_k": 8, "hidden_size": 1792},
}


def model(shape: dict[str, Any]) -> Model:
    return Model.model_validate(shape)


def training(shape: dict[str, Any], length: int = 4096, tokens: int = 4096 * 1024, **more: Any) -> Training:
    content = {"description": "a model", "model": shape, "sequence_length": length, "tokens_per_step": tokens}
    return Training.model_validate(content | more)


def fact(value: float | None) -> dict[str, Any]:
    return {"value": value, "source": "data sheet"}


def stated(value: float, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"value": value, "as_of": "2026-11", "source": "a source"}
    return found if low is None else found | {"low": low, "high": high}


def cluster(**more: Any) -> dict[str, Any]:
    """Nodes of 8 accelerators of 800 TFLOPS with 50 GB/s each to other nodes."""
    return {
        "name": "cluster",
        "description": "a cluster",
        "nodes": 1,
        "accelerators_per_node": 8,
        "tasks_per_node": 8,
        "device": "cuda",
        "accelerator": {
            "name": "A",
            "vendor": "nvidia",
            "peak_tflops": {"bfloat16": fact(1000)},
            "achievable_tflops": {"bfloat16": fact(800)},
            "memory_gb": fact(80),
            "memory_bandwidth_gbps": fact(3000),
        },
        "scale_up": {"name": "links", "unidirectional_gbps": fact(450), "bidirectional_gbps": fact(900)},
        "scale_out": {"name": "network", "gbit_per_accelerator": fact(400)},
        "storage": {"scratch": {"name": "scratch", "write_gbps": fact(20)}},
        "reliability": {"accelerator_hours_between_failures": fact(50_700)},
        **more,
    }


def procurement(**more: Any) -> dict[str, Any]:
    """64 experts on 64 devices of 256; what `more` names takes the place of what is here."""
    layout = {"experts": 64, "data_parallel": "sharded", "dispatch_bytes": 1}
    planned = {
        "description": "70B mixture",
        "model": MIXTURE,
        "sequence_length": 4096,
        "tokens_per_step": 4096 * 1024,
        "layout": layout,
    }
    return {
        "planned": planned,
        "hidden": stated(0.8, 0.5, 1.0),
        "saving": {"bytes_per_parameter": stated(14)},
        "proposals": {"dense": {"target": cluster(), "nodes": 32}},
        **more,
    }
