"""What a training has measured so far. It is kept whatever becomes of the run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from seatrial.config.training import QualityTarget
from seatrial.record import Measurement, Quality, measurement
from seatrial.train.quality import between, crossing_fraction, meets
from seatrial.units import SECONDS_PER_MINUTE


@dataclass(frozen=True)
class Evaluation:
    """The quality after `samples` sequences of all ranks and `minutes` on the training clock."""

    step: int
    samples: int
    minutes: float
    value: float

    def as_quality(self) -> dict[str, float]:
        return {"step": self.step, "samples": self.samples, "minutes": self.minutes, "value": self.value}


@dataclass
class History:
    """Samples of one training. Times are seconds, each the maximum over ranks."""

    target: QualityTarget
    step: int = 0
    samples: int = 0
    """Training sequences of all ranks."""
    seconds: float = 0.0
    """The training clock."""
    evaluations: list[Evaluation] = field(default_factory=list)
    step_times: list[float] = field(default_factory=list)
    throughputs: list[float] = field(default_factory=list)
    """Tokens per second of all ranks, one for each stretch between pauses of the clock."""
    evaluation_times: list[float] = field(default_factory=list)
    checkpoint_times: list[float] = field(default_factory=list)

    @property
    def minutes(self) -> float:
        return self.seconds / SECONDS_PER_MINUTE

    @property
    def reached(self) -> bool:
        """Whether the last evaluation meets the target."""
        return bool(self.evaluations) and self.meets_target(self.evaluations[-1])

    @property
    def best(self) -> Evaluation:
        """The evaluation nearest to the target's good side. Raises IndexError where there is none."""
        sign = 1 if self.target.direction == "lower" else -1
        return sorted(self.evaluations, key=lambda e: sign * e.value)[0]

    def meets_target(self, evaluation: Evaluation) -> bool:
        return meets(evaluation.value, self.target.target, self.target.direction)

    def quality(self) -> Quality:
        """Target, the evaluations on both sides of it, and the interpolated crossing, where it was reached."""
        known = Quality(metric=self.target.metric, target=self.target.target)
        if not self.reached or len(self.evaluations) < 2:
            return known
        before, after = self.evaluations[-2:]
        fraction = crossing_fraction(before.value, after.value, self.target.target, self.target.direction)
        crossing = {
            "step": between(before.step, after.step, fraction),
            "samples": between(before.samples, after.samples, fraction),
            "minutes": between(before.minutes, after.minutes, fraction),
        }
        return known.model_copy(
            update={"before": before.as_quality(), "after": after.as_quality(), "crossing": crossing}
        )

    def measurements(self) -> list[Measurement]:
        """Everything measured; what was not measured has no measurement."""
        found = [measurement("train.evaluation_loss", [e.value], {"step": e.step}) for e in self.evaluations]
        series = {
            "train.evaluation_time": self.evaluation_times,
            "train.step_time": self.step_times,
            "train.throughput": self.throughputs,
            "train.checkpoint_time": self.checkpoint_times,
        }
        found += [measurement(metric, samples) for metric, samples in series.items() if samples]
        quality = self.quality()
        if quality.crossing is not None and quality.after is not None:
            found += [
                measurement("train.time_to_quality", [quality.crossing["minutes"]]),
                measurement("train.time_to_evaluation", [quality.after["minutes"]]),
                measurement("train.samples_to_quality", [quality.crossing["samples"]]),
            ]
        return found

    def state(self) -> dict[str, Any]:
        """Everything but the target, as plain values."""
        content = dataclasses.asdict(self)
        del content["target"]
        return content

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        for name, value in state.items():
            setattr(self, name, value)
        self.evaluations = [Evaluation(**e) for e in state["evaluations"]]
