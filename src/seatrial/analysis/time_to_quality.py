"""tables/measurements.parquet and repeats.csv -> tables/time_to_quality.csv, one row per training case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from seatrial.analysis.comparable import trimmed_mean
from seatrial.analysis.handed_over import Runs, runs_of
from seatrial.analysis.inputs import is_training, read_cases, read_plan
from seatrial.analysis.measurements import medians_by_repeat, read_measurements, read_repeats
from seatrial.analysis.statistics import median, olympic_mean, reached_interval, reached_median
from seatrial.analysis.tables import AXIS, axis_columns, axis_names, write_csv
from seatrial.case import Case
from seatrial.config.ingested import MlperfLogs
from seatrial.config.metrics import METRICS
from seatrial.config.training import Diffusion, External, Training
from seatrial.paths import StudyPaths

Medians = Callable[[str], list[float]]
"""The medians of a metric over the completed repeats of one case."""
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
    "clock",
    "scaling_factor",
    "score_minutes",
    "score_note",
)
"""`score_note`: what the score of logs handed over is made of, or why there is none."""
NOT_CONVERGED = ("target_not_reached", "diverged")
"""Kinds of error that MLPerf counts as a run that did not converge: it never reaches its quality."""
TO_QUALITY = (
    "train.time_to_quality",
    "train.time_to_evaluation",
    "train.mlperf_minutes",
    "train.samples_to_quality",
    "train.samples_to_evaluation",
)
"""Metrics of a training that are infinite for a run that did not converge."""
TRAINING_CLOCK = "training, without evaluations and checkpoints"
MLPERF_CLOCK = "MLPerf's time to train, run_start to run_stop"
EXTERNAL_CLOCK = "the command's own, as its log tells it; the records say what it counts"


def time_to_quality(paths: StudyPaths) -> None:
    """Write tables/time_to_quality.csv; `repeats` and `converged` are counts.

    Medians to quality are over completed repeats and those that did not converge, at infinity: medians of survivors
    would flatter. They are empty where infinite. Throughput is of completed repeats.
    """
    cases = read_cases(paths, read_plan(paths))
    measurements = read_measurements(paths)
    repeats = read_repeats(paths)
    names = axis_names(case.axes for case in cases)
    rows = [_row(case, measurements, repeats, names) for case in cases if is_training(case)]
    write_csv(paths.time_to_quality, [*COLUMNS, *(AXIS + name for name in names)], rows)


def _row(case: Case, measurements: pd.DataFrame, repeats: pd.DataFrame, names: list[str]) -> dict[str, Any]:
    of_case = repeats[repeats["case_id"] == case.case_id]
    never = not_converged(of_case)

    def medians(metric: str) -> list[float]:
        return medians_by_repeat(measurements, case.case_id, metric)

    if isinstance(case.workload, MlperfLogs):
        minutes = medians("mlperf.time_to_train")
        found = _ingested(case.workload, medians, never, runs_of(case, of_case["outcome"].tolist()))
    else:
        assert isinstance(case.workload, Training | External)
        minutes = medians("train.time_to_quality")
        found = _trained(case.workload, medians, never, of_case)
    interval = reached_interval(minutes, never)
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
        "median_minutes": reached_median(minutes, never),
        "low_minutes": interval.low,
        "high_minutes": interval.high,
        "interval_method": interval.method,
        "result_status": "unverified",
        **found,
        **axis_columns(case.axes, names),
    }


def not_converged(repeats: pd.DataFrame) -> int:
    """How many of these rows of repeats.csv are of runs that did not converge."""
    return int(repeats["error_kind"].isin(NOT_CONVERGED).sum())


def _trained(workload: Training | External, medians: Medians, never: int, repeats: pd.DataFrame) -> dict[str, Any]:
    """The columns of a training that ran here, ours or a command's; `never`: repeats that did not converge."""
    assert workload.quality is not None
    speed = _speed_of(workload)
    found = {
        "quality_metric": workload.quality.metric,
        "quality_target": workload.quality.target,
        "olympic_minutes": _olympic(medians("train.time_to_quality"), never, len(repeats)),
        "evaluation_minutes": reached_median(medians("train.time_to_evaluation"), never),
        "samples_to_quality": reached_median(medians("train.samples_to_quality"), never),
        "throughput": median(medians(speed)),
        "throughput_unit": METRICS[speed].unit,
        "clock": TRAINING_CLOCK,
    }
    if isinstance(workload, External):
        # a log need not tell when the quality was reached
        return found | {"clock": EXTERNAL_CLOCK, "converged": int((repeats["outcome"] == "completed").sum())}
    return found


def _speed_of(workload: Training | External) -> str:
    """The metric of a training's throughput: tokens, or samples where there are none."""
    if isinstance(workload, External):
        return "train.throughput" if workload.format == "torchtitan" else "mlperf.throughput"
    return "train.sample_throughput" if isinstance(workload, Diffusion) else "train.throughput"


def _ingested(workload: MlperfLogs, medians: Medians, never: int, runs: Runs) -> dict[str, Any]:
    """The columns of logs that were handed over, in MLPerf's terms: minutes as run, and the score with the factor.

    `score_minutes` only where the logs are a result as MLPerf asks for: else it is no score.
    """
    facts = workload.facts
    whole = runs.logs == runs.planned
    olympic = trimmed_mean(medians("mlperf.time_to_train"), runs.failed, facts.dropped) if whole else None
    factor = median(medians("mlperf.scaling_factor"))
    score, note = None, runs.gap or "no scaling factor: no score"
    if olympic is not None and factor is not None and runs.gap is None:
        score, note = olympic * factor, f"olympic mean of {runs.counted}, x {factor:.6g} (scaling factor)"
    return {
        "quality_metric": facts.quality_name,
        "quality_target": facts.quality[0].target,
        "olympic_minutes": olympic,
        "samples_to_quality": reached_median(medians("mlperf.samples_to_quality"), never),
        "throughput": median(medians("mlperf.throughput")),
        "throughput_unit": METRICS["mlperf.throughput"].unit,
        "clock": MLPERF_CLOCK,
        "scaling_factor": factor,
        "score_minutes": score,
        "score_note": note,
    }


def _olympic(minutes: list[float], never: int, planned: int) -> float | None:
    """MLPerf's score over all planned repeats; None where one failed for any reason other than convergence."""
    return olympic_mean(minutes, never) if len(minutes) + never == planned else None
