"""A made-up fabric: studies of bisection whose pairs have the bandwidths that a test gives them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from study_on_disk import StudyOnDisk

from seatrial.measure.bisection.run import add_step, plan_steps
from seatrial.measure.context import RankContext
from seatrial.measure.topology import Topology
from seatrial.paths import StudyPaths

SIZE = 1 << 20
LINE_RATE = 1.0
"""GB/s one way of each host."""


def fabric(hosts: int, per_host: int = 1, **more: Any) -> dict[str, Any]:
    """A target of `hosts` with an ethernet of LINE_RATE each."""
    network = {"name": "ethernet", "gbit_per_node": {"value": 8 * LINE_RATE, "source": "made up"}, **more}
    return {
        "name": "made_up",
        "description": "made up",
        "nodes": hosts,
        "accelerators_per_node": 0,
        "tasks_per_node": per_host,
        "device": "cpu",
        "scale_out": network,
    }


def measured_study(
    folder: Path,
    hosts: int,
    speed: Callable[[str, str], float],
    *,
    per_host: int = 1,
    noise: float = 0.05,
    repeats: int = 1,
    topology: Topology | None = None,
    network: dict[str, Any] | None = None,
    **workload: Any,
) -> StudyPaths:
    """A study of one case, analysed. A pair of hosts reaches 0.9 LINE_RATE x `speed`, with noise."""
    study = StudyOnDisk(folder, target=fabric(hosts, per_host, **(network or {})))
    content = {"kind": "bisection", "size_bytes": SIZE, "pairwise": ["rounds", "alone"], **workload}
    (case,) = study.experiment("fabric", content, repeats)
    source = np.random.default_rng(7)
    of_rank = [f"node{host + 1}" for host in range(hosts) for _ in range(per_host)]
    for repeat in range(repeats):
        ctx = RankContext(case, repeat, case.seed(repeat), 0, 0, len(of_rank), torch.device("cpu"), folder)
        left_out: dict[str, str] = {}
        for step in plan_steps(case.workload, of_rank, ctx.seed, topology, left_out):  # type: ignore[arg-type]
            seconds = [[0.0] * 10 for _ in of_rank]
            for pair in step.matching.pairs:
                rate = 0.9 * LINE_RATE * speed(pair.first.host, pair.second.host) * source.lognormal(0, noise)
                for a, b in pair.ranks:
                    seconds[a] = [
                        len(pair.ranks) * SIZE / 1e9 / rate * source.lognormal(0, 0.03) for _ in range(10)
                    ]
                    seconds[b] = [0.9 * t for t in seconds[a]]
            add_step(ctx, case.workload, step, seconds)  # type: ignore[arg-type]
        study.record(case, repeat, *ctx.measurements, provenance={"bisection": {"left_out": left_out}})
    return study.analyse()
