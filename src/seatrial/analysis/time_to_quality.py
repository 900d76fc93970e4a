"""tables/measurements.parquet and repeats.csv -> tables/time_to_quality.csv, one row per training case."""

from __future__ import annotations

from typing import Any

import pandas as pd

from seatrial.analysis.inputs import is_training, read_cases, read_plan
from seatrial.analysis.measurements import medians_by_repeat, read_measurements, read_repeats
from seatrial.analysis.statistics import median, median_interval, olympic_mean
from seatrial.analysis.tables import AXIS, axis_columns, axis_names, write_csv
from seatrial.case import Case
from seatrial.config.metrics import METRICS
from seatrial.config.training import LlmFinetune
from seatrial.paths import StudyPaths

COLUMNS = (
    "study",
    "target",
    "experiment",
    "workload",
    "case_id",
    "accelerators",
    "ranks",
    "repeats",
    "converged",
    "quality_metric",
    "quality_target",
    "median_minutes",
    "low_minutes",
    "high_minutes",
    "interval_method",
    "olympic_minutes",
    "evaluation_minutes",
    "samples_to_quality",
    "throughput",
    "throughput_unit",
    "result_status",
)
NOT_CONVERGED = ("target_not_reached", "diverged")
"""Kinds of error that MLPerf counts as a run that did not converge."""


def time_to_quality(paths: StudyPaths) -> None:
    """Write tables/time_to_quality.csv: medians over completed repeats, `repeats` and `converged` as counts."""
    cases = read_cases(paths, read_plan(paths))
    measurements = read_measurements(paths)
    repeats = read_repeats(paths)
    names = axis_names(case.axes for case in cases)
    rows = [_row(case, measurements, repeats, names) for case in cases if is_training(case)]
    write_csv(paths.time_to_quality, [*COLUMNS, *(AXIS + name for name in names)], rows)


def _row(case: Case, measurements: pd.DataFrame, repeats: pd.DataFrame, names: list[str]) -> dict[str, Any]:
    assert isinstance(case.workload, LlmFinetune)
    minutes = medians_by_repeat(measurements, case.case_id, "train.time_to_quality")
    interval = median_interval(minutes)
    return {
        "study": case.study,
        "target": case.target.name,
        "experiment": case.experiment,
        "workload": case.workload.kind,
        "case_id": case.case_id,
        "accelerators": case.target.accelerators,
        "ranks": case.target.world_size,
        "repeats": case.repeats,
        "converged": len(minutes),
        "quality_metric": case.workload.quality.metric,
        "quality_target": case.workload.quality.target,
        "median_minutes": median(minutes),
        "low_minutes": interval.low,
        "high_minutes": interval.high,
        "interval_method": interval.method,
        "olympic_minutes": _olympic(minutes, repeats[repeats["case_id"] == case.case_id]),
        "evaluation_minutes": median(medians_by_repeat(measurements, case.case_id, "train.time_to_evaluation")),
        "samples_to_quality": median(medians_by_repeat(measurements, case.case_id, "train.samples_to_quality")),
        "throughput": median(medians_by_repeat(measurements, case.case_id, "train.throughput")),
        "throughput_unit": METRICS["train.throughput"].unit,
        "result_status": "unverified",
        **axis_columns(case.axes, names),
    }


def _olympic(minutes: list[float], repeats: pd.DataFrame) -> float | None:
    """MLPerf's score over all planned repeats; None where one failed for any reason other than convergence."""
    not_converged = int(repeats["error_kind"].isin(NOT_CONVERGED).sum())
    if len(minutes) + not_converged != len(repeats):
        return None
    return olympic_mean(minutes, not_converged)
