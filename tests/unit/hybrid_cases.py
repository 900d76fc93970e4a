"""A hybrid_attention workload small enough for tests, and how to run it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from ranks import bare_environment, free_port

from seatrial.case import Case
from seatrial.errors import MeasurementFailed
from seatrial.measure.context import RankContext
from seatrial.record import Measurement, Record
from seatrial.train.hybrid_attention.run import run


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


PROGRAM = """
import sys
from pathlib import Path
from seatrial.case import Case
from seatrial.measure.session import run_repeat
from seatrial.train.kinds import WORK
what = Case.read(Path(sys.argv[1]))
run_repeat(what, 0, Path(sys.argv[2]), WORK[what.workload.kind])
print(" ".join({"pandas", "hydra", "snakemake", "sklearn", "matplotlib", "transformers"} & set(sys.modules)))
"""


def start_ranks(what: Case, folder: Path, within: float = 120) -> tuple[Record, list[str]]:
    """Run `what` on its ranks as processes; the record, and what each rank said."""
    size, record = what.target.world_size, folder / "records" / "0.json"
    folder.mkdir(parents=True, exist_ok=True)
    what.write(folder / "case.json")
    shared = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder / "case.json"), str(record)],
            env=bare_environment(**shared, RANK=str(rank), LOCAL_RANK=str(rank)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    try:
        said = [p.communicate(timeout=within) for p in processes]
    finally:
        for process in processes:
            process.kill()
    assert [p.returncode for p in processes] == [0] * size, said
    return Record.read(record), [out for out, _ in said]


def run_alone(what: Case, folder: Path, seed: int = 3) -> RankContext:
    """The context of a single rank in this process, after a run that may not have reached its target."""
    folder.mkdir(parents=True, exist_ok=True)
    ctx = RankContext(
        case=what,
        repeat=0,
        seed=seed,
        rank=0,
        local_rank=0,
        world_size=1,
        device=torch.device("cpu"),
        folder=folder,
    )
    with contextlib.suppress(MeasurementFailed):
        run(ctx)
    return ctx


def evaluations(measurements: list[Measurement], metric: str) -> list[float]:
    """The values of a metric by step."""
    found = [m for m in measurements if m.metric == metric]
    return [m.samples[0] for m in sorted(found, key=lambda m: int(m.labels["step"]))]
