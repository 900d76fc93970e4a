"""The one loop of all trainings: train, evaluate, stop at the quality target.

It knows nothing of models or data. What the clock counts: optimiser steps with everything they need (data,
forward, backward, communication, update). What it does not count: set-up before the first step, evaluations and
checkpoints; their times are kept apart.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Protocol

import torch

from seatrial.errors import MeasurementFailed
from seatrial.mllog import TrainingLog
from seatrial.train.history import Evaluation, History
from seatrial.train.phases import Phases
from seatrial.train.ranks import Ranks


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

    def evaluates(self, step: int) -> bool:
        return step == self.max_steps or (step % self.evaluation_interval == 0 and step >= self.evaluation_start)

    def saves(self, step: int) -> bool:
        return self.checkpoint_interval is not None and step % self.checkpoint_interval == 0

    def next_pause(self, step: int) -> int:
        """The first step after `step` at which the training stops to evaluate or to save."""
        pauses = [step - step % n + n for n in (self.evaluation_interval, self.checkpoint_interval) if n]
        return min(*pauses, self.max_steps)


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

    def run(self) -> None:
        """Train until every quality asked about is met; the history holds all that was measured, also on failure.

        A history with evaluations in it is continued. Raises MeasurementFailed: diverged (a loss that is not
        finite), target_not_reached (the budget is spent), wrong_result (the target is met before the first step, so
        that nothing would be measured).
        """
        history, schedule = self.history, self.schedule
        if not history.evaluations:
            self._evaluate()
            if history.reached:
                raise MeasurementFailed(
                    "wrong_result",
                    f"{history.target.metric} is {history.evaluations[0].value:.4g} before the first step, which "
                    f"already meets the target of {history.target.target:g}: nothing would be measured",
                )
        while history.step < schedule.max_steps:
            self._train_stretch(schedule.next_pause(history.step))
            if schedule.evaluates(history.step):
                self._evaluate()
                if history.finished:
                    return
            if self.saver is not None and schedule.saves(history.step) and history.step < schedule.max_steps:
                self._save(self.saver)
        if history.reached:
            return
        raise MeasurementFailed(
            "target_not_reached",
            f"{history.target.metric} reached {history.best.value:.4g} (at step {history.best.step}) in "
            f"{history.step} steps, not the target of {history.target.target:g}",
        )

    def _train_stretch(self, end: int) -> None:
        """Train without pause up to step `end`; the clock runs here and nowhere else."""
        history, phases, log = self.history, self.phases, self.log
        if log is not None:
            log.block_start(history.samples, history.step)
        if self.watcher is not None:
            self.watcher.training(history)
        first, losses = history.step, []
        self.ranks.barrier()  # Nobody's clock counts waiting for a rank that was late from the evaluation.
        phases.start()
        for step in range(first, end):
            losses.append(self.task.train_step(step))
            phases.step_done()
        own_seconds, splits = phases.stop()
        self._note(end, own_seconds, splits, losses)
        if self.watcher is not None:
            self.watcher.paused(history)

    def _note(self, end: int, own_seconds: float, splits: list[list[float]], losses: list[torch.Tensor]) -> None:
        """Add a stretch to the history and the log. Raises MeasurementFailed where its loss is not finite."""
        history, first = self.history, self.history.step
        seconds, *step_times = self.ranks.greatest([own_seconds, *(sum(step) for step in splits)])
        (loss,) = self.ranks.total([float(torch.stack(losses).double().mean().item())])
        loss /= self.ranks.size
        everyone = self.ranks.gathered_tensor(torch.tensor(splits, dtype=torch.float64))
        if everyone is not None:
            history.rank_splits.append(everyone.transpose(0, 1))
            history.checkpoint_seconds.append(0.0)
        samples = (end - first) * self.task.samples_per_step
        history.step, history.samples = end, history.samples + samples
        history.seconds += seconds
        history.step_times += step_times
        history.throughputs.append(samples * (history.tokens_per_sample or 1) / seconds)
        if math.isfinite(loss):
            history.training_losses.append(loss)
        if self.log is not None:
            tracked = {"throughput": samples / seconds, "train_step_time": seconds / (end - first)}
            # JSON knows no NaN: a loss that is none is left out here and ends the run below.
            tracked |= {"train_loss": loss} if math.isfinite(loss) else {}
            self.log.block_stop(history.samples, end, tracked)
        if not math.isfinite(loss):
            raise MeasurementFailed(
                "diverged", f"the training loss is {loss} between step {first} and step {end} (of {history.step})"
            )

    def _evaluate(self) -> None:
        """Evaluate, outside the training clock."""
        history, log = self.history, self.log
        if log is not None:
            log.evaluation_start(history.samples, history.step)
        started = time.perf_counter()
        found = self.task.evaluate()
        values = {metric: self.ranks.agree(found[metric]) for metric in sorted(found)}
        (seconds,) = self.ranks.greatest([time.perf_counter() - started])
        history.evaluation_times.append(seconds)
        for metric, value in values.items():
            if not math.isfinite(value):
                raise MeasurementFailed("diverged", f"{metric} is {value} at step {history.step}")
        value = values[history.target.metric]
        history.evaluations.append(Evaluation(history.step, history.samples, history.minutes, value, values))
        if log is not None:
            log.evaluation_stop(value, history.samples, history.step, history.minutes)

    def _save(self, saver: Saver) -> None:
        """Save a checkpoint, outside the training clock; how long the training stands still is kept."""
        started = time.perf_counter()
        saver.save(self.history)
        (seconds,) = self.ranks.greatest([time.perf_counter() - started])
        self.history.checkpoint_times.append(seconds)
        if self.history.checkpoint_seconds:
            self.history.checkpoint_seconds[-1] += seconds
