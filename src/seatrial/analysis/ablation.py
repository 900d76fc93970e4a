"""tables/ablation.csv: what a feature of the fabric is worth, from cases that differ in nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import pandas as pd

from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.analysis.measurements import completed_rows, read_measurements
from seatrial.analysis.ratio import Estimate, estimate, ratio
from seatrial.analysis.statistics import log_spread
from seatrial.analysis.tables import AXIS, axis_columns, axis_names, canonical_json, write_csv
from seatrial.case import Case, case_id
from seatrial.config.metrics import METRICS
from seatrial.config.metrics.dataload import PREFIX, dataload_metric
from seatrial.paths import StudyPaths

JUDGED_BY = (
    "collective.bus_bandwidth",
    "bisection.bandwidth",
    "moe_alltoall.layer_time",
    "moe_alltoall.time",
    "gemm.throughput",
    "memory.bandwidth",
    "memory.cached_bandwidth",
    "memory.unproven_bandwidth",
    "memory.host_bandwidth",
    "checkpoint.write_bandwidth",
    "checkpoint.read_bandwidth",
    *(dataload_metric(origin, "throughput") for origin in PREFIX),
    "train.step_time",
    "train.throughput",
    "train.sample_throughput",
    "train.exposed_communication_time",
)
"""The metrics that are compared, of those that a case has."""
NOT_COMPARED = ("rank", "device")
"""Labels whose rows are taken together: the median over them is a repeat's value."""
CONFIDENCE = 0.95
COLUMNS = (
    "study",
    "target",
    "experiment",
    "workload",
    "ablation",
    "description",
    "without",
    "case_id",
    "full_case_id",
    "metric",
    "unit",
    "direction",
    "labels",
    "size_bytes",
    "full",
    "full_repeats",
    "ablated",
    "ablated_repeats",
    "slowdown",
    "slowdown_low",
    "slowdown_high",
    "interval_method",
    "standing",
    "note",
)
"""`full` and `ablated`: medians with everything on and without the feature. `slowdown`: how many times slower the
work is without it, above 1 where the feature helps, whichever direction of the metric is better."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Pair:
    """A case without a feature, and the case that has it and differs in nothing else; None: the study has none."""

    ablated: Case
    full: Case | None


def ablation(paths: StudyPaths) -> None:
    """Write tables/ablation.csv, a row for each such pair, metric and labels; remove it where nothing is ablated.

    Raises UnreadableFile where `collect` has not run.
    """
    cases = read_cases(paths, read_plan(paths))
    pairs = pairs_of(cases)
    if not pairs:
        paths.ablation.unlink(missing_ok=True)
        return
    measurements, names = read_measurements(paths), axis_names(case.axes for case in cases)
    rows = [
        row | axis_columns(pair.ablated.axes, names) for pair in pairs for row in _rows_of_pair(pair, measurements)
    ]
    write_csv(paths.ablation, [*COLUMNS, *(AXIS + name for name in names)], rows)


def pairs_of(cases: Sequence[Case]) -> list[Pair]:
    """Every case that runs without something, and the one that runs with it; of several that of its experiment."""
    full: dict[str, list[Case]] = {}
    for case in cases:
        if case.target.ablation is None:
            full.setdefault(_but_for_ablation(case), []).append(case)
    pairs = []
    for case in cases:
        if case.target.ablation is not None:
            alike = full.get(_but_for_ablation(case), [])
            own = [other for other in alike if other.experiment == case.experiment]
            pairs.append(Pair(case, next(iter([*own, *alike]), None)))
    return pairs


def _but_for_ablation(case: Case) -> str:
    """Equal for cases that differ in nothing but the ablation and the experiment's name."""
    return case_id("", case.workload, case.target.model_copy(update={"ablation": None}), case.base_seed)


