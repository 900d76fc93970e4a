"""Targets whose links are declared, for the tests of the ceilings."""

from __future__ import annotations

from typing import Any

from ranks import target

from seatrial.config.target import Target
from seatrial.measure.ceilings import collective_ceiling


def fact(value: float | None) -> dict[str, Any]:
    return {"value": value, "source": "data sheet"}


def accelerated(nodes: int = 1, per_node: int = 8, **more: Any) -> Target:
    content = {
        "nodes": nodes,
        "device": "cuda",
        "accelerators_per_node": per_node,
        "accelerator": {
            "name": "B200",
            "vendor": "nvidia",
            "peak_tflops": {"bfloat16": fact(2250), "float16": fact(None)},
            "memory_bandwidth_gbps": fact(8000),
            "pcie_generation": fact(5),
        },
        "scale_up": {"name": "NVLink5", "unidirectional_gbps": fact(900), "bidirectional_gbps": fact(1800)},
        "scale_out": {"name": "EFA", "gbit_per_accelerator": fact(400)},
        **more,
    }
    return target(per_node, **content)


def h100(**more: Any) -> Target:
    """8 H100 behind NVSwitch, whose links carry 450 GB/s one way."""
    links = {"name": "NVLink4", "unidirectional_gbps": fact(450), "bidirectional_gbps": fact(900), **more}
    return accelerated(scale_up=links)


def without(of: Target, *features: str, **environment: str) -> Target:
    """The same target with features switched off."""
    off = {"description": "x", "environment": environment or {"X": "1"}, "without": list(features)}
    return Target.model_validate({**of.model_dump(), "ablations": {"off": off}, "ablation": "off"})


def bound(of: Target, operation: str = "all_reduce") -> float:
    found = collective_ceiling(of, operation)
    assert found is not None
    return found[0]


def cluster(nodes: int = 4, ranks: int = 1, gbit: float = 8, **more: Any) -> Target:
    """A cluster of CPUs whose links are declared."""
    return target(ranks, nodes=nodes, scale_out={"name": "veth", "gbit_per_node": fact(gbit), **more})
