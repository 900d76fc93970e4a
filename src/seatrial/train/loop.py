"""The one loop of all trainings: train, evaluate, stop at the quality target.

It knows nothing of models or data. What the clock counts: optimiser steps with everything they need (data,
forward, backward, communication, update). What it does not count: set-up before the first step, evaluations and
checkpoints; their times are kept apart.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import NoReturn, Protocol

import torch

from seatrial.errors import MeasurementFailed
from seatrial.mllog import TrainingLog
from seatrial.train.history import History
from seatrial.train.phases import Phases
from seatrial.train.ranks import Ranks

ASK_SECONDS = 1.0
"""How often the ranks ask each other whether one was told to end: soon enough for a grace of seconds."""


class Task(Protocol):
    """What trains. All ranks call every method at the same step."""

    samples_per_step: int
    """Training samples of one optimiser step, all ranks together."""

    def train_step(self, step: int) -> torch.Tensor:
        """Do optimiser step `step` (0-based); this rank's training loss, a detached scalar on the device."""
        ...

    def evaluate(self) -> dict[str, float]:
        """The quality metrics on the whole evaluation set, reduced over ranks."""
        ...


class Saver(Protocol):
    """Where checkpoints go."""

    def save(self, history: History) -> None:
        """Keep everything needed to go on from here; may return before it is written."""
        ...


class Watcher(Protocol):
    """What stands beside the training and is told of its pauses."""

    def training(self, history: History) -> None:
        """A stretch of training begins."""
        ...

    def paused(self, history: History) -> None:
        """A stretch has ended, and `history` has grown."""
        ...


@dataclass(frozen=True)
class Schedule:
    """When to evaluate, to save and to give up, in optimiser steps."""

    max_steps: int
    evaluation_interval: int
    checkpoint_interval: int | None = None
    evaluation_start: int = 0
    """No evaluation before this step, but the one before the first."""
    profiled: range = range(0)
    """Steps that are a stretch of their own, because they are profiled."""

    def evaluates(self, step: int) -> bool:
        return step == self.max_steps or (step % self.evaluation_interval == 0 and step >= self.evaluation_start)

    def saves(self, step: int) -> bool:
        return self.checkpoint_interval is not None and step % self.checkpoint_interval == 0

    def next_pause(self, step: int) -> int:
        """The first step after `step` at which the training stops to evaluate or to save."""
        pauses = [step - step % n + n for n in (self.evaluation_interval, self.checkpoint_interval) if n]
        pauses += [end for end in (self.profiled.start, self.profiled.stop) if end > step]
        return min(*pauses, self.max_steps)


class Notice(Protocol):
    """Whether this process has been told to end soon."""

    received: int
    """The signal that said so; 0 while there was none."""


