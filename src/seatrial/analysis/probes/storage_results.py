"""tables/storage_results.csv: what results of fio and MLPerf Storage that were handed over say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from statistics import median
from typing import Any

import pandas as pd

from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.analysis.measurements import read_measurements
from seatrial.analysis.statistics import median_interval
from seatrial.analysis.tables import write_csv
from seatrial.case import Case
from seatrial.config.ingested import FioResults, MlperfStorageResults
from seatrial.paths import StudyPaths

COLUMNS = (
    "study",
    "target",
    "experiment",
    "case_id",
    "metric",
    "unit",
    "tool",
    "what",
    "direction",
    "reached",
    "evidence",
    "repeats",
    "samples",
    "value",
    "low",
    "high",
    "interval_method",
    "ceiling",
    "ceiling_basis",
    "fraction_of_ceiling",
)
"""`what`: the job and its pattern, or the suite; `reached`: storage or page_cache, of bandwidths alone."""
TEXT = ("what", "evidence", "ceiling_basis", "interval_method", "direction", "reached")
NAMED = ("job", "group", "pattern", "block_size", "ioengine", "iodepth", "suite", "hosts", "processes")
"""Labels that say what a figure is of, in this order."""
Row = dict[str, Any]


def storage_results(paths: StudyPaths, _cases: Sequence[Case]) -> None:
    """Write the table of all results of storage benchmarks of the study, a row for each case, metric and labels.

    Raises UnreadableFile where `collect` has not run.
    """
    cases = [case for case in read_cases(paths, read_plan(paths)) if is_storage_result(case)]
    measurements = read_measurements(paths)
    completed = measurements[measurements["outcome"] == "completed"]
    rows = []
    for case in cases:
        of_case = completed[completed["case_id"] == case.case_id]
        for (metric, labels), group in of_case.groupby(["metric", "labels"], sort=True):
            rows.append(_row(case, str(metric), json.loads(str(labels)), group))
    write_csv(paths.probe_table("storage_results"), COLUMNS, rows)


def is_storage_result(case: Case) -> bool:
    """Whether a case is made of what a storage benchmark wrote."""
    return isinstance(case.workload, FioResults | MlperfStorageResults)


def _row(case: Case, metric: str, labels: Row, group: pd.DataFrame) -> Row:
    values = [float(value) for value in group["median"]]
    value, interval, ceilings = median(values), median_interval(values), group["ceiling"].dropna()
    ceiling = float(ceilings.median()) if len(ceilings) else None
    return {
        "study": case.study,
        "target": case.target.name,
        "experiment": case.experiment,
        "case_id": case.case_id,
        "metric": metric,
        "unit": group["unit"].iloc[0],
        "tool": labels.get("tool"),
        "what": ", ".join(_words(name, labels[name]) for name in NAMED if name in labels),
        "direction": labels.get("direction"),
        "reached": _reached(metric) if metric.endswith("_bandwidth") else None,
        "evidence": labels.get("evidence"),
        "repeats": int(group["repeat"].nunique()),
        "samples": int(group["n"].sum()),
        "value": value,
        "low": interval.low,
        "high": interval.high,
        "interval_method": interval.method,
        "ceiling": ceiling,
        "ceiling_basis": next(iter(group["ceiling_basis"].dropna()), None),
        "fraction_of_ceiling": None if ceiling is None else value / ceiling,
    }


def _reached(metric: str) -> str:
    """What a bandwidth of this name is of."""
    if metric == "storage.page_cache_bandwidth":
        return "page_cache"
    return "stated" if metric.startswith("storage.stated_") else "storage"


def _words(name: str, value: object) -> str:
    if name in ("job", "pattern", "suite", "ioengine"):
        return str(value)
    if name in ("hosts", "processes"):
        return f"{value} {name}"
    return f"{name.replace('_', ' ')} {value}"
