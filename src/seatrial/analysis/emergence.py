"""tables/emergence.csv and emergence_runs.csv: after how many tokens a quality is reached, by window.

Large-Window Laziness (arXiv 2606.15378): the larger the window of the sliding-window layers, the later the full
layers learn to retrieve what lies beyond it, while the loss falls no later. So retrieval stands beside loss.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.analysis.measurements import read_measurements, read_repeats
from seatrial.analysis.survival import (
    Effect,
    Reach,
    exact_p,
    logrank_p,
    median_reach,
    reach_interval,
    times_longer,
)
from seatrial.analysis.tables import canonical_json, rows_of, write_csv
from seatrial.case import Case
from seatrial.config.training import BETTER, HybridAttention, QualityTarget
from seatrial.paths import StudyPaths
from seatrial.units import format_figure

AXIS = "workload.window"
RETRIEVAL, LOSS = "retrieval_accuracy", "evaluation_loss"
COLUMNS = (
    "study",
    "experiment",
    "other_axes",
    "case_id",
    "window",
    "quality_metric",
    "quality_target",
    "runs",
    "reached",
    "left_out",
    "budget_tokens",
    "tokens_per_step",
    "median_tokens",
    "low_tokens",
    "high_tokens",
    "interval_method",
    "median_steps",
    "reference_window",
    "multiplier",
    "multiplier_low",
    "multiplier_high",
    "multiplier_method",
    "multiplier_words",
    "logrank_p",
    "exact_p",
)
"""A row for each window and quality. `runs` count; those without any evaluation are `left_out`.
The multiplier is of steps, and of tokens alike, over those of the smallest window."""
RUN_COLUMNS = (
    "study",
    "experiment",
    "other_axes",
    "case_id",
    "repeat",
    "window",
    "quality_metric",
    "after_tokens",
    "by_tokens",
    "reached",
)
"""A row for each run and quality: reached after `after_tokens`, by `by_tokens`; or not until `after_tokens`."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Finding:
    """Whether a group of cases shows Large-Window Laziness, and why, in words."""

    experiment: str
    other_axes: str
    standing: Literal["shown", "contradicted", "not_known"]
    words: str


@dataclass(frozen=True)
class _Watched:
    """The runs of one case to one quality, in tokens."""

    case: Case
    window: float
    quality: QualityTarget
    runs: dict[int, Reach]
    left_out: int
    tokens_per_step: int
    budget: float

    @property
    def reaches(self) -> list[Reach]:
        return list(self.runs.values())


def emergence(paths: StudyPaths) -> None:
    """Write both tables, where the study sweeps the window of a hybrid_attention workload; else remove them."""
    groups = windows_of(read_cases(paths, read_plan(paths)))
    if not groups:
        for stale in (paths.emergence, paths.emergence_runs):
            stale.unlink(missing_ok=True)
        return
    evaluations, repeats = read_measurements(paths), read_repeats(paths)
    rows: list[Row] = []
    run_rows: list[Row] = []
    for cases in groups.values():
        for quality in _qualities(cases):
            watched = [w for case in cases if (w := _watched(case, quality, evaluations, repeats)) is not None]
            rows += [_row(watched[0], one) for one in watched]
            run_rows += [row for one in watched for row in _run_rows(one)]
    write_csv(paths.emergence, COLUMNS, rows)
    write_csv(paths.emergence_runs, RUN_COLUMNS, run_rows)


def windows_of(cases: Iterable[Case]) -> dict[tuple[str, str], list[Case]]:
    """Cases that differ in nothing but the window, smallest first, by experiment and their other axes."""
    groups: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        if isinstance(case.workload, HybridAttention) and AXIS in case.axes:
            groups.setdefault((case.experiment, _other_axes(case)), []).append(case)
    several = {key: found for key, found in groups.items() if len({_window(case) for case in found}) > 1}
    return {key: sorted(found, key=_window) for key, found in several.items()}


