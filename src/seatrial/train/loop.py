"""The one loop of all trainings: train, evaluate, stop at the quality target.

It knows nothing of models or data. What the clock counts: optimiser steps with everything they need (data,
forward, backward, communication, update). What it does not count: set-up before the first step, evaluations and
checkpoints; their times are kept apart.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from seatrial.errors import MeasurementFailed
from seatrial.mllog import TrainingLog
from seatrial.train.clock import TrainingClock
from seatrial.train.history import Evaluation, History
from seatrial.train.ranks import Ranks


class Task(Protocol):
    """What a workload gives the loop. All ranks call every method at the same step."""

    samples_per_step: int
    """Training samples of one optimiser step, all ranks together."""
    tokens_per_sample: int

    def train_step(self, step: int) -> torch.Tensor:
        """Do optimiser step `step` (0-based); this rank's training loss, a detached scalar on the device."""
        ...

    def evaluate(self) -> float:
        """The quality on the whole evaluation set, reduced over ranks."""
        ...


class Saver(Protocol):
    """Where checkpoints go."""

    def save(self, history: History) -> None:
        """Keep everything needed to go on from here."""
        ...


@dataclass(frozen=True)
class Schedule:
    """When to evaluate, to save and to give up, in optimiser steps."""

    max_steps: int
    evaluation_interval: int
    checkpoint_interval: int | None = None

    def evaluates(self, step: int) -> bool:
        return step % self.evaluation_interval == 0 or step == self.max_steps

    def saves(self, step: int) -> bool:
        return self.checkpoint_interval is not None and step % self.checkpoint_interval == 0

    def next_pause(self, step: int) -> int:
        """The first step after `step` at which the training stops to evaluate or to save."""
        pauses = [step - step % n + n for n in (self.evaluation_interval, self.checkpoint_interval) if n]
        return min(*pauses, self.max_steps)


def train_to_quality(
    task: Task,
    schedule: Schedule,
    ranks: Ranks,
    history: History,
    log: TrainingLog | None = None,
    saver: Saver | None = None,
    keep: Callable[[], None] = lambda: None,
) -> None:
    """Train until an evaluation meets `history.target`; `history` holds all that was measured, also on failure.

    A history with evaluations in it is continued. `log` is given on rank 0 only. `keep` is called at every pause,
    after `history` has grown, so that nothing is lost where another rank ends this process. Raises
    MeasurementFailed: diverged (a loss that is not finite), target_not_reached (the budget is spent),
    wrong_result (the target is met before the first step, so that nothing would be measured).
    """
    if not history.evaluations:
        _evaluate(task, ranks, history, log)
        keep()
        if history.reached:
            raise MeasurementFailed(
                "wrong_result",
                f"{history.target.metric} is {history.evaluations[0].value:.4g} before the first step, which "
                f"already meets the target of {history.target.target:g}: nothing would be measured",
            )
    while history.step < schedule.max_steps:
        _train_stretch(task, ranks, history, log, schedule.next_pause(history.step))
        if schedule.evaluates(history.step):
            _evaluate(task, ranks, history, log)
            keep()
            if history.reached:
                return
        if saver is not None and schedule.saves(history.step):
            _save(saver, ranks, history)
    raise MeasurementFailed(
        "target_not_reached",
        f"{history.target.metric} reached {history.best.value:.4g} (at step {history.best.step}) in "
        f"{history.step} steps, not the target of {history.target.target:g}",
    )


def _train_stretch(task: Task, ranks: Ranks, history: History, log: TrainingLog | None, end: int) -> None:
    """Train without pause up to step `end`; the clock runs here and nowhere else."""
    if log is not None:
        log.block_start(history.samples, history.step)
    first = history.step
    clock = TrainingClock(ranks.device)
    losses = []
    ranks.barrier()  # Nobody's clock counts waiting for a rank that was late from the evaluation.
    clock.start()
    for step in range(first, end):
        losses.append(task.train_step(step))
        clock.step_done()
    own_seconds, own_steps = clock.stop()

    seconds, *step_times = ranks.greatest([own_seconds, *own_steps])
    (loss,) = ranks.total([float(torch.stack(losses).double().mean().item())])
    samples = (end - first) * task.samples_per_step
    history.step, history.samples = end, history.samples + samples
    history.seconds += seconds
    history.step_times += step_times
    history.throughputs.append(samples * task.tokens_per_sample / seconds)
    if log is not None:
        tracked = {"throughput": samples / seconds, "train_step_time": seconds / (end - first)}
        # JSON knows no NaN: a loss that is none is left out here and ends the run below.
        tracked |= {"train_loss": loss / ranks.size} if math.isfinite(loss) else {}
        log.block_stop(history.samples, end, tracked)
    if not math.isfinite(loss):
        raise MeasurementFailed(
            "diverged", f"the training loss is {loss} between step {first} and step {end} (of {history.step})"
        )


def _evaluate(task: Task, ranks: Ranks, history: History, log: TrainingLog | None) -> None:
    """Evaluate, outside the training clock."""
    if log is not None:
        log.evaluation_start(history.samples, history.step)
    started = time.perf_counter()
    value = ranks.agree(task.evaluate())
    (seconds,) = ranks.greatest([time.perf_counter() - started])
    history.evaluation_times.append(seconds)
    if not math.isfinite(value):
        raise MeasurementFailed("diverged", f"{history.target.metric} is {value} at step {history.step}")
    history.evaluations.append(Evaluation(history.step, history.samples, history.minutes, value))
    if log is not None:
        log.evaluation_stop(value, history.samples, history.step, history.minutes)


def _save(saver: Saver, ranks: Ranks, history: History) -> None:
    """Save a checkpoint, outside the training clock."""
    started = time.perf_counter()
    saver.save(history)
    (seconds,) = ranks.greatest([time.perf_counter() - started])
    history.checkpoint_times.append(seconds)
