"""Reading tables/measurements.parquet and tables/repeats.csv."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from seatrial.analysis.collect import MEASUREMENT_FIELDS, REPEAT_COLUMNS
from seatrial.analysis.once import kept, once
from seatrial.analysis.tables import read_csv, require_columns
from seatrial.errors import UnreadableFile
from seatrial.paths import StudyPaths

REPEATS_TEXT = ("case_id", "error_message", "nodes", "log", "started_at", "finished_at")


class Labelled(NamedTuple):
    """One row of the measurements: a metric of one repeat with its labels."""

    repeat: int
    labels: Mapping[str, Any]
    median: float


def read_measurements(paths: StudyPaths) -> pd.DataFrame:
    """tables/measurements.parquet.

    Within a stage (`reading_once`) it is read once, and the frame must not be changed.
    Raises UnreadableFile where it is absent, not a table, or without a column or its type.
    """
    return once(("measurements", paths.measurements), lambda: _read_measurements(paths.measurements))


def _read_measurements(path: Path) -> pd.DataFrame:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as problem:
        raise UnreadableFile(path, str(problem)) from problem
    require_columns(path, table.column_names, [name for name, _ in MEASUREMENT_FIELDS])
    for name, kind in MEASUREMENT_FIELDS:
        if table.schema.field(name).type != kind:
            raise UnreadableFile(path, f"column {name} is {table.schema.field(name).type}, not {kind}")
    frame = table.to_pandas()
    once(("rows", id(frame)), lambda: _Rows(frame))
    return frame


def read_repeats(paths: StudyPaths) -> pd.DataFrame:
    """tables/repeats.csv.

    Raises UnreadableFile where it is absent, not a table, or without a column.
    """
    key = "repeats", paths.repeats
    return once(key, lambda: read_csv(paths.repeats, REPEAT_COLUMNS, REPEATS_TEXT))


class _Rows:
    """Where in a frame of measurements the rows of each case and metric are, found the first time it is asked."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame  # held, so that no other frame comes to lie at its address

    def of(self, case_id: str, metric: str) -> pd.DataFrame:
        """Repeat, labels and median of a case's completed repeats that have the metric, in the frame's order."""
        return self._narrow.take(self._places.get((case_id, metric), []))

    @cached_property
    def _narrow(self) -> pd.DataFrame:
        return self._frame[["repeat", "labels", "median"]]

    @cached_property
    def _places(self) -> dict[tuple[str, str], NDArray[np.int64]]:
        completed = np.flatnonzero(self._frame["outcome"] == "completed")
        cases, names = pd.factorize(self._frame["case_id"].take(completed))
        metrics, words = pd.factorize(self._frame["metric"].take(completed))
        key = cases * max(1, len(words)) + metrics
        order = np.argsort(key, kind="stable")
        found, first = np.unique(key[order], return_index=True)
        places = np.split(completed[order], first[1:])
        return {
            (str(names[k // len(words)]), str(words[k % len(words)])): of
            for k, of in zip(found.tolist(), places, strict=False)
        }


def _completed(measurements: pd.DataFrame, case_id: str, metric: str) -> pd.DataFrame:
    """The rows of one metric of a case's completed repeats; in a stage all are looked through once."""
    rows: _Rows | None = kept(("rows", id(measurements)))
    if rows is not None:
        return rows.of(case_id, metric)
    return measurements[
        (measurements["case_id"] == case_id)
        & (measurements["metric"] == metric)
        & (measurements["outcome"] == "completed")
    ]


def medians_by_repeat(measurements: pd.DataFrame, case_id: str, metric: str) -> list[float]:
    """The medians of one metric over a case's completed repeats, in order of repeat.

    A repeat with several rows of the metric (labels) gives the median of its rows; what is not finite is left out.
    """
    chosen = _completed(measurements, case_id, metric)
    found: dict[int, list[float]] = {}
    for repeat, value in zip(chosen["repeat"].tolist(), chosen["median"].tolist(), strict=True):
        if not math.isnan(value):
            found.setdefault(repeat, []).append(value)
    medians = (median(found[repeat]) for repeat in sorted(found))
    return [value for value in medians if math.isfinite(value)]


def completed_rows(measurements: pd.DataFrame, case_id: str, metric: str) -> list[Labelled]:
    """The rows of one metric of a case's completed repeats, in order of repeat; what is not finite is left out."""
    chosen = _completed(measurements, case_id, metric).sort_values("repeat", kind="stable")
    rows = zip(chosen["repeat"], chosen["labels"], chosen["median"], strict=True)
    return [Labelled(int(n), _labels(text), float(value)) for n, text, value in rows if math.isfinite(value)]


@lru_cache(maxsize=100_000)
def _labels(text: str) -> Mapping[str, Any]:
    """The labels in a cell; the same ones stand in many, and are shared."""
    found: dict[str, Any] = json.loads(text)
    return found