@dataclass
class Loop:
    """A training under way: what trains, its ranks, and where it is written down. `log` is given on rank 0 only."""

    task: Task
    schedule: Schedule
    ranks: Ranks
    phases: Phases
    history: History
    log: TrainingLog | None = None
    saver: Saver | None = None
    watcher: Watcher | None = None
    notice: Notice | None = None
    agreed: bool = False
    """Whether all ranks know that the training has ended, in success or failure."""
    told: int = 0
    """The signal that told some rank to end; all ranks agree on it."""
    _ask_at: int = 0
    """The step after which the ranks ask each other for it again."""

    def run(self) -> None:
        """Train until every quality asked about is met, or until `told` to end.

        A history with evaluations in it is continued; it holds all that was measured, also on failure. Raises
        MeasurementFailed: diverged (a loss that is not finite), target_not_reached (the budget is spent),
        wrong_result (the target is met before the first step, so that nothing would be measured).
        """
        history, schedule = self.history, self.schedule
        if not history.evaluations:
            self._evaluate()
            if history.reached:
                self._fail(
                    "wrong_result",
                    f"{history.target.metric} is {history.evaluations[0].value:.4g} before the first step, which "
                    f"already meets the target of {history.target.target:g}: nothing would be measured",
                )
        self._evaluate_where_due()
        while not self._ended:
            self._train_stretch(schedule.next_pause(history.step))
            if self.told:
                return
            self._evaluate_where_due()
            if self.saver is not None and schedule.saves(history.step) and not self._ended:
                self._save(self.saver)
        if history.reached:
            self.agreed = True
            return
        self._fail(
            "target_not_reached",
            f"{history.target.metric} reached {history.best.value:.4g} (at step {history.best.step}) in "
            f"{history.step} steps, not the target of {history.target.target:g}",
        )

    def _fail(self, kind: str, words: str) -> NoReturn:
        """All ranks come here, because they decide on what they have told each other."""
        self.agreed = True
        raise MeasurementFailed(kind, words)

    @property
    def _ended(self) -> bool:
        return self.history.finished or self.history.step >= self.schedule.max_steps

    def _evaluate_where_due(self) -> None:
        """A run that was told to end after a stretch is evaluated once it is taken up again."""
        history = self.history
        if self.schedule.evaluates(history.step) and history.evaluations[-1].step < history.step:
            self._evaluate()

    def _train_stretch(self, end: int) -> None:
        """Train without pause up to step `end`; the clock runs here and nowhere else."""
        history, phases, log = self.history, self.phases, self.log
        if log is not None:
            log.block_start(history.samples, history.step)
        if self.watcher is not None:
            self.watcher.training(history)
        losses: list[torch.Tensor] = []
        step = self._ask_at = history.step
        self.ranks.barrier()  # Nobody's clock counts waiting for a rank that was late from the evaluation.
        began = time.perf_counter()
        phases.start()
        while step < end and not self.told:
            losses.append(self.task.train_step(step))
            step += 1
            self._ask(step, step - history.step, began)
            phases.step_done()
        own_seconds, splits = phases.stop()
        loss = self._note(own_seconds, splits, losses)
        if self.watcher is not None:
            self.watcher.paused(history)
        if not math.isfinite(loss):
            self._fail("diverged", f"the training loss is {loss} between step {step - len(losses)} and step {step}")

    def _ask(self, step: int, done: int, began: float) -> None:
        """About once every ASK_SECONDS find out whether any rank was told to end; all ask at the same steps."""
        if self.notice is None or step < self._ask_at:
            return
        with self.phases("communication"):
            elapsed, told = self.ranks.greatest([time.perf_counter() - began, float(self.notice.received)])
        self.told = int(told)
        self._ask_at = step + max(1, int(ASK_SECONDS * done / elapsed))

    def _note(self, own_seconds: float, splits: list[list[float]], losses: list[torch.Tensor]) -> float:
        """Add a stretch to the history and the log; its mean loss over steps and ranks."""
        history = self.history
        seconds, *step_times = self.ranks.greatest([own_seconds, *(sum(step) for step in splits)])
        (loss,) = self.ranks.total([float(torch.stack(losses).double().mean().item())])
        loss /= self.ranks.size
        everyone = self.ranks.gathered_tensor(torch.tensor(splits, dtype=torch.float64))
        samples = len(losses) * self.task.samples_per_step
        by_step = None if everyone is None else everyone.transpose(0, 1)
        history.add_stretch(len(losses), samples, seconds, step_times, loss, by_step)
        if self.log is not None:
            tracked = {"throughput": samples / seconds, "train_step_time": seconds / len(losses)}
            # JSON knows no NaN: a loss that is none is left out here and ends the run.
            tracked |= {"train_loss": loss} if math.isfinite(loss) else {}
            self.log.block_stop(history.samples, history.step, tracked)
        return loss

    def _evaluate(self) -> None:
        """Evaluate, outside the training clock."""
        history, log = self.history, self.log
        if log is not None:
            log.evaluation_start(history.samples, history.step)
        started = time.perf_counter()
        found = self.task.evaluate()
        values = {metric: self.ranks.agree(found[metric]) for metric in sorted(found)}
        (seconds,) = self.ranks.greatest([time.perf_counter() - started])
        for metric, value in values.items():
            if not math.isfinite(value):
                self._fail("diverged", f"{metric} is {value} at step {history.step}")
        evaluation = history.add_evaluation(values, seconds)
        if log is not None:
            log.evaluation_stop(evaluation.value, history.samples, history.step, history.minutes)

    def _save(self, saver: Saver) -> None:
        """Save a checkpoint, outside the training clock; how long the training stands still is kept."""
        started = time.perf_counter()
        saver.save(self.history)
        (seconds,) = self.ranks.greatest([time.perf_counter() - started])
        self.history.add_checkpoint(seconds)
