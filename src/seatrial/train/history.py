"""What a training has measured so far. It is kept whatever becomes of the run."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from seatrial.config.training import QualityTarget
from seatrial.record import Measurement, Quality, measurement
from seatrial.train.phases import PHASES
from seatrial.train.quality import between, crossing_fraction, meets
from seatrial.units import SECONDS_PER_MINUTE

SPLIT = {
    "compute": "train.compute_time",
    "communication": "train.exposed_communication_time",
    "data_wait": "train.data_wait_time",
    "other": "train.other_time",
}
"""The metric of each phase of a step."""
KEPT = (
    "step", "samples", "seconds", "evaluations", "step_times", "training_losses", "rates", "evaluation_times",
    "checkpoint_times", "stalls",
)  # fmt: skip
"""What a checkpoint keeps of a history."""


@dataclass(frozen=True)
class Evaluation:
    """The qualities after `samples` samples of all ranks and `minutes` on the training clock."""

    step: int
    samples: int
    minutes: float
    value: float
    """Of the quality that decides whether the run reaches its target."""
    values: dict[str, float] = field(default_factory=dict)
    """Of every quality metric that the workload has."""

    def as_quality(self) -> dict[str, float]:
        return {"step": self.step, "samples": self.samples, "minutes": self.minutes, "value": self.value}


@dataclass
class History:
    """Samples of one training. Times are seconds, the maximum over ranks unless said to be a rank's.

    It grows by the `add_...` methods alone; another thread may ask for `measurements` and `quality` at any moment
    (the one that writes the record when another rank died).
    """

    target: QualityTarget
    also: Sequence[QualityTarget] = ()
    tokens_per_sample: int | None = None
    waits_hidden: bool = False
    """Waiting for other ranks lies within `compute` (see sharding.hidden_waits): neither has a measurement, nor has
    what follows from them."""
    step: int = 0
    samples: int = 0
    """Training samples of all ranks."""
    seconds: float = 0.0
    """The training clock."""
    evaluations: list[Evaluation] = field(default_factory=list)
    step_times: list[float] = field(default_factory=list)
    training_losses: list[float] = field(default_factory=list)
    """Mean over the steps and ranks of each stretch; where it is not finite there is none."""
    rates: list[float] = field(default_factory=list)
    """Samples per second of all ranks, one for each stretch between pauses."""
    evaluation_times: list[float] = field(default_factory=list)
    checkpoint_times: list[float] = field(default_factory=list)
    """How long the training stood still for each checkpoint."""
    checkpoint_size: int | None = None
    """Bytes of the last complete checkpoint, of all ranks; on rank 0 alone."""
    stalls: list[float] = field(default_factory=list)
    """The same for each stretch: what stood still after it, before the next."""
    rank_splits: list[torch.Tensor] = field(default_factory=list)
    """Seconds by phase, [steps, ranks, PHASES] for each stretch; on rank 0 alone."""
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)

    def add_stretch(
        self, steps: int, samples: int, seconds: float, step_times: Sequence[float], loss: float,
        splits: torch.Tensor | None,
    ) -> None:  # fmt: skip
        """`samples` of all ranks were trained on in `steps` steps; `splits` [steps, ranks, PHASES] on rank 0."""
        with self._lock:
            self.step += steps
            self.samples += samples
            self.seconds += seconds
            self.step_times += step_times
            self.rates.append(samples / seconds)
            self.stalls.append(0.0)
            if math.isfinite(loss):
                self.training_losses.append(loss)
            if splits is not None:
                self.rank_splits.append(splits)

    def add_evaluation(self, values: dict[str, float], seconds: float) -> Evaluation:
        """The qualities as they stand now, found in `seconds`."""
        found = Evaluation(self.step, self.samples, self.minutes, values[self.target.metric], values)
        with self._lock:
            self.evaluations.append(found)
            self.evaluation_times.append(seconds)
        return found

    def add_checkpoint(self, seconds: float) -> None:
        """The training stood still for a checkpoint."""
        with self._lock:
            self.checkpoint_times.append(seconds)
            if self.stalls:
                self.stalls[-1] += seconds

    def saved(self, size: int) -> None:
        """A checkpoint of `size` bytes is complete; it may be called beside the training."""
        with self._lock:
            self.checkpoint_size = size

    @property
    def minutes(self) -> float:
        return self.seconds / SECONDS_PER_MINUTE

    @property
    def reached(self) -> bool:
        """Whether an evaluation so far meets the target."""
        return self._first_met(self.target) is not None

    @property
    def finished(self) -> bool:
        """Whether every quality that is asked about has been met."""
        return all(self._first_met(quality) is not None for quality in (self.target, *self.also))

    @property
    def best(self) -> Evaluation:
        """The evaluation nearest to the target's good side. Raises IndexError where there is none."""
        sign = 1 if self.target.direction == "lower" else -1
        return sorted(self.evaluations, key=lambda e: sign * e.value)[0]

    def _first_met(self, quality: QualityTarget) -> int | None:
        """The index of the first evaluation that meets a quality."""
        for index, evaluation in enumerate(self.evaluations):
            value = evaluation.values.get(quality.metric)
            if value is not None and meets(value, quality.target, quality.direction):
                return index
        return None

    def quality(self) -> Quality:
        """Target, the evaluations on both sides of it, and the interpolated crossing, where it was reached."""
        known = Quality(metric=self.target.metric, target=self.target.target)
        with self._lock:
            found = self._crossing(self.target)
        if found is None:
            return known
        before, after, crossing = found
        return known.model_copy(
            update={"before": before.as_quality(), "after": after.as_quality(), "crossing": crossing}
        )

    def _crossing(self, quality: QualityTarget) -> tuple[Evaluation, Evaluation, dict[str, float]] | None:
        """The evaluations on both sides of a quality's target, and the place between them."""
        index = self._first_met(quality)
        if not index:
            return None
        before, after = self.evaluations[index - 1], self.evaluations[index]
        values = before.values[quality.metric], after.values[quality.metric]
        fraction = crossing_fraction(*values, quality.target, quality.direction)
        crossing = {
            "step": between(before.step, after.step, fraction),
            "samples": between(before.samples, after.samples, fraction),
            "minutes": between(before.minutes, after.minutes, fraction),
        }
        return before, after, crossing

    def measurements(self) -> list[Measurement]:
        """Everything measured; what was not measured has no measurement."""
        with self._lock:
            return [*self._series(), *self._to_quality(), *self._splits()]

    def _series(self) -> list[Measurement]:
        found = [
            measurement(f"train.{metric}", [value], {"step": e.step})
            for e in self.evaluations
            for metric, value in e.values.items()
        ]
        tokens = self.tokens_per_sample
        throughput = "train.sample_throughput" if tokens is None else "train.throughput"
        series = {
            "train.evaluation_time": self.evaluation_times,
            "train.step_time": self.step_times,
            "train.training_loss": self.training_losses,
            throughput: [rate * (tokens or 1) for rate in self.rates],
            "train.checkpoint_time": self.checkpoint_times,
        }
        return found + [measurement(metric, samples) for metric, samples in series.items() if samples]

    def _to_quality(self) -> list[Measurement]:
        found = []
        if (main := self._crossing(self.target)) is not None:
            found += [
                measurement("train.time_to_quality", [main[2]["minutes"]]),
                measurement("train.time_to_evaluation", [main[1].minutes]),
                measurement("train.samples_to_quality", [main[2]["samples"]]),
                measurement("train.samples_to_evaluation", [main[1].samples]),
            ]
        if self.tokens_per_sample is not None:
            for quality in (self.target, *self.also):
                if (crossing := self._crossing(quality)) is not None:
                    tokens = crossing[2]["samples"] * self.tokens_per_sample
                    found.append(measurement("train.tokens_to_quality", [tokens], {"quality": quality.metric}))
            if self.samples:
                found.append(measurement("train.tokens_trained", [self.samples * self.tokens_per_sample]))
        return found

    def _splits(self) -> list[Measurement]:
        """Where step time went: the mean over ranks of each step, each rank's own time, the productive fraction."""
        if not self.rank_splits:
            return []
        times = torch.cat(self.rank_splits)
        mean = times.mean(dim=1)
        known = [phase for phase in PHASES if not (self.waits_hidden and phase in ("compute", "communication"))]
        found = [measurement(SPLIT[phase], mean[:, PHASES.index(phase)].tolist()) for phase in known]
        if self.checkpoint_times:
            found.append(measurement("train.checkpoint_stall_time", self.checkpoint_times))
        if self.checkpoint_size is not None:
            found.append(measurement("train.checkpoint_size", [self.checkpoint_size]))
        if self.waits_hidden:
            return found
        found.append(measurement("train.productive_fraction", self._productive_fractions()))
        # What a rank needs by itself: waiting for the others is communication, so that a straggler stands out.
        own = times.sum(dim=2) - times[:, :, PHASES.index("communication")]
        return found + [
            measurement("train.rank_time", own[:, r].tolist(), {"rank": r}) for r in range(own.shape[1])
        ]

    def _productive_fractions(self) -> list[float]:
        """Of each stretch and the checkpoint that it bears: 1 - (all that is not compute) / whole."""
        fractions = []
        for times, stall in zip(self.rank_splits, self.stalls, strict=True):
            compute = float(times[:, :, PHASES.index("compute")].sum())
            fractions.append(compute / (float(times.sum()) + stall * times.shape[1]))
        return fractions

    def state(self) -> dict[str, Any]:
        """A copy of everything but what the configuration says, as plain values; `rank_splits` apart."""
        with self._lock:
            kept = {name: getattr(self, name) for name in KEPT}
            kept = {name: list(value) if isinstance(value, list) else value for name, value in kept.items()}
            kept["evaluations"] = [dataclasses.asdict(e) for e in self.evaluations]
        return kept

    def restore(self, state: dict[str, Any], rank_splits: list[torch.Tensor]) -> None:
        """Continue from what `state` returned, and on rank 0 the splits. Raises KeyError where something lacks."""
        with self._lock:
            for name in KEPT:
                setattr(self, name, state[name])
            self.evaluations = [Evaluation(**e) for e in state["evaluations"]]
            self.rank_splits = rank_splits
