"""Does the laptop task reach its quality target, whatever the seed and the Python version? Run by hand:

    OMP_NUM_THREADS=1 pytest -s tests/soak/quality_target.py

It takes about five minutes on one core and prints the table of docs/measured.md. SEATRIAL_LIBRARIES may
name the standard libraries of other Pythons (folders that hold argparse.py, separated as in PATH); each is
tried with 3 seeds.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml

from seatrial.config.training import LlmFinetune, PreparedModel
from seatrial.train import causal_lm, corpus, packing
from seatrial.train.history import History
from seatrial.train.llm_finetune import LlmFinetuneTask
from seatrial.train.loop import Schedule, train_to_quality
from seatrial.prepare.language_model import prepare_model
from seatrial.train.ranks import Ranks

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
        history = fine_tune(workload, tmp_path / "base", trial.library, seed)
        crossing = history.quality().crossing
        assert crossing is not None
        losses = [e.value for e in history.evaluations]
        print(
            f"| {trial} | {seed} | {losses[0]:.3f} | {crossing['step']:.1f} | {history.step} | {losses[-1]:.3f} | "
            f"{crossing['minutes'] * 60:.1f} | {time.process_time() - started:.1f} |",
            flush=True,
        )
        assert len(losses) >= 4, "a target met almost at once measures the evaluation interval"
        assert history.step <= workload.max_steps / 2, "no margin is left for another machine's rounding"


def fine_tune(workload: LlmFinetune, base: Path, library: Path | None, seed: int) -> History:
    """One repeat as llm_finetune.run does it, on another Python's text."""
    cpu = torch.device("cpu")
    torch.manual_seed(seed)
    tokenizer, model = causal_lm.tokenizer(workload.model, base), causal_lm.load(workload, base)
    train, evaluation = (
        packing.pack(text, tokenizer, workload.sequence_length)
        for text in corpus.train_and_evaluation(workload.dataset, library)
    )
    adapted = causal_lm.made_trainable(model, workload.lora, workload.activation_checkpointing)
    ranks = Ranks(0, 1, cpu)
    shown = packing.spread(evaluation, workload.evaluation_sequences)
    task = LlmFinetuneTask(workload, adapted, train, shown, seed, ranks)
    history = History(workload.quality)
    train_to_quality(task, Schedule(workload.max_steps, workload.evaluation_interval_steps), ranks, history)
    return history
