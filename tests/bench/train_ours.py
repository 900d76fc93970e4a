"""Seatrial's training loop as `seatrial measure` runs it, a stretch of steps at a time; the laptop task's parts."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import torch
import yaml
from measure import ROOT
from turns import Enough, Turns

sys.path.insert(0, str(ROOT / "tests" / "unit"))
from ranks import case

from seatrial.config.training import LlmFinetune
from seatrial.measure.context import RankContext
from seatrial.mllog import TrainingLog
from seatrial.train import causal_lm, corpus, packing
from seatrial.train.beside import Beside, Telemetry
from seatrial.train.history import History
from seatrial.train.layout import Layout
from seatrial.train.learner import Learner, Objective
from seatrial.train.llm_finetune import LlmFinetuneObjective
from seatrial.train.loop import Loop, Schedule
from seatrial.train.notice import StopNotice
from seatrial.train.order import BatchOrder
from seatrial.train.phases import Phases, Untimed
from seatrial.train.ranks import Ranks
from seatrial.train.sequences import Sequences

SEED = 7
STRETCH = 10
"""Steps between two log lines, as the laptop task's evaluation interval."""
LAPTOP = ROOT / "conf" / "workload" / "llm_finetune.yaml"


def laptop_task(steps: int, **more: Any) -> LlmFinetune:
    """The laptop's fine-tuning with a model initialised at random and a byte tokenizer: nothing has to be prepared.

    Its schedule is one that Hugging Face has too, its target out of reach.
    """
    content = yaml.safe_load(LAPTOP.read_text(encoding="utf-8"))
    shape = content["model"]["shape"]
    architecture = {
        "model_type": "llama",
        "vocab_size": shape["vocabulary"],
        "hidden_size": shape["hidden_size"],
        "intermediate_size": shape["intermediate_size"],
        "num_hidden_layers": shape["layers"],
        "num_attention_heads": shape["heads"],
        "num_key_value_heads": shape["key_value_heads"],
        "max_position_embeddings": shape["context"],
        "tie_word_embeddings": True,
    }
    changes = {
        "model": {"source": "config", "architecture": architecture, "tokenizer": "bytes"},
        "quality": {"metric": "evaluation_loss", "target": 1e-3},
        "learning_rate_schedule": "cosine",
        "warmup_steps": 0,
        "max_steps": steps,
        "evaluation_interval_steps": steps,
        "evaluation_sequences": 16,
    }
    return LlmFinetune.model_validate({**content, **changes, **more})


class Material:
    """Model and data of a task; every training gets a copy of the same model."""

    def __init__(self, workload: LlmFinetune, ranks: Ranks) -> None:
        self.workload, self.ranks = workload, ranks
        torch.manual_seed(SEED)
        tokenizer = causal_lm.tokenizer(workload.model, None)
        texts = corpus.train_and_evaluation(workload.dataset)  # type: ignore[arg-type]  # the laptop's is no hub's
        learnt, shown = (packing.pack(text, tokenizer, workload.sequence_length) for text in texts)
        self.learnt = learnt
        """Windows [n, L + 1]."""
        self.shown = packing.spread(shown, workload.evaluation_sequences)
        base = causal_lm.load(workload, None)
        self._model = causal_lm.made_trainable(base, workload.lora, workload.activation_checkpointing)

    @property
    def tokens_per_step(self) -> int:
        """Predicted tokens of one rank."""
        return self.workload.batch_size * self.workload.sequence_length

    def model(self) -> torch.nn.Module:
        return copy.deepcopy(self._model)

    def positions(self, steps: int) -> torch.Tensor:
        """The windows [steps, samples of all ranks] that every step sees."""
        batch = self.workload.batch_size * self.ranks.size
        return BatchOrder(len(self.learnt), SEED).positions(0, steps * batch).view(steps, batch)

    def objective(self, layout: Layout) -> Objective:
        learnt, shown = Sequences.of_windows(self.learnt), Sequences.of_windows(self.shown)
        model = self.model().to(layout.device)
        return LlmFinetuneObjective(self.workload, model, learnt, shown, layout)

    def held_out_loss(self, model: torch.nn.Module) -> float:
        """Nats per token of the evaluation's windows."""
        model.eval()
        with torch.no_grad():
            return float(causal_lm.prediction_losses(model, self.shown[:, :-1], self.shown[:, 1:]).mean().item())


class Ours:
    """A training of Seatrial's. Not `instrumented`: no split into phases, no log, no telemetry."""

    def __init__(
        self, workload: LlmFinetune, objective: Callable[[Layout], Objective], ranks: Ranks, folder: Path,
        instrumented: bool = True, telemetry: bool = True,
    ) -> None:  # fmt: skip
        self.workload, self.ranks, self.folder = workload, ranks, folder
        self.instrumented, self.telemetry = instrumented, telemetry and instrumented
        phases = Phases(ranks.device) if instrumented else Untimed(ranks.device)
        layout = Layout(ranks, workload.parallelism, phases)
        self.learner = Learner(workload, objective(layout), layout, SEED)
        self.model = self.learner.objective.model

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._turns = self._stack.enter_context(Turns(self._run))
        return self

    def __exit__(self, *ending: object) -> None:
        self._stack.close()

    def stretch(self) -> None:
        """STRETCH steps."""
        self._turns.go()

    def _run(self, pause: Callable[[], None]) -> None:
        ranks, workload = self.ranks, self.workload
        history = History(workload.quality, (), self.learner.tokens_per_sample)
        # Without anything to save a pause for a checkpoint is a pause for the log alone.
        schedule = Schedule(workload.max_steps, workload.max_steps, checkpoint_interval=STRETCH)
        telemetry = Telemetry(self._context(), workload.telemetry_interval_seconds if self.telemetry else None)
        log = TrainingLog(self.folder / f"{ranks.rank}.mllog") if self.instrumented and ranks.first else None
        watcher = _Paced(Beside(self.learner, telemetry, range(0)), pause)
        with StopNotice() as notice, suppress(Enough), ExitStack() as stack:
            stack.callback(telemetry.stop)
            if log is not None:
                stack.enter_context(log)
            phases = self.learner.layout.phases
            Loop(self.learner, schedule, ranks, phases, history, log, None, watcher, notice).run()

    def _context(self) -> RankContext:
        what, ranks = case(self.workload.model_dump(mode="json"), self.ranks.size), self.ranks
        return RankContext(
            case=what, repeat=0, seed=SEED, rank=ranks.rank, local_rank=ranks.rank, world_size=ranks.size,
            device=ranks.device, folder=self.folder,
        )  # fmt: skip


class _Paced:
    """The loop's own watcher, and a wait for the next turn before every stretch."""

    def __init__(self, beside: Beside, pause: Callable[[], None]) -> None:
        self._beside, self._pause = beside, pause

    def training(self, history: History) -> None:
        self._pause()
        self._beside.training(history)

    def paused(self, history: History) -> None:
        self._beside.paused(history)