def _rows_of_pair(pair: Pair, measurements: pd.DataFrame) -> list[Row]:
    rows = []
    for metric in JUDGED_BY:
        ablated = _values(pair.ablated, metric, measurements)
        full = _values(pair.full, metric, measurements) if pair.full is not None else {}
        found = [_row(pair, metric, labels, full, ablated) for labels in dict.fromkeys([*full, *ablated])]
        rows += sorted(found, key=lambda row: row["size_bytes"] or 0)
    return rows or [_base(pair) | {"standing": "undefined", "note": _nothing(pair, {}, {})}]


def _values(case: Case, metric: str, measurements: pd.DataFrame) -> dict[str, list[float]]:
    """Labels (as JSON) -> a value for each completed repeat; a training's stretches and a probe's ranks in one."""
    found: dict[str, dict[int, list[float]]] = {}
    for row in completed_rows(measurements, case.case_id, metric):
        kept = {} if metric.startswith("train.") else row.labels
        text = canonical_json({name: value for name, value in kept.items() if name not in NOT_COMPARED})
        found.setdefault(text, {}).setdefault(row.repeat, []).append(row.median)
    return {labels: [median(values) for values in by_repeat.values()] for labels, by_repeat in found.items()}


def _base(pair: Pair) -> Row:
    case = pair.ablated
    name = case.target.ablation or ""
    what = case.target.ablations[name]
    return {
        "study": case.study,
        "target": case.target.name,
        "experiment": case.experiment,
        "workload": case.workload.kind,
        "ablation": name,
        "description": what.description,
        "without": ", ".join(what.without) or None,
        "case_id": case.case_id,
        "full_case_id": pair.full.case_id if pair.full is not None else None,
    }


def _row(
    pair: Pair, metric: str, labels: str, full: dict[str, list[float]], ablated: dict[str, list[float]]
) -> Row:
    known = METRICS[metric]
    with_it, without_it = full.get(labels, []), ablated.get(labels, [])
    slowdown = _slowdown(with_it, without_it, known.direction)
    return (
        _base(pair)
        | {
            "metric": metric,
            "unit": known.unit,
            "direction": known.direction,
            "labels": labels,
            "size_bytes": _size(labels),
            "full": median(with_it) if with_it else None,
            "full_repeats": len(with_it),
            "ablated": median(without_it) if without_it else None,
            "ablated_repeats": len(without_it),
        }
        | slowdown
        | ({"note": _nothing(pair, with_it, without_it)} if slowdown["slowdown"] is None else {})
    )


def _size(labels: str) -> int | None:
    found = json.loads(labels).get("size_bytes")
    return int(found) if found is not None else None


def _slowdown(full: Sequence[float], ablated: Sequence[float], direction: str) -> Row:
    """The ratio of medians with a two-sided interval; undefined without values, or where one is not positive."""
    if not full or not ablated or min(*full, *ablated) <= 0:
        return {"slowdown": None, "standing": "undefined"}
    slow, fast = (ablated, full) if direction == "lower" else (full, ablated)
    found = ratio(_estimate(slow), _estimate(fast))
    side = (1 + CONFIDENCE) / 2
    low, high = found.bound("lower", side), found.bound("upper", side)
    method = f"t {100 * CONFIDENCE:g} % of the logs of both sides' repeats (Welch)"
    few = "none (a side has fewer than two repeats)"
    return {
        "slowdown": found.value,
        "slowdown_low": low,
        "slowdown_high": high,
        "interval_method": few if low is None else method,
        "standing": _standing(low, high),
    }


def _estimate(values: Sequence[float]) -> Estimate:
    return estimate(median(values), log_spread(values), len(values))


def _standing(low: float | None, high: float | None) -> str:
    """slower or faster without the feature where the interval says so, else inconclusive; undefined without one."""
    if low is None or high is None or not math.isfinite(high):
        return "undefined"
    if low > 1:
        return "slower"
    return "faster" if high < 1 else "inconclusive"


def _nothing(pair: Pair, full: Any, ablated: Any) -> str:
    """Why there is no ratio."""
    if pair.full is None:
        return "the study has no case that differs in nothing but this and has everything on"
    if not full and not ablated:
        return "no completed repeat with it, and none without"
    if not full:
        return "no completed repeat with everything on"
    return "no completed repeat without it" if not ablated else "a value is not positive"
