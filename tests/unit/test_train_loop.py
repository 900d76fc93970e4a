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
from seatrial.train.phases import Phases, Untimed
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


class PhasedTask(KnownTask):
    """Does nothing, in the phases of a real step."""

    def __init__(self, phases: Phases) -> None:
        super().__init__(lambda step: 2.0)
        self.phases = phases

    def train_step(self, step: int) -> torch.Tensor:
        for phase in ("compute", "data_wait", "compute", "communication", "compute"):
            with self.phases(phase):  # type: ignore[arg-type]
                pass
        return super().train_step(step)


class Quiet:
    """Nobody tells this process to end."""

    received = 0


def cpu_seconds_per_step(folder: Path, phases: Phases, with_log: bool, steps: int = 2000) -> float:
    best = []
    for trial in range(3):
        log = TrainingLog(folder / f"{trial}.mllog") if with_log else None
        history = History(QualityTarget(metric="evaluation_loss", target=1.0))
        loop = Loop(PhasedTask(phases), Schedule(steps, 10), Ranks(0, 1, CPU), phases, history, log, notice=Quiet())
        begin = time.process_time()
        with pytest.raises(MeasurementFailed):
            loop.run()
        best.append((time.process_time() - begin) / steps)
    return min(best)


def test_splits_and_log_cost_less_than_a_hundredth_of_steps_of_ten_milliseconds(tmp_path: Path) -> None:
    """With a pause every ten steps. CPU seconds: other work on the machine does not count."""
    with_all = cpu_seconds_per_step(tmp_path, Phases(CPU), True)
    without = cpu_seconds_per_step(tmp_path, Untimed(CPU), False)
    assert with_all - without < 1e-4, f"{with_all * 1e6:.0f} and {without * 1e6:.0f} microseconds"


class TellingTask(KnownTask):
    """Its process is told to end in a step."""

    received = 0

    def __init__(self, at: int) -> None:
        super().__init__(lambda step: 2.0 * 0.9**step)
        self.at = at

    def train_step(self, step: int) -> torch.Tensor:
        if step == self.at:
            self.received = 15
        return super().train_step(step)


def test_loop_that_is_told_to_end_stops_after_the_step_and_is_evaluated_when_taken_up(tmp_path: Path) -> None:
    task = TellingTask(at=0)
    history = History(QualityTarget(metric="evaluation_loss", target=0.5))
    loop = Loop(task, Schedule(20, 1), Ranks(0, 1, CPU), Phases(CPU), history, notice=task)
    loop.run()
    assert (loop.told, loop.agreed) == (15, False)
    assert (history.step, len(history.step_times), len(history.rates)) == (1, 1, 1)
    assert [e.step for e in history.evaluations] == [0], "what takes long is left to the next start"
    again = Loop(task, Schedule(20, 1), Ranks(0, 1, CPU), Phases(CPU), history)
    again.run()
    assert (again.told, again.agreed) == (0, True)
    assert [e.step for e in history.evaluations] == list(range(15))
