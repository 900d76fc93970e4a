"""Cases, records and attempts -> tables/measurements.parquet and tables/repeats.csv."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seatrial.analysis.attempts import Attempts, Cause, cause, node_names, read_attempts
from seatrial.analysis.inputs import is_ingested, read_cases, read_plan
from seatrial.analysis.tables import AXIS, axis_columns, axis_names, canonical_json, read_csv, rows_of, write_csv
from seatrial.case import Case
from seatrial.config.ingested import HandedOver
from seatrial.errors import UnreadableFile
from seatrial.paths import StudyPaths, written_aside
from seatrial.record import Measurement, Record

REPEAT_COLUMNS = (
    "study",
    "target",
    "experiment",
    "workload",
    "case_id",
    "repeat",
    "seed",
    "outcome",
    "error_kind",
    "error_message",
    "error_rank",
    "attempts",
    "resumed",
    "nodes",
    "started_at",
    "finished_at",
    "log",
    "axes",
)
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


@dataclass(frozen=True)
class Repeat:
    """One planned repeat and what was found of it: a record, or the problem with the file at its place."""

    case: Case
    repeat: int
    record: Record | None
    problem: str | None
    attempts: Attempts | None


def collect(paths: StudyPaths) -> list[dict[str, Any]]:
    """Write both tables; the rows of repeats.csv. A record that is absent, truncated or foreign is `missing`.

    Raises UnreadableFile where study.json or a case file cannot be read.
    """
    plan = read_plan(paths)
    cases = read_cases(paths, plan)
    names = axis_names(case.axes for case in cases)
    rows: list[dict[str, Any]] = []
    measured: list[dict[str, Any]] = []
    for case in cases:
        for number in range(case.repeats):
            repeat = read_repeat(paths, case, number)
            rows.append(_repeat_row(paths, repeat))
            if repeat.record is not None:
                measured += _measurement_rows(repeat.record, case, names)
    _write_measurements(paths.measurements, measured, names)
    write_csv(paths.repeats, REPEAT_COLUMNS, rows)
    return rows


def read_repeats(paths: StudyPaths) -> list[dict[str, Any]]:
    """The rows of repeats.csv.

    Raises UnreadableFile where the table is not there or has not these columns.
    """
    return rows_of(read_csv(paths.repeats, REPEAT_COLUMNS))


def outcome_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What became of the repeats: how many completed, and a line for every other one."""
    if not rows:
        return ["no repeats planned"]
    others = [row for row in rows if row["outcome"] != "completed"]
    lines = [f"{len(rows) - len(others)} of {len(rows)} repeats completed"]
    for row in others:
        what = f"{row['experiment']} case {row['case_id']} repeat {row['repeat']}: {row['outcome']}"
        why = " ".join(str(row["error_message"] or "no reason recorded").split())
        lines.append(f"  {what}: {row['error_kind'] or 'no kind'}: {why} (log: {row['log'] or 'none'})")
    return lines


def read_repeat(paths: StudyPaths, case: Case, number: int) -> Repeat:
    """One repeat with its record, unless that is absent, unreadable or another repeat's."""
    path = paths.record(case.case_id, number)
    attempts = read_attempts(paths.attempts(case.case_id, number))
    if not path.exists():
        return Repeat(case, number, None, None, attempts)
    try:
        record = Record.read(path)
    except UnreadableFile as unreadable:
        first = unreadable.problem.splitlines()[0]
        file = Path(unreadable.file).relative_to(paths.root)
        return Repeat(case, number, None, f"cannot read {file}: {first}", attempts)
    problem = _foreign(record, case, number)
    if problem:
        name = path.relative_to(paths.root)
        return Repeat(case, number, None, f"{name} is not this repeat's record: {problem}", attempts)
    return Repeat(case, number, record, None, attempts)


def _foreign(record: Record, case: Case, number: int) -> str | None:
    """What shows that a record belongs to another repeat, or None."""
    expected = {
        "study": case.study,
        "case_id": case.case_id,
        "repeat": number,
        "workload": case.workload.kind,
        "target": case.target.name,
    }
    if not is_ingested(case):
        expected["seed"] = case.seed(number)  # a log has the seeds that its run had
    for name, value in expected.items():
        found = getattr(record, name)
        if found != value:
            return f"{name} is {found!r}, not {value!r}"
    return None


