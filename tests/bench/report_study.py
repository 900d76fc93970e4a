"""Studies of many records for the benchmark of tables and page: real cases and records with made-up numbers."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from measure import ROOT

sys.path.insert(0, str(ROOT / "tests" / "unit"))
from study_on_disk import COLLECTIVE, FINETUNE, GEMM, StudyOnDisk, crossing, training_measurements

from seatrial.case import Case
from seatrial.record import Measurement, measurement

SEED = 20261123
ITERATIONS = 20
STEPS = 100
READINGS = 12
PROBED = ("float32", "bfloat16")
OPERATIONS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "send_recv")
SWEEP = {"smallest": 8, "largest": 2**30}
MEMORY = {"kind": "memory", "operation": "triad", "dtype": "float32"}
SENSORS = {
    "power": 620.0,
    "sm_clock": 1900.0,
    "memory_clock": 3900.0,
    "utilisation": 97.0,
    "memory_activity": 45.0,
    "sm_utilisation": 80.0,
    "tensor_utilisation": 38.0,
    "memory_bandwidth_utilisation": 41.0,
    "memory_used": 150.0,
    "temperature": 61.0,
    "process_utilisation": 101.0,
    "process_memory": 9.0,
}
THROTTLED_BY = ("power_cap", "thermal", "hardware")
PROVENANCE: dict[str, Any] = {
    "kernel": "6.8.0-45-generic",
    "cpu": "Intel(R) Xeon(R) Platinum 8570",
    "driver": {"nvidia": "570.86.15", "cuda": "12.8"},
    "devices": ["NVIDIA B200"],
    "versions": {"torch": "2.13.0", "nccl": "2.28.9", "python": "3.11.9", "seatrial": "0.1"},
    "git": {"commit": "0" * 40, "dirty": False},
    "environment": {"NCCL_DEBUG": "WARN", "OMP_NUM_THREADS": "1"},
}


@dataclass(frozen=True)
class Mix:
    """How large a cluster is, and how many cases of each kind a study has; every case has `repeats`."""

    nodes: int
    repeats: int
    products: int
    memory: int
    sweeps: int
    collectives: int
    trainings: int
    evaluations: int = 40

    @property
    def ranks(self) -> int:
        return 8 * self.nodes

    @property
    def records(self) -> int:
        kinds = (self.products, self.memory, self.sweeps, self.collectives, self.trainings)
        return self.repeats * sum(kinds)


MANY_ROWS = Mix(nodes=16, repeats=5, products=30, memory=8, sweeps=36, collectives=0, trainings=82)
"""A cluster of 128 accelerators: what every rank and sensor says of trainings is most of the rows."""
MANY_RECORDS = Mix(nodes=1, repeats=5, products=700, memory=300, sweeps=0, collectives=900, trainings=100)
"""One node, and 10,000 short repeats on it."""


def write_study(folder: Path, mix: Mix) -> int:
    """Write the study into `folder`; how many measurements its records hold. The same mix gives the same files."""
    study = StudyOnDisk(folder, name="bench", title="A study for the benchmark", target=_target(mix))
    draw = np.random.default_rng(SEED)
    cases, rows = _cases(study, mix), 0
    study.criterion("products", "gemm.throughput", at_least=1000.0, where={"m": 64})
    if mix.sweeps:
        study.criterion("fabric", "collective.bus_bandwidth", at_least=300.0, where={"size_bytes": 2**30})
    for case in cases:
        for repeat in range(case.repeats):
            found = list(_measured(case, mix, draw))
            hosts = [f"node{rank // 8:03}" for rank in range(mix.ranks)]
            slurm = {"SLURM_JOB_ID": f"{case.case_id[:6]}{repeat}"}
            words = {"quality": crossing(20.0)} if case.workload.kind == "llm_finetune" else {}
            study.record(case, repeat, *found, provenance={**PROVENANCE, "hosts": hosts, "slurm": slurm}, **words)
            rows += len(found)
    return rows


def _target(mix: Mix) -> dict[str, Any]:
    return {
        "name": "b200",
        "description": "B200 systems",
        "nodes": mix.nodes,
        "accelerators_per_node": 8,
        "tasks_per_node": 8,
        "device": "cuda",
        "accelerator": {"name": "B200", "vendor": "NVIDIA", "family": "B200"},
    }


def _cases(study: StudyOnDisk, mix: Mix) -> list[Case]:
    """All cases, planned together."""
    shapes = [64 * (1 + number) for number in range(max(mix.products, mix.memory, 1))]
    swept = [(op, dtype, n) for n, op, dtype in product(range(20, 200), OPERATIONS, PROBED)]
    sized = [(op, dtype, 4096 * n) for n, op, dtype in product(range(1, 200), OPERATIONS, PROBED)]
    axes: list[tuple[str, dict[str, Any], dict[str, Sequence[Any]]]] = [
        ("products", GEMM, {"workload.m": shapes[: mix.products]}),
        ("memory", MEMORY, {"workload.size_bytes": [2**20 * n for n in shapes[: mix.memory]]}),
        ("sweeps", {**COLLECTIVE, "size_bytes": None, "sizes": SWEEP}, _axes(swept[: mix.sweeps], "iterations")),
        ("collectives", COLLECTIVE, _axes(sized[: mix.collectives], "size_bytes")),
        ("finetune", FINETUNE, {"workload.batch_size": list(range(1, mix.trainings + 1))}),
    ]
    planned = [
        study.experiment(name, workload, mix.repeats, points)
        for name, workload, points in axes
        if all(len(values) for values in points.values())
    ]
    return [case for cases in planned for case in cases]


def _axes(points: Sequence[tuple[str, str, int]], third: str) -> dict[str, Sequence[Any]]:
    names = ("workload.operation", "workload.dtype", f"workload.{third}")
    return dict(zip(names, zip(*points, strict=True), strict=True)) if points else {names[0]: []}


def _measured(case: Case, mix: Mix, draw: np.random.Generator) -> Iterator[Measurement]:
    work = case.workload
    if work.kind == "gemm":
        shape = {"dtype": work.dtype, "m": work.m, "n": work.n, "k": work.k}
        for rank in range(mix.ranks):
            yield _of("gemm.throughput", _around(draw, 1400.0), {**shape, **_device(rank)}, 2250.0)
    elif work.kind == "memory":
        for rank in range(mix.ranks):
            labels = {"operation": "triad", "dtype": "float32", "size_bytes": work.size_bytes, **_device(rank)}
            yield _of("memory.bandwidth", _around(draw, 6500.0), labels, 8000.0)
    elif work.kind == "collective":
        for size in work.real_sizes(mix.ranks):
            yield from _collective(work, size, mix.ranks, draw)
    else:
        yield from _training(mix, draw)


def _collective(work: Any, size: int, ranks: int, draw: np.random.Generator) -> Iterator[Measurement]:
    seconds = _around(draw, 2e-5 + size / 350e9)
    labels = {
        "operation": work.operation, "dtype": work.dtype, "size_bytes": size, "ranks": ranks, "backend": "nccl",
        "implementation": "nccl_tests",
    }  # fmt: skip
    rates = [size / second / 1e9 for second in seconds]
    yield _of("collective.time", seconds, labels)
    yield _of("collective.algorithm_bandwidth", rates, labels)
    yield _of("collective.bus_bandwidth", [1.9 * rate for rate in rates], labels, 900.0)
    yield _of("collective.wire_bandwidth", [0.2 * rate for rate in rates], labels, 50.0)


def _training(mix: Mix, draw: np.random.Generator) -> Iterator[Measurement]:
    yield from training_measurements(float(20 * (1 + 0.03 * draw.standard_normal())))
    for number in range(mix.evaluations):
        loss = 2.4 + 1.5 * np.exp(-number / 10) + 0.01 * draw.standard_normal()
        yield _of("train.evaluation_loss", [float(loss)], {"step": 10 * number})
        yield _of("train.training_loss", [float(loss) - 0.1], {"step": 10 * number})
    yield _of("train.step_time", _around(draw, 0.4, STEPS), {})
    for rank in range(mix.ranks):
        yield _of("train.rank_time", _around(draw, 0.38, STEPS), {"rank": rank})
        device = _device(rank)
        for name, middle in SENSORS.items():
            yield _of(f"telemetry.{name}", _around(draw, middle, READINGS), device)
        for reason in THROTTLED_BY:
            yield _of("telemetry.throttled", [float(draw.random() < 0.1)], {**device, "reason": reason})
        for scope in ("run", "training"):
            yield _of("telemetry.energy", _around(draw, 5e5, 1), {**device, "scope": scope})


def _device(rank: int) -> dict[str, Any]:
    return {"rank": rank, "device": f"cuda:{rank % 8}"}


def _around(draw: np.random.Generator, middle: float, n: int = ITERATIONS) -> list[float]:
    return [float(value) for value in middle * np.exp(0.02 * draw.standard_normal(n))]


def _of(metric: str, samples: Sequence[float], labels: dict[str, Any], ceiling: float | None = None) -> Measurement:
    return measurement(metric, samples, labels, ceiling, None if ceiling is None else "declared of the target")
