"""What has been read of a command so far, whatever wrote it: evaluations, speeds, losses, start and stop."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

from seatrial.config.benchmarks import BENCHMARKS
from seatrial.config.training.external import External, ExternalQuality
from seatrial.record import Measurement, Quality, measurement
from seatrial.train.quality import Direction, between, crossing_fraction, meets
from seatrial.units import SECONDS_PER_MINUTE

LOWER_IS_BETTER = ("loss", "error", "perplexity", "fid")


@dataclass(frozen=True)
class Evaluation:
    """The quality at one moment. `minutes` on the training clock, None where the log does not tell."""

    value: float
    metric: str | None = None
    """Its name in the log; None: the log has one quality and does not name it."""
    step: float | None = None
    samples: float | None = None
    minutes: float | None = None

    def as_quality(self) -> dict[str, float]:
        known = {"step": self.step, "samples": self.samples, "minutes": self.minutes, "value": self.value}
        return {name: value for name, value in known.items() if value is not None}


@dataclass
class Readings:
    """Figures as the log states them; what it does not state is None or absent."""

    evaluations: list[Evaluation] = field(default_factory=list)
    sample_speeds: list[float] = field(default_factory=list)
    """Samples per second."""
    token_speeds: list[float] = field(default_factory=list)
    """Tokens per second of all devices."""
    losses: list[float] = field(default_factory=list)
    """Training losses, finite."""
    stated: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Other figures of the command's own, by metric; finite."""
    not_finite: str | None = None
    """The last loss or quality in words, where that is not finite."""
    started_ms: float | None = None
    stopped_ms: float | None = None
    status: str | None = None
    benchmark: str | None = None
    clock: str | None = None
    """What `minutes` counts, in words."""
    read: int = 0
    """Lines that were understood."""
    broken: int = 0
    """Lines of the format that are not whole or not well formed."""
    unread: int = 0
    """All other lines."""

    def loss(self, value: float, where: str) -> None:
        """Note a training loss."""
        self.not_finite = None if math.isfinite(value) else f"the training loss is {value} {where}"
        if math.isfinite(value):
            self.losses.append(value)

    def evaluated(self, evaluation: Evaluation, where: str) -> None:
        """Note an evaluation; one that is not finite is a sign of divergence and no measurement."""
        name = evaluation.metric or "the quality"
        finite = math.isfinite(evaluation.value)
        self.not_finite = None if finite else f"{name} is {evaluation.value} {where}"
        if finite:
            self.evaluations.append(evaluation)

    def reached(self, workload: External) -> bool:
        """Whether an evaluation meets the quality that is asked for; False where none is."""
        return self._first_that_meets(workload) is not None

    def best(self, workload: External) -> Evaluation | None:
        """The evaluation nearest to the target's good side, or None."""
        assert workload.quality is not None
        sign = 1 if workload.quality.direction == "lower" else -1
        return min(self._of_quality(workload), key=lambda e: sign * e.value, default=None)

    def quality(self, workload: External) -> Quality | None:
        """Target, both sides of the crossing and the crossing, as far as the log has them; None: no target."""
        goal = workload.quality
        if goal is None:
            return None
        known = Quality(metric=goal.metric, target=goal.target)
        first = self._first_that_meets(workload)
        if first is None:
            return known
        points = self._of_quality(workload)
        after = points[first].as_quality()
        if first == 0:
            return known.model_copy(update={"after": after})
        before = points[first - 1].as_quality()
        crossing = _crossing(before, after, goal)
        return known.model_copy(update={"before": before, "after": after, "crossing": crossing})

    def measurements(self, workload: External) -> list[Measurement]:
        """Everything in figures; what was not read has no measurement."""
        found = self._evaluations(workload)
        series = {
            "mlperf.throughput": self.sample_speeds,
            "train.throughput": self.token_speeds,
            "train.training_loss": self.losses,
            **self.stated,
        }
        found += [measurement(metric, samples) for metric, samples in series.items() if samples]
        quality = self.quality(workload)
        crossing = (quality.crossing if quality else None) or {}
        after = (quality.after if quality else None) or {}
        times = {
            "train.time_to_quality": crossing.get("minutes"),
            "train.time_to_evaluation": after.get("minutes"),
            "train.samples_to_quality": crossing.get("samples"),
            "mlperf.time_to_train": self.minutes_to_train,
        }
        return found + [measurement(name, [value]) for name, value in times.items() if value is not None]

    @property
    def minutes_to_train(self) -> float | None:
        """MLPerf's run_start to run_stop of a run that says it succeeded, or None."""
        if self.started_ms is None or self.stopped_ms is None or self.status != "success":
            return None
        minutes = (self.stopped_ms - self.started_ms) / 1000 / SECONDS_PER_MINUTE
        return minutes if minutes > 0 else None

    def _evaluations(self, workload: External) -> list[Measurement]:
        if workload.format == "torchtitan":
            return [
                measurement("train.evaluation_loss", [e.value], {} if e.step is None else {"step": int(e.step)})
                for e in self.evaluations
            ]
        by_name: dict[str, list[float]] = defaultdict(list)
        for evaluation in self.evaluations:
            by_name[evaluation.metric or self._only_quality(workload)].append(evaluation.value)
        return [
            measurement(f"mlperf.evaluation_{self._family(workload, name)}", values, {"quality": name})
            for name, values in by_name.items()
        ]

    def _only_quality(self, workload: External) -> str:
        """What an evaluation without a name is of."""
        if workload.quality is not None:
            return workload.quality.metric
        known = BENCHMARKS.get(self.benchmark or workload.benchmark or "")
        return known.quality[0].metric if known else "quality"

    def _family(self, workload: External, name: str) -> str:
        return "loss" if self._direction(workload, name) == "lower" else "accuracy"

    def _direction(self, workload: External, name: str) -> Direction:
        """As configured, else as the benchmark has it, else by the name."""
        if workload.quality is not None and workload.quality.metric == name:
            return workload.quality.direction
        known = BENCHMARKS.get(self.benchmark or workload.benchmark or "")
        for goal in known.quality if known else ():
            if goal.metric == name:
                return goal.direction
        return "lower" if any(word in name.lower() for word in LOWER_IS_BETTER) else "higher"

    def _of_quality(self, workload: External) -> list[Evaluation]:
        assert workload.quality is not None
        return [e for e in self.evaluations if e.metric in (None, workload.quality.metric)]

    def _first_that_meets(self, workload: External) -> int | None:
        goal = workload.quality
        if goal is None:
            return None
        points = enumerate(self._of_quality(workload))
        return next((n for n, e in points if meets(e.value, goal.target, goal.direction)), None)


def _crossing(before: dict[str, float], after: dict[str, float], goal: ExternalQuality) -> dict[str, float] | None:
    """Where the target is crossed, by all that both sides state; None where figures are beyond reason."""
    try:
        fraction = crossing_fraction(before["value"], after["value"], goal.target, goal.direction)
    except (ValueError, OverflowError, ZeroDivisionError):
        return None
    shared = [name for name in before if name in after and name != "value"]
    crossing = {name: between(before[name], after[name], fraction) for name in shared}
    return crossing if all(math.isfinite(value) for value in crossing.values()) else None
