"""Made-up machines and clusters for the tests of `seatrial doctor`."""

from __future__ import annotations

from typing import Any

from seatrial.config.target import Target
from seatrial.doctor.facts import NodeFacts
from seatrial.doctor.limits import Limits
from seatrial.doctor.machine import machine_checks
from seatrial.doctor.needs import Needs, Request


def machine(**facts: Any) -> NodeFacts:
    """A machine on which all is well, but for what is said."""
    usual: dict[str, Any] = {
        "host": "n1",
        "python": "3.11.7",
        "seatrial": "0.1.0",
        "at": 1000.0,
        "locked_memory": None,
        "open_files": None,
        "shared_memory": 2**34,
        "clock_synchronised": True,
        "clock_saw": "chronyc: Normal",
        "driver": None,
    }
    return NodeFacts(**{**usual, **facts})


def cluster_targets() -> tuple[Target, ...]:
    """Two nodes of eight H100."""
    return (
        Target.model_validate(
            {
                "name": "h100",
                "description": "two nodes of eight H100",
                "nodes": 2,
                "accelerators_per_node": 8,
                "tasks_per_node": 8,
                "device": "cuda",
                "accelerator": {"name": "H100 SXM", "vendor": "NVIDIA", "device_names": ["NVIDIA H100 80GB HBM3"]},
                "scale_out": {"name": "8x NDR", "gbit_per_node": {"value": 3200, "source": "its data sheet"}},
            }
        ),
    )


def request(**words: Any) -> Request:
    """What a job of two small nodes asks for, but for what is said."""
    usual = {"nodes": 2, "tasks_per_node": 2, "cpus_per_task": 1, "mem_mb": 1000, "gres": "gpu:2", "runtime": 10}
    return Request(tuple({**usual, **words}.items()), 1, "experiment reduce")


def standing(facts: NodeFacts, name: str, needs: Needs | None = None, limits: Limits | None = None) -> str:
    """How the check of this name stands for the machine."""
    (check,) = [c for c in machine_checks(facts, needs or Needs(), limits or Limits()) if c.name == name]
    return check.standing