def findings(rows: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """What the rows of emergence.csv say of the largest window against the smallest, for each group of cases."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((str(row["experiment"]), str(row["other_axes"])), []).append(row)
    found = []
    for (experiment, other_axes), group in groups.items():
        largest = max(row["window"] for row in group)
        effects = {row["quality_metric"]: row for row in group if row["window"] == largest}
        if RETRIEVAL in effects:
            standing, words = _judged(effects[RETRIEVAL], effects.get(LOSS))
            found.append(Finding(experiment, other_axes, standing, words))
    return found


def _judged(
    retrieval: Mapping[str, Any], loss: Mapping[str, Any] | None
) -> tuple[Literal["shown", "contradicted", "not_known"], str]:
    """Retrieval must come later, and by more than the loss: a window that slows everything is not lazy."""
    large, small = (format_figure(retrieval[name]) for name in ("window", "reference_window"))
    compared = f"with a window of {large} against {small}"
    later = f"retrieval takes {retrieval['multiplier_words']} the tokens {compared}"
    low, high = retrieval["multiplier_low"], retrieval["multiplier_high"]
    if low is None and high is None:
        return "not_known", f"How much later retrieval comes {compared} is {retrieval['multiplier_words']}."
    if high is not None and high <= 1:
        return "contradicted", f"{later[0].upper()}{later[1:]}: not later."
    if low is None or low <= 1:
        return "not_known", f"{later[0].upper()}{later[1:]}: an interval that does not exclude 1."
    if loss is None:
        return (
            "not_known",
            f"{later[0].upper()}{later[1:]}, but tokens to loss were not asked for: `also` names none.",
        )
    beside = f"{later}, and loss {loss['multiplier_words']}"
    if loss["multiplier_high"] is None or loss["multiplier_high"] >= low:
        return "not_known", (
            f"{beside[0].upper()}{beside[1:]}: retrieval comes later, but the intervals overlap, so that training "
            "may only be slower altogether."
        )
    return "shown", f"{beside[0].upper()}{beside[1:]}: by its loss training is done before retrieval comes."


def effect_words(effect: Effect) -> str:
    """'3.1x (2.0x to 5.6x)', 'at least 3.1x (95 %)', or why there is none; never a number where there is none."""
    low, high = (None if end is None else f"{format_figure(end, 3)}x" for end in (effect.low, effect.high))
    if effect.value is not None and (low or high):
        span = f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"
        return f"{format_figure(effect.value, 3)}x ({span})"
    if low and high:
        return f"between {low} and {high} (95 %)"
    if low or high:
        return f"at least {low} (95 %)" if low else f"at most {high} (95 %)"
    return "not known: " + effect.method.removeprefix("none (").removesuffix(")")


def _watched(
    case: Case, quality: QualityTarget, evaluations: pd.DataFrame, repeats: pd.DataFrame
) -> _Watched | None:
    """The runs of a case, whatever became of them; None where it does not ask for this quality.

    One that diverged reaches nothing more: not before its budget. One that broke off (time limit, memory, node,
    crash) counts as not before its last evaluation: why it did is taken to say nothing of how long it would take.
    """
    workload = case.workload
    assert isinstance(workload, HybridAttention)
    if quality not in (workload.quality, *workload.also):
        return None
    tokens = workload.global_batch(case.target.world_size) * workload.retrieval.sequence_length
    chosen = evaluations[
        (evaluations["case_id"] == case.case_id) & (evaluations["metric"] == f"train.{quality.metric}")
    ]
    budget = float(workload.max_steps * tokens)
    runs: dict[int, Reach] = {}
    for repeat in rows_of(repeats[repeats["case_id"] == case.case_id]):
        found = _reach(chosen[chosen["repeat"] == repeat["repeat"]], quality, tokens)
        if repeat["error_kind"] == "diverged" and (found is None or found.by is None):
            found = Reach(budget, None)
        runs |= {} if found is None else {int(repeat["repeat"]): found}
    return _Watched(case, _window(case), quality, runs, case.repeats - len(runs), tokens, budget)


def _reach(evaluations: pd.DataFrame, quality: QualityTarget, tokens_per_step: int) -> Reach | None:
    """When a run reached a quality, from its evaluations; None where it has none."""
    steps = [int(json.loads(labels)["step"]) for labels in evaluations["labels"]]
    values = sorted(zip(steps, evaluations["median"], strict=True))
    before = 0
    for step, value in values:
        if value >= quality.target if BETTER[quality.metric] == "higher" else value <= quality.target:
            return Reach(float(before * tokens_per_step), float(step * tokens_per_step))
        before = step
    return Reach(float(before * tokens_per_step), None) if values else None


def _row(reference: _Watched, one: _Watched) -> Row:
    runs = one.reaches
    median, interval = median_reach(runs), reach_interval(runs)
    row: Row = {
        **_key(one),
        "quality_target": one.quality.target,
        "runs": len(runs),
        "reached": sum(run.by is not None for run in runs),
        "left_out": one.left_out,
        "budget_tokens": one.budget,
        "tokens_per_step": one.tokens_per_step,
        "median_tokens": median,
        "low_tokens": interval.low,
        "high_tokens": interval.high,
        "interval_method": interval.method,
        "median_steps": None if median is None else median / one.tokens_per_step,
        "reference_window": reference.window,
    }
    if one is reference:
        return row | {"multiplier_method": "the reference", "multiplier_words": "the reference"}
    effect = times_longer(reference.reaches, runs, (reference.budget, one.budget))
    return row | {
        "multiplier": effect.value,
        "multiplier_low": effect.low,
        "multiplier_high": effect.high,
        "multiplier_method": effect.method,
        "multiplier_words": effect_words(effect),
        "logrank_p": logrank_p(reference.reaches, runs),
        "exact_p": exact_p(reference.reaches, runs, min(reference.budget, one.budget)),
    }


def _run_rows(one: _Watched) -> list[Row]:
    return [
        {
            **_key(one),
            "repeat": repeat,
            "after_tokens": run.after,
            "by_tokens": run.by,
            "reached": run.by is not None,
        }
        for repeat, run in sorted(one.runs.items())
    ]


def _key(one: _Watched) -> Row:
    return {
        "study": one.case.study,
        "experiment": one.case.experiment,
        "other_axes": _other_axes(one.case),
        "case_id": one.case.case_id,
        "window": one.window,
        "quality_metric": one.quality.metric,
    }


def _qualities(cases: Sequence[Case]) -> list[QualityTarget]:
    """Every quality that a case asks for, retrieval first."""
    found: dict[QualityTarget, None] = {}
    for case in cases:
        assert isinstance(case.workload, HybridAttention)
        found |= dict.fromkeys((case.workload.quality, *case.workload.also))
    return sorted(found, key=lambda quality: quality.metric != RETRIEVAL)


def _window(case: Case) -> float:
    return float(case.axes[AXIS])


def _other_axes(case: Case) -> str:
    return canonical_json({name: value for name, value in case.axes.items() if name != AXIS})
