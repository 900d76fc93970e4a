"""What a figure draws, value by value, and where the values come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seatrial.report.table import count

Row = dict[str, Any]
MEASUREMENTS = "tables/measurements.parquet"
MOST_METHODS = 3
"""More ways to make an interval than this are left to the table."""


@dataclass(frozen=True)
class Records:
    """What a figure is drawn from: files of the study's folder, and the cases whose records they are made of."""

    tables: tuple[str, ...] = ()
    case_ids: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """'Source: tables/a.csv, tables/b.csv.', or nothing."""
        return f"Source: {', '.join(self.tables)}." if self.tables else ""


@dataclass(frozen=True)
class FigureData:
    """What is drawn: `rows` under `columns`, values and units as in the `tables` that they are read from.

    A figure with several kinds of marks has a row for each mark and says in the column `mark` what it is.
    """

    tables: tuple[str, ...]
    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        unwritten = {name for row in self.rows for name in row} - set(self.columns)
        assert not unwritten, f"drawn, but in no column: {sorted(unwritten)}"

    @property
    def records(self) -> Records:
        """The tables, and the cases that the rows name."""
        found = dict.fromkeys(row.get("case_id") for row in self.rows)
        return Records(self.tables, tuple(str(case_id) for case_id in found if case_id is not None))


def picked(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], **same: Any) -> list[Row]:
    """`columns` of every row that has them, with `same` in each."""
    return [{name: row[name] for name in columns if name in row} | same for row in rows]


def basis(
    rows: Iterable[Mapping[str, Any]],
    repeats: str = "repeats",
    method: str = "interval_method",
    noun: str = "repeat",
) -> str:
    """On how many repeats of a case the rows rest, and how their intervals are made, in words.

    `repeats` and `method` are the columns that say so; rows without are left out.
    """
    rows = list(rows)
    n = n_words((row.get(repeats) for row in rows), noun)
    methods = list(dict.fromkeys(row[method] for row in rows if row.get(method)))
    if not methods:
        return n
    how = "; ".join(methods) if len(methods) <= MOST_METHODS else "by several methods, which the table names"
    return f"{n} Intervals: {how}.".strip()


def n_words(counts: Iterable[float | None], noun: str = "repeat") -> str:
    """'n = 3 repeats of each.', 'n = 2 to 4 repeats of each.', or nothing where none is known."""
    known = sorted({int(n) for n in counts if n is not None})
    if not known:
        return ""
    of_each = count(known[0], noun) if len(known) == 1 else f"{known[0]} to {known[-1]} {noun}s"
    return f"n = {of_each} of each."
