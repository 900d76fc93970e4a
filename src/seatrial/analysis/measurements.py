"""Reading tables/measurements.parquet and tables/repeats.csv."""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from seatrial.analysis.collect import MEASUREMENT_FIELDS, REPEAT_COLUMNS
from seatrial.analysis.tables import read_csv, require_columns
from seatrial.errors import UnreadableFile
from seatrial.paths import StudyPaths

REPEATS_TEXT = ("case_id", "error_message", "nodes", "log", "started_at", "finished_at")


class Labelled(NamedTuple):
    """One row of the measurements: a metric of one repeat with its labels."""

    repeat: int
    labels: dict[str, Any]
    median: float


def read_measurements(paths: StudyPaths) -> pd.DataFrame:
    """tables/measurements.parquet.

    Raises UnreadableFile where it is absent, not a table, or without a column or its type.
    """
    try:
        table = pq.read_table(paths.measurements)
    except (OSError, pa.ArrowException) as problem:
        raise UnreadableFile(paths.measurements, str(problem)) from problem
    require_columns(paths.measurements, table.column_names, [name for name, _ in MEASUREMENT_FIELDS])
    for name, kind in MEASUREMENT_FIELDS:
        if table.schema.field(name).type != kind:
            raise UnreadableFile(
                paths.measurements, f"column {name} is {table.schema.field(name).type}, not {kind}"
            )
    return table.to_pandas()


def read_repeats(paths: StudyPaths) -> pd.DataFrame:
    """tables/repeats.csv.

    Raises UnreadableFile where it is absent, not a table, or without a column.
    """
    return read_csv(paths.repeats, REPEAT_COLUMNS, REPEATS_TEXT)


def medians_by_repeat(measurements: pd.DataFrame, case_id: str, metric: str) -> list[float]:
    """The medians of one metric over a case's completed repeats, in order of repeat.

    A repeat with several rows of the metric (labels) gives the median of its rows; what is not finite is left out.
    """
    chosen = measurements[
        (measurements["case_id"] == case_id)
        & (measurements["metric"] == metric)
        & (measurements["outcome"] == "completed")
    ]
    grouped = chosen.groupby("repeat", sort=True)["median"].median()
    return [float(value) for value in grouped if math.isfinite(value)]


def completed_rows(measurements: pd.DataFrame, case_id: str, metric: str) -> list[Labelled]:
    """The rows of one metric of a case's completed repeats, in order of repeat; what is not finite is left out."""
    chosen = measurements[
        (measurements["case_id"] == case_id)
        & (measurements["metric"] == metric)
        & (measurements["outcome"] == "completed")
    ].sort_values("repeat", kind="stable")
    rows = zip(chosen["repeat"], chosen["labels"], chosen["median"], strict=True)
    return [Labelled(int(n), json.loads(text), float(value)) for n, text, value in rows if math.isfinite(value)]
