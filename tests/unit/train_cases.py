"""A training small enough for tests: a base model of 30,000 parameters and two short modules to learn."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from ranks import bare_environment, case, free_port

from seatrial.case import Case
from seatrial.config.training import PreparedModel
from seatrial.errors import MeasurementFailed
from seatrial.measure.context import RankContext
from seatrial.prepare.language_model import prepare_model
from seatrial.train import llm_finetune

PROGRAM = """
import sys
from pathlib import Path
from seatrial.case import Case
from seatrial.measure.session import run_repeat
from seatrial.train.kinds import WORK
case, record, prepared = map(Path, sys.argv[1:])
what = Case.read(case)
assert not {"torch", "transformers"} & set(sys.modules)
run_repeat(what, 0, record, WORK[what.workload.kind], prepared=[prepared])
print(" ".join(m for m in ("pandas", "hydra", "snakemake", "sklearn", "matplotlib", "peft") if m in sys.modules))
"""


def base_model(**more: Any) -> dict[str, Any]:
    shape = {"hidden_size": 32, "intermediate_size": 64, "layers": 1, "heads": 2, "key_value_heads": 1}
    content = {
        "source": "prepared",
        "name": "tiny",
        "shape": {**shape, "vocabulary": 300, "context": 32},
        "steps": 40,
        "batch_size": 16,
        "learning_rate": 0.01,
    }
    return {**content, **more}


@cache
def reachable_target() -> float:
    """A loss that the tiny base model reaches after several evaluations, on this Python's texts, from a pilot run.

    The texts are Python's own and differ between its releases, and so does what a tiny model makes of them.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepare_model(prepared_spec(), Path(folder) / "tiny")
        unreachable = {"metric": "evaluation_loss", "target": 0.1}
        ctx = context(case(finetune(quality=unreachable)), Path(folder), Path(folder) / "tiny")
        with pytest.raises(MeasurementFailed, match=r"not the target of 0\.1"):
            llm_finetune.run(ctx)
    losses = [m.samples[0] for m in ctx.measurements if m.metric == "train.evaluation_loss"]
    return round(min(losses) + 0.35 * (losses[0] - min(losses)), 4)


def finetune(**more: Any) -> dict[str, Any]:
    """A fine-tuning of two modules whose target lies within reach; `more` replaces keys."""
    content: dict[str, Any] = {
        "kind": "llm_finetune",
        "model": base_model(),
        "dataset": {"source": "stdlib", "modules": ["copy", "heapq"], "evaluation_modules": ["bisect", "queue"]},
        "lora": {"rank": 4, "alpha": 8.0, "target_modules": ["q_proj", "v_proj", "up_proj", "down_proj"]},
        "sequence_length": 32,
        "batch_size": 8,
        "learning_rate": 0.02,
        "max_steps": 60,
        "evaluation_interval_steps": 5,
        "evaluation_sequences": 16,
    }
    if "quality" not in more:
        content["quality"] = {"metric": "evaluation_loss", "target": reachable_target()}
    return {**content, **more}


def prepared_spec() -> PreparedModel:
    return PreparedModel.model_validate(base_model())


def context(what: Case, folder: Path, prepared: Path, seed: int = 3) -> RankContext:
    """A single rank on the CPU."""
    return RankContext(
        case=what, repeat=0, seed=seed, rank=0, local_rank=0, world_size=1, device=torch.device("cpu"),
        folder=folder, prepared=[prepared],
    )  # fmt: skip


def start_ranks(what: Case, folder: Path, prepared: Path, within: float = 120) -> list[str]:
    """Run `what` on its ranks as processes, the record at folder/records/0.json; their standard outputs."""
    size, record = what.target.world_size, folder / "records" / "0.json"
    what.write(folder / "case.json")
    shared = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    arguments = [sys.executable, "-c", PROGRAM, str(folder / "case.json"), str(record), str(prepared)]
    processes = [
        subprocess.Popen(
            arguments,
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
    assert [p.returncode for p in processes] == [os.EX_OK] * size, said
    return [out for out, _ in said]


__all__ = ["base_model", "case", "context", "finetune", "prepared_spec", "start_ranks"]
