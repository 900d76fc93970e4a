"""Reading tables/measurements.parquet and tables/repeats.csv."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
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
from seatrial.analysis.measurement_table import KINDS, use_plain_memory
from seatrial.analysis.once import kept, once
from seatrial.analysis.tables import read_csv, require_columns
from seatrial.errors import UnreadableFile
from seatrial.paths import StudyPaths

READ = (
    "case_id", "repeat", "outcome", "metric", "labels", "unit", "direction", "n", "median", "p05", "p95", "ceiling",
    "ceiling_basis", "fraction_of_ceiling",
)  # fmt: skip
"""Of the table's columns those that are read: the others, and the axes, say what a case is, which its file does."""
REPEATS_TEXT = ("case_id", "error_message", "nodes", "log", "started_at", "finished_at")


class Labelled(NamedTuple):
    """One row of the measurements: a metric of one repeat with its labels."""

    repeat: int
    labels: Mapping[str, Any]
    median: float


def read_measurements(paths: StudyPaths) -> pd.DataFrame:
    """The columns READ of tables/measurements.parquet.

    Within a stage (`reading_once`) it is read once, and the frame must not be changed.
    Raises UnreadableFile where it is absent, not a table, or without a column or its type.
    """
    return once(("measurements", paths.measurements), lambda: _read_measurements(paths.measurements))


def _read_measurements(path: Path) -> pd.DataFrame:
    use_plain_memory()
    try:
        _require_measurements(path, pq.read_schema(path))
        texts = [name for name in READ if KINDS[name] == pa.string()]
        coded = pq.read_table(path, columns=list(READ), read_dictionary=texts)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as problem:
        raise UnreadableFile(path, str(problem)) from problem
    frame = coded.cast(pa.schema([(name, KINDS[name]) for name in READ])).to_pandas()
    once(("rows", id(frame)), lambda: _Rows(frame, coded.select(_Rows.COLUMNS)))
    return frame


def _require_measurements(path: Path, written: pa.Schema) -> None:
    """Raises UnreadableFile where a column of the table is not there or of another type."""
    require_columns(path, written.names, [name for name, _ in MEASUREMENT_FIELDS])
    for name, kind in MEASUREMENT_FIELDS:
        if written.field(name).type != kind:
            raise UnreadableFile(path, f"column {name} is {written.field(name).type}, not {kind}")


def read_repeats(paths: StudyPaths) -> pd.DataFrame:
    """tables/repeats.csv.

    Raises UnreadableFile where it is absent, not a table, or without a column.
    """
    key = "repeats", paths.repeats
    return once(key, lambda: read_csv(paths.repeats, REPEAT_COLUMNS, REPEATS_TEXT))


class _Found(NamedTuple):
    """[rows] each: what is asked of the rows of one metric of a case, in the table's order."""

    repeat: Sequence[int]
    labels: Sequence[Mapping[str, Any]]
    median: Sequence[float]


class _Rows:
    """Where in a table of measurements the rows of each case and metric are, found the first time it is asked."""

    COLUMNS = ("case_id", "metric", "outcome", "repeat", "labels", "median")

    def __init__(self, frame: pd.DataFrame, coded: pa.Table) -> None:
        """`coded`: the table of the frame, its texts as dictionaries."""
        self._frame = frame  # held, so that no other frame comes to lie at its address
        self._coded = coded

    def of(self, case_id: str, metric: str) -> _Found:
        """The rows of a case's completed repeats that have the metric."""
        places = self._places.get((case_id, metric))
        if places is None:
            return _Found((), (), ())
        labels, (codes, texts) = self._labels, self._texts("labels")
        for code in np.unique(codes[places]).tolist():
            labels[code] = labels.get(code) or _labels(texts[code])
        return _Found(
            self._numbers("repeat")[places].tolist(),
            [labels[code] for code in codes[places].tolist()],
            self._numbers("median")[places].tolist(),
        )

    def _numbers(self, column: str) -> NDArray[Any]:
        if column not in self._known:
            self._known[column] = self._coded[column].to_numpy()
        found: NDArray[Any] = self._known[column]
        return found

    def _texts(self, column: str) -> tuple[NDArray[np.int64], list[str]]:
        """[rows] codes, -1 where there is nothing, and what they stand for."""
        if column not in self._known:
            one = self._coded[column].combine_chunks()
            chunks = one.chunks if isinstance(one, pa.ChunkedArray) else [one]
            whole = chunks[0] if chunks else pa.array([], pa.string()).dictionary_encode()
            codes = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
            self._known[column] = codes, whole.dictionary.to_pylist()
        found: tuple[NDArray[np.int64], list[str]] = self._known[column]
        return found

    @cached_property
    def _known(self) -> dict[str, Any]:
        return {}

    @cached_property
    def _labels(self) -> dict[int, Mapping[str, Any]]:
        return {}

    @cached_property
    def _places(self) -> dict[tuple[str, str], NDArray[np.int64]]:
        cases, names = self._texts("case_id")
        metrics, words = self._texts("metric")
        outcomes, kinds = self._texts("outcome")
        done = [code for code, kind in enumerate(kinds) if kind == "completed"]
        completed = np.flatnonzero(np.isin(outcomes, done) & (cases >= 0) & (metrics >= 0))
        key = cases[completed] * max(1, len(words)) + metrics[completed]
        order = np.argsort(key, kind="stable")
        found, first = np.unique(key[order], return_index=True)
        places = np.split(completed[order], first[1:])
        return {
            (names[k // len(words)], words[k % len(words)]): of
            for k, of in zip(found.tolist(), places, strict=False)
        }


def _completed(measurements: pd.DataFrame, case_id: str, metric: str) -> _Found:
    """The rows of one metric of a case's completed repeats; in a stage all are looked through once."""
    rows: _Rows | None = kept(("rows", id(measurements)))
    if rows is not None:
        return rows.of(case_id, metric)
    chosen = measurements[
        (measurements["case_id"] == case_id)
        & (measurements["metric"] == metric)
        & (measurements["outcome"] == "completed")
    ]
    labels = [_labels(text) for text in chosen["labels"]]
    return _Found(chosen["repeat"].tolist(), labels, chosen["median"].tolist())


def medians_by_repeat(measurements: pd.DataFrame, case_id: str, metric: str) -> list[float]:
    """The medians of one metric over a case's completed repeats, in order of repeat.

    A repeat with several rows of the metric (labels) gives the median of its rows; what is not finite is left out.
    """
    chosen = _completed(measurements, case_id, metric)
    found: dict[int, list[float]] = {}
    for repeat, value in zip(chosen.repeat, chosen.median, strict=True):
        if not math.isnan(value):
            found.setdefault(repeat, []).append(value)
    medians = (median(found[repeat]) for repeat in sorted(found))
    return [value for value in medians if math.isfinite(value)]


def completed_rows(measurements: pd.DataFrame, case_id: str, metric: str) -> list[Labelled]:
    """The rows of one metric of a case's completed repeats, in order of repeat; what is not finite is left out."""
    chosen = _completed(measurements, case_id, metric)
    rows = [Labelled(*row) for row in zip(*chosen, strict=True) if math.isfinite(row[2])]
    return sorted(rows, key=lambda row: row.repeat)


@lru_cache(maxsize=100_000)
def _labels(text: str) -> Mapping[str, Any]:
    """The labels in a cell; the same ones stand in many, and are shared."""
    found: dict[str, Any] = json.loads(text)
    return found
