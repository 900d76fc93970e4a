"""Cases of a sweep in lines: which differ in an axis alone, and how its values are written."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from seatrial.analysis.tables import canonical_json
from seatrial.case import Case
from seatrial.report.study_tables import Row, StudyTables
from seatrial.units import format_bytes, format_figure

Lines = dict[str, list[Row]]
"""Rows of cases by the name of the line that joins them."""


def axes_of(study: StudyTables, rows: Sequence[Row]) -> list[str]:
    """The axes that these cases differ in, in the order of the plan."""
    values: dict[str, set[str]] = {}
    for row in rows:
        for name, value in study.cases[row["case_id"]].axes.items():
            values.setdefault(name, set()).add(canonical_json(value))
    return [name for name, found in values.items() if len(found) > 1]


def lines_of(study: StudyTables, rows: Sequence[Row], moving: Collection[str], by: str | None) -> Lines:
    """Rows in groups that differ in `moving` alone, and in axes that follow them; named by what tells groups apart.

    `by`: the axis that a group must have several values of; None leaves that to the caller.
    """
    found: dict[tuple[str, ...], list[Row]] = {}
    experiments = dict.fromkeys(row["experiment"] for row in rows)
    free = {name: {*moving, *_following(study, rows, name, moving)} for name in experiments}
    telling = set(axes_of(study, rows))
    for row in rows:
        fixed = [
            f"{name.rpartition('.')[2]} {in_words(name, value)}"
            for name, value in study.cases[row["case_id"]].axes.items()
            if name in telling - free[row["experiment"]]
        ]
        found.setdefault((row["experiment"], *fixed), []).append(row)
    if by is not None:
        found = {key: of_line for key, of_line in found.items() if _several(study, by, of_line)}
    apart = len({experiment for experiment, *_ in found}) > 1
    return {
        ", ".join([experiment, *fixed] if apart or not fixed else fixed): of_line
        for (experiment, *fixed), of_line in found.items()
    }


def _several(study: StudyTables, axis: str, rows: Sequence[Row]) -> bool:
    return len({canonical_json(axis_value(study, axis, row)) for row in rows}) > 1


def _following(study: StudyTables, rows: Sequence[Row], experiment: str, moving: Collection[str]) -> set[str]:
    """Axes of an experiment whose value those of `moving` fix, as where they are zipped."""
    cases = [study.cases[row["case_id"]] for row in rows if row["experiment"] == experiment]
    given = [_given(case, moving) for case in cases]
    found = set()
    for name in {name for case in cases for name in case.axes} - set(moving):
        values = [canonical_json(case.axes.get(name)) for case in cases]
        if len(set(values)) > 1 and len(set(zip(given, values, strict=True))) == len(set(given)):
            found.add(name)
    return found


def _given(case: Case, names: Collection[str]) -> tuple[str, ...]:
    return tuple(canonical_json(case.axes.get(name)) for name in names)


def axis_value(study: StudyTables, axis: str, row: Row) -> Any:
    return study.cases[row["case_id"]].axes.get(axis)


def value_words(study: StudyTables, axis: str, row: Row) -> str:
    return in_words(axis, axis_value(study, axis, row))


def in_words(axis: str, value: Any) -> str:
    """An axis' value as it stands in a figure."""
    if axis.endswith("_bytes") and isinstance(value, int):
        return format_bytes(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return format_figure(value)
    return str(value) if isinstance(value, str) else canonical_json(value)
