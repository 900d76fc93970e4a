"""tables/measurements.parquet: one row per repeat, metric and labels, with the statistics of its samples."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from seatrial.analysis.columns import NONE, Columns, Floats, Ints
from seatrial.analysis.tables import AXIS, axis_columns, canonical_json
from seatrial.case import Case
from seatrial.config.metrics import METRICS
from seatrial.paths import written_aside
from seatrial.record import Measurement

MEASUREMENT_FIELDS: tuple[tuple[str, pa.DataType], ...] = (
    ("study", pa.string()),
    ("target", pa.string()),
    ("experiment", pa.string()),
    ("workload", pa.string()),
    ("case_id", pa.string()),
    ("repeat", pa.int64()),
    ("outcome", pa.string()),
    ("metric", pa.string()),
    ("labels", pa.string()),
    ("unit", pa.string()),
    ("direction", pa.string()),
    ("n", pa.int64()),
    ("median", pa.float64()),
    ("p05", pa.float64()),
    ("p95", pa.float64()),
    ("min", pa.float64()),
    ("max", pa.float64()),
    ("ceiling", pa.float64()),
    ("ceiling_basis", pa.string()),
    ("fraction_of_ceiling", pa.float64()),
)
KINDS = dict(MEASUREMENT_FIELDS)
STATISTICS = ("median", "p05", "p95", "min", "max")
AT_ONCE = 4_000_000
"""Samples that are looked at together."""


def use_plain_memory() -> None:
    """Let Arrow ask the system for memory as others do.

    Its own allocator takes it in huge pages and leaves most of them empty: to clear those takes a second, several
    times as long as to read a million rows.
    """
    pa.set_memory_pool(pa.system_memory_pool())


class Origin(NamedTuple):
    """What a record is of."""

    case: Case
    repeat: int
    outcome: str


class Summaries(NamedTuple):
    """[measurements] each; NaN where a sample is not finite. `fraction` counts where `has_fraction`."""

    statistics: dict[str, Floats]
    fraction: Floats
    has_fraction: NDArray[np.bool_]


def write_measurements(path: Path, columns: Columns, of: Sequence[Origin], axes: Sequence[str]) -> None:
    """Write the table of these records; `of` says of what each is, `axes` are the study's."""
    use_plain_memory()
    row_of = np.repeat(np.arange(len(of), dtype=np.int64), columns.rows)
    swept = [axis_columns(one.case.axes, axes) if rows else {} for one, rows in zip(of, columns.rows, strict=True)]
    labels = _canonical(columns)
    order = _order(columns, labels, row_of)
    row_of = row_of[order]
    cells = _cells(columns, labels, order)
    place = pa.array(row_of)
    for name, values in _of_records(of).items():
        cells[name] = pa.array(values, KINDS[name]).take(place)
    for name in axes:
        cells[AXIS + name] = _axis_array([row.get(AXIS + name) for row in swept]).take(place)
    names = [*(name for name, _ in MEASUREMENT_FIELDS), *(AXIS + name for name in axes)]
    fields = [pa.field(name, KINDS.get(name, cells[name].type)) for name in names]
    table = pa.Table.from_arrays([cells[name] for name in names], schema=pa.schema(fields))
    with written_aside(path) as aside:
        pq.write_table(table, aside)


def _of_records(of: Sequence[Origin]) -> dict[str, list[Any]]:
    """The cells that all rows of a record share, by column; axes are apart."""
    return {
        "study": [one.case.study for one in of],
        "target": [one.case.target.name for one in of],
        "experiment": [one.case.experiment for one in of],
        "workload": [one.case.workload.kind for one in of],
        "case_id": [one.case.case_id for one in of],
        "repeat": [one.repeat for one in of],
        "outcome": [one.outcome for one in of],
    }


def _order(columns: Columns, labels: Sequence[str], row_of: Ints) -> Ints:
    """[measurements]: the rows in the order of the table: by record, metric and labels."""
    return np.lexsort((_ranks(labels)[columns.labels], _ranks(columns.texts)[columns.metric], row_of))


def _ranks(texts: Sequence[str]) -> Ints:
    """[texts]: the place of each in their order; equal ones have the same."""
    places = {text: place for place, text in enumerate(sorted(set(texts)))}
    return np.array([places[text] for text in texts], dtype=np.int64)


