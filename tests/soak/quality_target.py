"""Does the laptop task reach its quality target, whatever the seed and the Python version? Run by hand:

    OMP_NUM_THREADS=1 pytest -s tests/soak/quality_target.py

It takes about five minutes on one core and prints the table of docs/measured.md. SEATRIAL_LIBRARIES may
name the standard libraries of other Pythons (folders that hold argparse.py, separated as in PATH); each is
tried with 3 seeds.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml

from seatrial.config.training import LlmFinetune, PreparedModel
from seatrial.measure.context import RankContext
from seatrial.prepare.language_model import prepare_model
from seatrial.train import corpus, llm_finetune

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from ranks import case

CONF = Path(__file__).parents[2] / "conf" / "workload" / "llm_finetune.yaml"
OTHERS = [Path(p) for p in os.environ.get("SEATRIAL_LIBRARIES", "").split(os.pathsep) if p]


@dataclass(frozen=True)
class Trial:
    """A base model and the seeds that fine-tune it."""

    library: Path | None
    base_seed: int
    seeds: range

    def __str__(self) -> str:
        return f"{'this' if self.library is None else self.library.name}-base{self.base_seed}"


TRIALS = [
    Trial(None, 1, range(1, 11)),
    *(Trial(None, seed, range(1, 4)) for seed in (2, 3)),
    *(Trial(library, 1, range(1, 4)) for library in OTHERS),
]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("trial", TRIALS, ids=str)
def test_every_seed_reaches_the_target_after_several_evaluations(trial: Trial, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    workload = LlmFinetune.model_validate(yaml.safe_load(CONF.read_text()))
    assert isinstance(workload.model, PreparedModel)
    spec = workload.model.model_copy(update={"seed": trial.base_seed})
    started = time.process_time()
    prepare_model(spec, tmp_path / "base", trial.library)
    print(f"\n{trial}: base model in {time.process_time() - started:.1f} CPU s")
    for seed in trial.seeds:
        started = time.process_time()
        ctx = fine_tune(workload, tmp_path / "base", trial.library, seed, tmp_path / str(seed))
        assert ctx.quality is not None and ctx.quality.crossing is not None
        crossing = ctx.quality.crossing
        evaluations = {
            int(m.labels["step"]): m.samples[0] for m in ctx.measurements if m.metric == "train.evaluation_loss"
        }
        last, losses = max(evaluations), [evaluations[step] for step in sorted(evaluations)]
        print(
            f"| {trial} | {seed} | {losses[0]:.3f} | {crossing['step']:.1f} | {last} | {losses[-1]:.3f} | "
            f"{crossing['minutes'] * 60:.1f} | {time.process_time() - started:.1f} |",
            flush=True,
        )
        assert len(losses) >= 4, "a target met almost at once measures the evaluation interval"
        assert last <= workload.max_steps / 2, "no margin is left for another machine's rounding"


def fine_tune(workload: LlmFinetune, base: Path, library: Path | None, seed: int, folder: Path) -> RankContext:
    """One repeat on another Python's text."""
    what = case(workload.model_dump(mode="json"))
    ctx = RankContext(
        case=what, repeat=0, seed=seed, rank=0, local_rank=0, world_size=1, device=torch.device("cpu"),
        folder=folder, prepared=[base],
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "train_and_evaluation", partial(corpus.train_and_evaluation, library=library))
        llm_finetune.run(ctx)
    return ctx
