"""The training loop, with a task whose losses are known."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from seatrial.config.training import QualityTarget
from seatrial.errors import MeasurementFailed
from seatrial.mllog import LogLine, TrainingLog, read_lines
from seatrial.train.history import History
from seatrial.train.loop import Loop, Schedule
from seatrial.train.phases import Phases
from seatrial.train.ranks import Ranks

CPU = torch.device("cpu")
TOKENS = 8


class KnownTask:
    """Its quality is a function of the steps done; steps and evaluations take as long as they are told to."""

    samples_per_step = 4

    def __init__(
        self,
        quality: Callable[[int], float],
        loss: Callable[[int], float] = lambda step: 1.0,
        step_seconds: float = 0.0,
        evaluation_seconds: float = 0.0,
    ) -> None:
        self.quality, self.loss = quality, loss
        self.step_seconds, self.evaluation_seconds = step_seconds, evaluation_seconds
        self.done = 0
        self.evaluated_at: list[int] = []

    def train_step(self, step: int) -> torch.Tensor:
        assert step == self.done, "steps are done once each, in order"
        self.done += 1
        time.sleep(self.step_seconds)
        return torch.tensor(self.loss(step))

    def evaluate(self) -> dict[str, float]:
        self.evaluated_at.append(self.done)
        time.sleep(self.evaluation_seconds)
        return {"evaluation_loss": self.quality(self.done)}


def train(task: KnownTask, schedule: Schedule, target: float = 1.0, log: TrainingLog | None = None) -> History:
    history = History(QualityTarget(metric="evaluation_loss", target=target), tokens_per_sample=TOKENS)
    task.history = history  # type: ignore[attr-defined]
    Loop(task, schedule, Ranks(0, 1, CPU), Phases(CPU), history, log).run()
    return history


def test_training_stops_at_the_first_evaluation_that_meets_the_target() -> None:
    task = KnownTask(lambda step: 4.0 * 0.9**step)
    history = train(task, Schedule(max_steps=100, evaluation_interval=5))
    assert task.evaluated_at == [0, 5, 10, 15]
    assert (history.step, history.samples, len(history.step_times)) == (15, 60, 15)
    crossing = history.quality().crossing
    assert crossing is not None
    assert crossing["step"] == pytest.approx(math.log(4) / -math.log(0.9))


def test_clock_stands_still_during_evaluation() -> None:
    task = KnownTask(lambda step: 3.0 - step, step_seconds=0.01, evaluation_seconds=0.2)
    history = train(task, Schedule(max_steps=10, evaluation_interval=1))
    assert 0.02 <= history.seconds < 0.15
    assert min(history.evaluation_times) >= 0.2
    assert history.seconds == pytest.approx(sum(history.step_times), abs=0.02)
    stretches = [task.samples_per_step / rate for rate in history.rates]
    assert sum(stretches) == pytest.approx(history.seconds)
    assert len(stretches) == history.step


def test_spent_budget_fails_with_the_best_loss_and_keeps_the_samples() -> None:
    task = KnownTask(lambda step: 2.0 + abs(step - 4) / 10)
    with pytest.raises(MeasurementFailed, match=r"reached 2 \(at step 4\) in 7 steps") as failure:
        train(task, Schedule(max_steps=7, evaluation_interval=4))
    assert failure.value.kind == "target_not_reached"
    assert task.evaluated_at == [0, 4, 7], "the last step of the budget is evaluated too"
    history = task.history  # type: ignore[attr-defined]
    assert [e.value for e in history.evaluations] == [2.4, 2.0, 2.3]
    assert len(history.step_times) == 7


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_training_loss_that_is_not_finite_is_divergence(bad: float) -> None:
    task = KnownTask(lambda step: 3.0, loss=lambda step: bad if step == 6 else 1.0)
    with pytest.raises(MeasurementFailed, match="between step 5 and step 10") as failure:
        train(task, Schedule(max_steps=100, evaluation_interval=5))
    assert failure.value.kind == "diverged"
    history = task.history  # type: ignore[attr-defined]
    assert len(history.evaluations) == 2
    assert len(history.step_times) == 10


def test_evaluation_loss_that_is_not_finite_is_divergence() -> None:
    task = KnownTask(lambda step: 3.0 if step < 5 else math.nan)
    with pytest.raises(MeasurementFailed) as failure:
        train(task, Schedule(max_steps=100, evaluation_interval=5))
    assert failure.value.kind == "diverged"


def test_target_met_before_the_first_step_measures_nothing() -> None:
    task = KnownTask(lambda step: 0.5)
    with pytest.raises(MeasurementFailed, match="before the first step") as failure:
        train(task, Schedule(max_steps=100, evaluation_interval=5))
    assert failure.value.kind == "wrong_result"
    assert task.done == 0


def test_pauses_for_evaluations_and_checkpoints_do_not_shift_each_other() -> None:
    schedule = Schedule(max_steps=20, evaluation_interval=6, checkpoint_interval=4)
    pauses, step = [], 0
    while step < 20:
        step = schedule.next_pause(step)
        pauses.append(step)
    assert pauses == [4, 6, 8, 12, 16, 18, 20]
    assert [s for s in pauses if schedule.evaluates(s)] == [6, 12, 18, 20]
    assert [s for s in pauses if schedule.saves(s)] == [4, 8, 12, 16, 20]


def test_log_holds_every_evaluation_with_its_place(tmp_path: Path) -> None:
    task = KnownTask(lambda step: 4.0 - step)
    with TrainingLog(tmp_path / "0.mllog") as log:
        train(task, Schedule(max_steps=10, evaluation_interval=2), log=log)
    lines = [line for line in read_lines(tmp_path / "0.mllog") if isinstance(line, LogLine)]
    found = [(line.value, line.metadata["samples_count"]) for line in lines if line.key == "eval_accuracy"]
    assert found == [(4.0, 0), (2.0, 8), (0.0, 16)]
    assert [line.key for line in lines].count("block_stop") == 2
