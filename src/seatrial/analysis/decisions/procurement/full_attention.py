"""Steps of hybrid over those of full attention, from runs of hybrid_attention that differ in their layers alone.

tables/emergence.csv compares windows with each other; a study that sweeps `workload.pattern` over [full, full] and
[sliding_window, full] holds this comparison in its runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import pandas as pd

from seatrial.analysis.decisions.basis import Basis
from seatrial.analysis.survival import Effect, Reach, times_longer
from seatrial.case import Case
from seatrial.config.procurement import Hybrid
from seatrial.config.training import BETTER, HybridAttention, QualityTarget

LAYERS = {"pattern", "cycles", "window"}
"""What may differ between the two."""


class Compared(NamedTuple):
    """The effect, the pattern that was trained, and in how many runs."""

    effect: Effect
    pattern: str
    runs: int


def against_full(basis: Basis, hybrid: Hybrid) -> Compared | None:
    """How many times the steps to `hybrid.quality`; None unless exactly one pair of cases says it.

    Raises UnreadableFile where `collect` has not run.
    """
    trained = [case for case in basis.cases.values() if isinstance(case.workload, HybridAttention)]
    windowed = [case for case in trained if _has_window(_work(case), hybrid.window)]
    full = [case for case in trained if set(_work(case).pattern) == {"full"}]
    pairs = [
        (one, other, quality)
        for one, other in product(full, windowed)
        if _alike(one, other) and (quality := _quality(_work(other), hybrid.quality)) is not None
    ]
    if len(pairs) != 1:
        return None
    (one, other, quality) = pairs[0]
    runs = [_runs(basis, case, quality) for case in (one, other)]
    if not all(runs):
        return None
    budgets = float(_work(one).max_steps), float(_work(other).max_steps)
    return Compared(times_longer(runs[0], runs[1], budgets), ", ".join(_work(other).pattern), len(runs[1]))


def _work(case: Case) -> HybridAttention:
    assert isinstance(case.workload, HybridAttention)
    return case.workload


def _has_window(work: HybridAttention, window: int) -> bool:
    return work.window == window and set(work.pattern) == {"sliding_window", "full"}


def _alike(one: Case, other: Case) -> bool:
    same = _work(one).model_dump(exclude=LAYERS) == _work(other).model_dump(exclude=LAYERS)
    return same and one.target == other.target and len(_work(one).mixers) == len(_work(other).mixers)


def _quality(work: HybridAttention, metric: str) -> QualityTarget | None:
    return next((quality for quality in (work.quality, *work.also) if quality.metric == metric), None)


def _runs(basis: Basis, case: Case, quality: QualityTarget) -> Sequence[Reach]:
    """When each run reached the quality, in steps; one that diverged reaches nothing more before its budget."""
    frame = basis.measurements
    chosen = frame[(frame["case_id"] == case.case_id) & (frame["metric"] == f"train.{quality.metric}")]
    found = []
    for repeat in basis.repeats:
        if repeat["case_id"] != case.case_id:
            continue
        run = _reach(chosen[chosen["repeat"] == repeat["repeat"]], quality)
        if repeat["error_kind"] == "diverged" and (run is None or run.by is None):
            run = Reach(float(_work(case).max_steps), None)
        found += [] if run is None else [run]
    return found


def _reach(evaluations: pd.DataFrame, quality: QualityTarget) -> Reach | None:
    """Between which evaluations a run reached the quality; None where it has none."""
    steps = [float(json.loads(labels)["step"]) for labels in evaluations["labels"]]
    before = 0.0
    for step, value in sorted(zip(steps, evaluations["median"], strict=True)):
        if value >= quality.target if BETTER[quality.metric] == "higher" else value <= quality.target:
            return Reach(before, step)
        before = step
    return Reach(before, None) if steps else None
