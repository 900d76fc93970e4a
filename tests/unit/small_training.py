"""A training that takes milliseconds a step, for tests of what surrounds the model: points to be told apart.

It runs through `seatrial.train.run.train` as every workload does; `PROGRAM` starts it as a launcher would.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ranks import bare_environment, case, free_port

from seatrial.case import Case
from seatrial.config.training import Training
from seatrial.measure.context import RankContext
from seatrial.record import Measurement
from seatrial.train.flops import FlopCount
from seatrial.train.layout import Layout
from seatrial.train.run import train
from seatrial.train.sharding import shard

WIDTH = 32
Change = Callable[["Points", RankContext], None]
"""Changes an objective before it trains (makes something slow, wrong or big)."""


class Points:
    """Rows of WIDTH numbers whose class is the sign of a fixed projection; two hidden layers with dropout."""

    tokens_per_sample: int | None = None

    def __init__(self, layout: Layout, dropout: float = 0.1) -> None:
        self.layout = layout
        generator = torch.Generator().manual_seed(5)
        self._rows = torch.randn(512, WIDTH, generator=generator)
        self._classes = (self._rows @ torch.randn(WIDTH, generator=generator) > 0).long()
        self.samples, self.evaluation_samples = 384, 128
        layers = [torch.nn.Linear(WIDTH, WIDTH), torch.nn.Dropout(dropout), torch.nn.Linear(WIDTH, WIDTH)]
        self.model: torch.nn.Module = torch.nn.Sequential(*layers, torch.nn.ReLU(), torch.nn.Linear(WIDTH, 2))
        layout.ranks.same_parameters(self.model.parameters())
        shard(self.model, [self.model[0], self.model[2]], layout)
        self.updates = torch.zeros(())

    def fetch(self, positions: torch.Tensor) -> Any:
        return self._rows[positions], self._classes[positions]

    def loss(self, batch: Any) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(self.model(batch[0]), batch[1])

    def evaluate(self) -> dict[str, float]:
        rows, classes = self._rows[384:], self._classes[384:]
        loss = torch.nn.functional.cross_entropy(self.model(rows), classes)
        total, count = self.layout.data_total([float(loss), 1.0])
        return {"evaluation_loss": total / count}

    def after_update(self, step: int) -> None:
        self.updates += 1

    def measurements(self) -> list[Measurement]:
        return []

    def state(self) -> dict[str, torch.Tensor]:
        return {"updates": self.updates}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        self.updates = state["updates"]

    def log_parameters(self) -> dict[str, object]:
        return {}

    def flops_per_sample(self) -> FlopCount | None:
        return FlopCount(1_000_000, 1_000_000, "made up")


def workload(**more: Any) -> dict[str, Any]:
    """Reaches 0.3 after some 40 steps; `more` replaces keys."""
    content: dict[str, Any] = {
        "kind": "llm_finetune",
        "model": {"source": "pretrained", "name": "none"},
        "dataset": {"source": "stdlib", "modules": ["copy", "heapq"], "evaluation_modules": ["bisect"]},
        "lora": {"rank": 4, "alpha": 8.0, "target_modules": ["q_proj"]},
        "sequence_length": 32,
        "batch_size": 16,
        "learning_rate": 0.003,
        "max_steps": 80,
        "evaluation_interval_steps": 10,
        "evaluation_sequences": 16,
        "quality": {"metric": "evaluation_loss", "target": 0.3},
        "telemetry_interval_seconds": None,
    }
    return {**content, **more}


def run(ctx: RankContext, change: Change | None = None) -> Points:
    """Train on this rank; the objective afterwards."""
    made: list[Points] = []

    def build(ctx: RankContext, layout: Layout) -> Points:
        made.append(Points(layout))
        if change is not None:
            change(made[0], ctx)
        return made[0]

    what = ctx.case.workload
    assert isinstance(what, Training)
    train(ctx, what, build)
    return made[0]


def alone(what: Case, folder: Path, seed: int = 3) -> RankContext:
    """A single rank of `what` on the CPU."""
    return RankContext(
        case=what, repeat=0, seed=seed, rank=0, local_rank=0, world_size=1, device=torch.device("cpu"),
        folder=folder,
    )  # fmt: skip


def start(what: Case, folder: Path, change: str = "as_it_is", **more: str) -> list[subprocess.Popen[str]]:
    """Start `what` on all its ranks, the record at folder/records/0.json; `change`: of training_program.py."""
    folder.mkdir(exist_ok=True)
    what.write(folder / "case.json")
    size = what.target.world_size
    shared = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), **more}
    program = Path(__file__).with_name("training_program.py")
    return [
        subprocess.Popen(
            [sys.executable, str(program), str(folder / "case.json"), str(folder / "records" / "0.json"), change],
            env=bare_environment(**shared, RANK=str(rank), LOCAL_RANK=str(rank)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]


def wait(processes: list[subprocess.Popen[str]], within: float = 120) -> tuple[list[int], list[str]]:
    """Exit codes and everything said, by rank; what lives longer is killed."""
    try:
        said = [p.communicate(timeout=within) for p in processes]
    finally:
        for process in processes:
            process.kill()
    return [p.returncode for p in processes], [out + err for out, err in said]


def notes(folder: Path, rank: int) -> dict[str, list[Any]]:
    """What a change of training_program.py noted on a rank, by key."""
    found: dict[str, list[Any]] = {}
    path = folder / f"notes.{rank}"
    for line in path.read_text().splitlines() if path.exists() else []:
        key, value = json.loads(line)
        found.setdefault(key, []).append(value)
    return found


def samples(measured: Any, metric: str, **labels: Any) -> list[float]:
    """The samples of the one measurement with these labels."""
    (found,) = [m for m in measured.measurements if m.metric == metric and labels.items() <= dict(m.labels).items()]
    return list(found.samples)


def losses(measured: Any) -> dict[int, float]:
    """Evaluation losses by step."""
    return {m.labels["step"]: m.samples[0] for m in measured.measurements if m.metric == "train.evaluation_loss"}


__all__ = ["Points", "alone", "case", "losses", "notes", "run", "samples", "start", "wait", "workload"]
