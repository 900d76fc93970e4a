"""Cases, records and attempts -> tables/measurements.parquet and tables/repeats.csv."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.analysis.attempts import Attempts, Cause, cause, node_names, read_attempts
from seatrial.analysis.columns import Columns, columns_of, taken
from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.analysis.kept import Place
from seatrial.analysis.measurement_table import MEASUREMENT_FIELDS, Origin, summary, write_measurements
from seatrial.analysis.once import is_reading_once, once, reading_once
from seatrial.analysis.study_records import StudyRecords, read_records
from seatrial.analysis.tables import axis_names, canonical_json, read_csv, rows_of, write_csv
from seatrial.case import Case
from seatrial.config.ingested import HandedOver
from seatrial.errors import UnreadableFile
from seatrial.own_record import not_its_own
from seatrial.paths import StudyPaths
from seatrial.record import Record

__all__ = [
    "MEASUREMENT_FIELDS",
    "REPEAT_COLUMNS",
    "Repeat",
    "collect",
    "outcome_lines",
    "read_columns",
    "read_record",
    "read_repeat",
    "read_repeats",
    "summary",
]

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


@dataclass(frozen=True)
class Repeat:
    """One planned repeat and what was found of it: a record, or the problem with the file at its place."""

    case: Case
    repeat: int
    record: Record | None
    problem: str | None
    attempts: Attempts | None


def collect(paths: StudyPaths, trust: bool = True) -> list[dict[str, Any]]:
    """Write both tables; the rows of repeats.csv. A record that is absent, truncated or foreign is `missing`.

    A record that stays as it was is read once: what was read is kept beside the study. Without `trust` all are
    read, and nothing is kept. Raises UnreadableFile where study.json or a case file cannot be read.
    """
    with reading_once():
        cases = read_cases(paths, read_plan(paths))
        names = axis_names(case.axes for case in cases)
        records = once(_records_key(paths), lambda: read_records(paths, trust))
        rows: list[dict[str, Any]] = []
        numbers: list[int] = []
        origins: list[Origin] = []
        for case in cases:
            for number in range(case.repeats):
                repeat = read_repeat(paths, case, number, ())
                rows.append(_repeat_row(paths, repeat))
                if repeat.record is not None:
                    numbers.append(records.numbers[case.case_id, number])
                    origins.append(Origin(case, number, repeat.record.outcome))
        write_measurements(paths.measurements, taken(records.columns, numbers), origins, names)
        write_csv(paths.repeats, REPEAT_COLUMNS, rows)
        if trust:
            records.keep(paths)
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


def read_repeat(paths: StudyPaths, case: Case, number: int, metrics: Collection[str] | None = None) -> Repeat:
    """One repeat with its record, unless that is absent, unreadable or another repeat's.

    Of the measurements only those of `metrics`, where these are named: who wants few does not wait for all.
    """
    record, problem = _read(paths, case, number, metrics)
    return Repeat(case, number, record, problem, read_attempts(paths.attempts(case.case_id, number)))


def read_record(
    paths: StudyPaths, case: Case, number: int, metrics: Collection[str] | None = None
) -> Record | None:
    """The record of a repeat as `read_repeat` gives it."""
    return _read(paths, case, number, metrics)[0]


def read_columns(paths: StudyPaths, case: Case, number: int) -> tuple[Columns, int]:
    """Columns that hold the record of a repeat, and which one in them that is.

    For a repeat of which `read_record` gives a record. Raises KeyError where a stage has read none.
    """
    if is_reading_once():
        known = _all_records(paths)
        return known.columns, known.numbers[case.case_id, number]
    return columns_of([Record.read(paths.record(case.case_id, number))]), 0


def count_measurements(paths: StudyPaths) -> int:
    """How many measurements the records hold that lie in the study's folder.

    Raises UnreadableFile where study.json cannot be read.
    """
    return len(_all_records(paths).columns.metric)


def _read(
    paths: StudyPaths, case: Case, number: int, metrics: Collection[str] | None
) -> tuple[Record | None, str | None]:
    """The record of a repeat, or what is wrong with the file at its place; neither where there is none.

    In a stage all records are read at once, and each is checked once.
    """
    if not is_reading_once():
        return _checked(paths, case, number, metrics)
    key = "checked", paths.root, case.case_id, number
    record, problem = once(key, lambda: _checked(paths, case, number, ()))
    if record is None:
        return None, problem
    columns, place = read_columns(paths, case, number)
    return columns.with_measurements(record, place, metrics), None


def _checked(
    paths: StudyPaths, case: Case, number: int, metrics: Collection[str] | None
) -> tuple[Record | None, str | None]:
    """What `_read` says, of the file."""
    path = paths.record(case.case_id, number)
    try:
        record = _record_at(paths, path, (case.case_id, number), metrics)
    except UnreadableFile as unreadable:
        first = unreadable.problem.splitlines()[0]
        file = Path(unreadable.file).relative_to(paths.root)
        return None, f"cannot read {file}: {first}"
    if record is None:
        return None, None
    problem = not_its_own(record, case, number)
    if problem:
        return None, f"{path.relative_to(paths.root)} {problem}"
    return record, None


def _record_at(paths: StudyPaths, path: Path, place: Place, metrics: Collection[str] | None) -> Record | None:
    """The record in a file, or None where there is no file."""
    if is_reading_once():
        known = _all_records(paths)
        if place in known.problems:
            raise UnreadableFile(*known.problems[place])
        # what comes into being while a stage runs is the next one's
        return known.columns.record(known.numbers[place], metrics) if place in known.numbers else None
    if not path.exists():
        return None
    record = Record.read(path)
    if metrics is None:
        return record
    return record.model_copy(update={"measurements": [m for m in record.measurements if m.metric in metrics]})


def _all_records(paths: StudyPaths) -> StudyRecords:
    """All records of the study, in a stage."""
    return once(_records_key(paths), lambda: read_records(paths))


def _records_key(paths: StudyPaths) -> tuple[str, Path]:
    return "records", paths.root


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
        return row | _missing(repeat, last, log)
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


def _missing(repeat: Repeat, last: dict[str, Any] | None, log: Path) -> dict[str, Any]:
    """The columns of a repeat without a record of its own."""
    why = cause(repeat.attempts, log)
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
