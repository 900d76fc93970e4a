"""Reference convergence points of own workloads: how many samples a configuration needs, from runs with many seeds.

A machine may make a training faster; it cannot make it learn from fewer samples. Runs that need fewer than luck
allows did other work, and runs that need more learn worse (precision, data order, a fault). The limit is MLPerf's
(training_rules.adoc, "Reference Convergence Points"; rcp_checker of mlperf-logging): a one-sided two-sample t-test
with equal variance, p = 0.05, on means without the best and the worst run.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError
from scipy import special

from seatrial.case import Case, content_hash
from seatrial.config.base import Closed, first_mistake
from seatrial.config.training import Training
from seatrial.errors import UnreadableFile

FILE = "own_points.json"
SIGNIFICANCE = 0.05
LEAST_RUNS = 3
"""Fewer have no mean without the best and the worst."""
NO_MATTER = (
    "time_limit_minutes",
    "rank_timeout_minutes",
    "telemetry_interval_seconds",
    "profile_steps",
    "checkpoint_interval_steps",
    "checkpoint_mode",
    "activation_checkpointing",
    "cpu_threads",
    "parallelism",
    "batch_size",
    "gradient_accumulation",
    "benchmark",
    "division",
)
"""What changes how fast a machine trains, not what it learns from a sample (with the global batch beside it)."""

Standing = Literal["as_reference", "faster", "slower", "not_known"]


class Point(Closed):
    """The samples that every reference run of one configuration needed to its target."""

    name: str
    key: str
    """Hash of the configuration as far as it matters, and of the global batch."""
    global_batch_size: int = Field(gt=0)
    samples: list[float] = Field(min_length=2 * LEAST_RUNS)
    """At the first evaluation that meets the target, one for each seed."""
    seeds: list[int]
    data: dict[str, str]
    """SHA-256 of what was trained and evaluated on, by use: another Python's library is another text."""
    source: str
    """Which runs, on what, when."""


@dataclass(frozen=True)
class Spread:
    """What is known of reference runs: their samples to the target."""

    mean: float
    """Without the best and the worst run."""
    deviation: float
    """Over all runs (divided by their number), as rcp_checker has it."""
    kept: int
    """Runs in the mean."""
    words: str
    """Whose they are."""


@dataclass(frozen=True)
class Check:
    """How runs stand to their reference point; samples, means without the best and the worst run."""

    standing: Standing
    words: str
    own_mean: float | None = None
    reference_mean: float | None = None
    least_accepted: float | None = None
    most_accepted: float | None = None


def key_of(case: Case) -> tuple[str, int]:
    """What identifies the configuration of a training case, and its global batch."""
    workload = case.workload
    assert isinstance(workload, Training)
    batch = workload.global_batch(case.target.world_size)
    # without what is at its default, so that a key that is added later leaves old points standing
    content = workload.model_dump(mode="json", exclude=set(NO_MATTER), exclude_defaults=True)
    return content_hash({"workload": content, "global_batch_size": batch}), batch


def data_of(provenance: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of what a run was trained and evaluated on, from its record's provenance, by use."""
    found = {use: str(facts["sha256"]) for use, facts in (provenance.get("datasets") or {}).items()}
    base = provenance.get("base_model")
    return found | ({"base model": str(base["corpus"]["sha256"])} if base else {})


@functools.cache
def shipped_points() -> tuple[Point, ...]:
    """The points that come with Seatrial. Raises UnreadableFile where the file is damaged."""
    file = resources.files("seatrial.reference").joinpath(FILE)
    try:
        return tuple(TypeAdapter(list[Point]).validate_json(file.read_text(encoding="utf-8")))
    except ValidationError as problem:
        raise UnreadableFile(FILE, first_mistake(problem)) from problem


def point_of(case: Case, points: Sequence[Point] | None = None) -> Point | None:
    """The reference point of a case's configuration, or None."""
    key, _ = key_of(case)
    return next((point for point in (shipped_points() if points is None else points) if point.key == key), None)


def check(point: Point, samples: Sequence[float], data: Mapping[str, str], not_converged: int = 0) -> Check:
    """Hold runs on `data` against their point: `samples` of those that met the target; one may have missed it."""
    if others := [use for use in {**point.data, **data} if point.data.get(use) != data.get(use)]:
        return Check("not_known", f"the reference runs had other data: {', '.join(others)}")
    count = len(point.samples)
    mean, deviation = float(np.mean(sorted(point.samples)[1:-1])), float(np.std(point.samples))
    return held_against(Spread(mean, deviation, count - 2, f"of {count}"), samples, not_converged)


def held_against(spread: Spread, samples: Sequence[float], not_converged: int = 0) -> Check:
    """Hold runs against reference runs: `samples` of those that met the target; at most one may have missed it."""
    runs, reference = len(samples) + not_converged, spread.mean
    if runs < LEAST_RUNS:
        return Check("not_known", f"{runs} of the {LEAST_RUNS} runs that a mean needs", reference_mean=reference)
    if not_converged > 1:
        return Check("slower", f"{not_converged} of {runs} runs missed the target", reference_mean=reference)
    ordered = sorted(samples)
    own = float(np.mean(ordered[1:] if not_converged else ordered[1:-1]))
    allowed = _allowance(spread, runs)
    least, most = reference - allowed, reference + allowed
    numbers = own, reference, least, most
    compared = f"mean {own:.6g} samples of {runs} runs, reference {reference:.6g} {spread.words}"
    if own < least:
        words = f"learns from fewer samples than chance allows ({least:.6g} at least): not the same work"
        return Check("faster", f"{words}; {compared}", *numbers)
    if own > most:
        return Check("slower", f"needs more samples than chance explains ({most:.6g}); {compared}", *numbers)
    return Check("as_reference", compared, *numbers)


def _allowance(spread: Spread, runs: int) -> float:
    """How far a mean of `runs` may lie from the reference's: the one-sided two-sample t-test, equal variance.

    As rcp_checker has it: the reference's standard deviation over all its runs stands for both, and both counts are
    without the two runs that the means leave out.
    """
    own = runs - 2
    error = spread.deviation * math.sqrt(1 / spread.kept + 1 / own)
    return error * float(special.stdtrit(spread.kept + own - 2, 1 - SIGNIFICANCE))


def new_point(
    case: Case, samples: Sequence[float], seeds: Sequence[int], data: Mapping[str, str], source: str
) -> dict[str, Any]:
    """A point from runs of a case, as plain values."""
    key, batch = key_of(case)
    point = Point(
        name=case.experiment,
        key=key,
        global_batch_size=batch,
        samples=list(samples),
        seeds=list(seeds),
        data=dict(data),
        source=source,
    )
    return point.model_dump(mode="json")
