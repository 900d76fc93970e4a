"""How the tables are written and read: CSV with fixed line ends, empty where there is no value, axes as columns."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from seatrial.errors import UnreadableFile
from seatrial.paths import write_text

AXIS = "axis."
"""Prefix of the column of a swept axis."""
Row = TypeVar("Row", bound=Mapping[str, Any])
NOT_A_NUMBER = ("nan", "NaN", "NaT")
"""What a cell without a value may be written as: a text without any of these has no such cell."""
REMEDY = "`seatrial collect` and `seatrial analyse` make"
"""What makes every table again."""


def canonical_json(content: object) -> str:
    """Compact JSON with sorted keys: equal content gives equal text."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def axis_columns(axes: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The axis columns of one row: scalars as they are, lists and mappings as canonical JSON, else None."""
    row: dict[str, Any] = {}
    for name in names:
        value = axes.get(name)
        row[AXIS + name] = canonical_json(value) if isinstance(value, list | dict) else value
    return row


def rows_by_case(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by their case_id, in their order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(str(row["case_id"]), []).append(row)
    return found


def axis_names(axes: Iterable[Mapping[str, Any]]) -> list[str]:
    """All axis names of a study, sorted."""
    return sorted({name for point in axes for name in point})


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `rows` with `columns`, aside and renamed; counts stay whole where others are missing."""
    write_text(path, csv_text(columns, rows))


def csv_text(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """What `write_csv` writes."""
    # not by a frame of pandas: of a table of 100,000 rows that takes most of the time, and the text is the same
    text = _written(columns, (map(row.get, columns) for row in rows))
    if not any(word in text for word in NOT_A_NUMBER):
        return text
    return _written(columns, ([_shown(row.get(name)) for name in columns] for row in rows))


def _written(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """CSV, nothing for None."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _shown(value: Any) -> Any:
    """What is written of a cell: nothing of None and of NaN."""
    return "" if value is None or value != value else value


def read_csv(path: Path, columns: Iterable[str], text_columns: Iterable[str] = ()) -> pd.DataFrame:
    """Read a table of the analysis that has `columns`; `text_columns` stay text even where they look like numbers.

    Raises UnreadableFile where the table is absent, not a table, or without one of the columns.
    """
    try:
        frame = parse_csv(path, text_columns)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as problem:
        raise UnreadableFile(path, str(problem)) from problem
    require_columns(path, frame.columns, columns)
    return frame


def parse_csv(source: Path | StringIO, text_columns: Iterable[str] = ()) -> pd.DataFrame:
    """A table as `write_csv` writes it. Raises what pandas raises for what is none."""
    kinds = dict.fromkeys(("case_id", *text_columns), "str")
    return pd.read_csv(source, dtype=kinds, keep_default_na=False, na_values=[""], low_memory=False)


def require_columns(path: Path, found: Iterable[str], columns: Iterable[str]) -> None:
    """Raises UnreadableFile that names which of `columns` the table in `path` has not."""
    there = set(found)
    missing = [name for name in columns if name not in there]
    if missing:
        word = "column" if len(missing) == 1 else "columns"
        raise UnreadableFile(path, f"not the table that {REMEDY}: without the {word} {', '.join(missing)}")


def require_cases(path: Path, frame: pd.DataFrame, case_ids: Iterable[str]) -> None:
    """Raises UnreadableFile where the table in `path` speaks of a case that the study does not plan."""
    foreign = sorted(set(frame["case_id"].dropna().unique()) - set(case_ids))
    if foreign:
        raise UnreadableFile(path, f"not the table that {REMEDY}: case {foreign[0]} is not of this study")


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as plain mappings, None where a cell is empty."""
    columns = list(frame.columns)
    return [dict(zip(columns, row, strict=True)) for row in zip(*(_cells(frame[c]) for c in columns), strict=True)]


def _cells(column: pd.Series) -> list[Any]:
    """The values of a column, None where a cell is empty."""
    values = column.tolist()
    for place in np.flatnonzero(column.isna()).tolist():
        values[place] = None
    return values