def _repeat_row(paths: StudyPaths, repeat: Repeat) -> dict[str, Any]:
    case, attempts, record = repeat.case, repeat.attempts, repeat.record
    log = paths.measure_log(case.case_id, repeat.repeat)
    seed: int | None = case.seed(repeat.repeat)
    if isinstance(case.workload, HandedOver):
        log = paths.record(case.case_id, repeat.repeat).with_suffix(case.workload.kept_as)
        seed = None if record is None else record.seed
    row: dict[str, Any] = {
        "study": case.study,
        "target": case.target.name,
        "experiment": case.experiment,
        "workload": case.workload.kind,
        "case_id": case.case_id,
        "repeat": repeat.repeat,
        "seed": seed,
        "attempts": len(attempts.entries) if attempts is not None and not attempts.problem else None,
        "log": str(log.relative_to(paths.root)) if log.exists() else None,
        "axes": canonical_json(case.axes),
    }
    last = attempts.last if attempts is not None else None
    if record is None:
        return row | _missing(repeat, last, log.exists())
    error = record.error
    return row | {
        "outcome": record.outcome,
        "error_kind": error.kind if error else None,
        "error_message": error.message if error else None,
        "error_rank": error.rank if error else None,
        "resumed": record.resumed,
        "nodes": _hosts(record) or node_names((last or {}).get("nodes")) or None,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
    }


def _missing(repeat: Repeat, last: dict[str, Any] | None, log_exists: bool) -> dict[str, Any]:
    """The columns of a repeat without a record of its own."""
    why = cause(repeat.attempts, log_exists)
    if isinstance(repeat.case.workload, HandedOver) and last is None:
        why = Cause(None, f"no log was ingested for it ({repeat.case.workload.command} --study)")
    started, ended = (last or {}).get("started_at"), (last or {}).get("ended_at")
    return {
        "outcome": "missing",
        "error_kind": None if repeat.problem else why.kind,
        "error_message": repeat.problem or why.message,
        "error_rank": None if repeat.problem else why.rank,
        "nodes": node_names((last or {}).get("nodes")) or None,
        "started_at": started,
        "finished_at": ended,
    }


def _hosts(record: Record) -> str:
    """Names of the hosts in a record's provenance, once each."""
    hosts = record.provenance.get("hosts")
    if not isinstance(hosts, list):
        return node_names(hosts)
    names = [host.get("name") or host.get("hostname") if isinstance(host, dict) else host for host in hosts]
    return ",".join(dict.fromkeys(str(name) for name in names if name))


def _measurement_rows(record: Record, case: Case, names: Iterable[str]) -> list[dict[str, Any]]:
    fixed = {
        "study": record.study,
        "target": record.target,
        "experiment": case.experiment,
        "workload": record.workload,
        "case_id": record.case_id,
        "repeat": record.repeat,
        "outcome": record.outcome,
        **axis_columns(case.axes, names),
    }
    rows = [
        fixed
        | {
            "metric": m.metric,
            "labels": canonical_json(m.labels),
            "unit": m.unit,
            "direction": m.direction,
            "ceiling": m.ceiling,
            "ceiling_basis": m.ceiling_basis,
            **summary(m),
        }
        for m in record.measurements
    ]
    return sorted(rows, key=lambda row: (row["metric"], row["labels"]))


def summary(m: Measurement) -> dict[str, float | int | None]:
    """Count, median, quantiles, extremes and fraction of the ceiling of a measurement's samples.

    The fraction is median / ceiling where higher is better and ceiling / median where lower is. A sample that
    is not finite leaves no statistics: every one is NaN.
    """
    values = np.asarray(m.samples, dtype=np.float64)
    if not np.isfinite(values).all():
        names = ("median", "p05", "p95", "min", "max", "fraction_of_ceiling")
        return {"n": len(values), **dict.fromkeys(names, math.nan)}
    p05, middle, p95 = (float(q) for q in np.percentile(values, (5, 50, 95)))
    fraction = None
    if m.ceiling is not None:
        if m.direction == "higher":
            fraction = middle / m.ceiling
        elif middle > 0:
            fraction = m.ceiling / middle
    return {
        "n": len(values),
        "median": middle,
        "p05": p05,
        "p95": p95,
        "min": float(values.min()),
        "max": float(values.max()),
        "fraction_of_ceiling": fraction,
    }


def _write_measurements(path: Path, rows: list[dict[str, Any]], names: Iterable[str]) -> None:
    fields = [pa.field(name, kind) for name, kind in MEASUREMENT_FIELDS]
    arrays = [pa.array([row.get(f.name) for row in rows], f.type) for f in fields]
    for name in names:
        column = _axis_array([row[AXIS + name] for row in rows])
        fields.append(pa.field(AXIS + name, column.type))
        arrays.append(column)
    with written_aside(path) as aside:
        pq.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), aside)


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