def _canonical(columns: Columns) -> list[str]:
    """[texts]: labels as they stand in the table; what is no labels stays."""
    found = list(columns.texts)
    for code in np.unique(columns.labels).tolist():
        found[code] = canonical_json(json.loads(found[code]))
    return found


def _cells(columns: Columns, labels: Sequence[str], order: Ints) -> dict[str, pa.Array]:
    """The columns that are of the measurements, in the order of the table."""
    metric, basis, found = columns.metric[order], columns.basis[order], summaries(columns)
    known = [METRICS.get(text) for text in columns.texts]
    cells = {
        "metric": _texts(columns.texts, metric),
        "labels": _texts(labels, columns.labels[order]),
        "unit": _texts([None if of is None else of.unit for of in known], metric),
        "direction": _texts([None if of is None else of.direction for of in known], metric),
        "n": pa.array(columns.counts[order]),
        "ceiling": pa.array(columns.ceiling[order], mask=basis == NONE),
        "ceiling_basis": _texts(columns.texts, basis),
        "fraction_of_ceiling": pa.array(found.fraction[order], mask=~found.has_fraction[order]),
    }
    return cells | {name: pa.array(values[order]) for name, values in found.statistics.items()}


def _texts(texts: Sequence[str | None], codes: Ints) -> pa.Array:
    return pa.array(texts, pa.string()).take(pa.array(codes, mask=codes == NONE))


def summaries(columns: Columns) -> Summaries:
    """What `summary` says of every measurement, those with as many samples together."""
    found = {name: np.full(len(columns.counts), np.nan) for name in STATISTICS}
    for n in np.unique(columns.counts).tolist():
        rows = np.flatnonzero(columns.counts == n)
        for some in np.array_split(rows, max(1, len(rows) * n // AT_ONCE)):
            values = columns.samples[columns.sample_ends[some][:, None] + np.arange(n)]
            finite = np.isfinite(values).all(axis=1)
            for name, of in _statistics(values[finite]).items():
                found[name][some[finite]] = of
    middle, has_ceiling = found["median"], columns.basis != NONE
    higher = _is_higher(columns)
    with np.errstate(all="ignore"):
        fraction = np.where(higher, middle / columns.ceiling, columns.ceiling / middle)
    broken = np.isnan(middle)
    return Summaries(found, fraction, broken | (has_ceiling & (higher | (middle > 0))))


def _statistics(values: Floats) -> dict[str, Floats]:
    """[measurements] each, of [measurements, samples]."""
    if not len(values):
        return {}
    p05, middle, p95 = np.percentile(values, (5, 50, 95), axis=1)
    return {"median": middle, "p05": p05, "p95": p95, "min": values.min(axis=1), "max": values.max(axis=1)}


def _is_higher(columns: Columns) -> NDArray[np.bool_]:
    """[measurements]: whether higher is better."""
    of_text = [(known := METRICS.get(text)) is not None and known.direction == "higher" for text in columns.texts]
    return np.array(of_text, dtype=bool)[columns.metric]


def summary(m: Measurement) -> dict[str, float | int | None]:
    """Count, median, quantiles, extremes and fraction of the ceiling of a measurement's samples.

    The fraction is median / ceiling where higher is better and ceiling / median where lower is. A sample that
    is not finite leaves no statistics: every one is NaN.
    """
    values = np.asarray(m.samples, dtype=np.float64)
    if not np.isfinite(values).all():
        return {"n": len(values), **dict.fromkeys((*STATISTICS, "fraction_of_ceiling"), math.nan)}
    found = {name: float(of[0]) for name, of in _statistics(values[None, :]).items()}
    middle, fraction = found["median"], None
    if m.ceiling is not None:
        if m.direction == "higher":
            fraction = middle / m.ceiling
        elif middle > 0:
            fraction = m.ceiling / middle
    return {"n": len(values), **found, "fraction_of_ceiling": fraction}


def _axis_array(values: list[Any]) -> pa.Array:
    """Whole numbers, numbers or truth values where all are; else text."""
    present = [v for v in values if v is not None]
    kinds = {type(v) for v in present}
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    if kinds == {int}:
        return pa.array(values, pa.int64())
    if kinds and kinds <= {int, float}:
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    return pa.array([v if v is None or isinstance(v, str) else canonical_json(v) for v in values], pa.string())
