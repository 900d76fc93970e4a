"""The table of published results: its columns, how it is read, and how further tables are added to it."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from seatrial.errors import UnreadableFile
from seatrial.reference.columns import COLUMNS, RETRIEVED
from seatrial.reference.names import canonical_benchmark, canonical_submitter

REQUIRED_TEXT = (
    "round",
    "division",
    "submitter",
    "system",
    "accelerator_family",
    "benchmark",
    "confidence",
    "source",
)
OPTIONAL_TEXT = ("availability", "accelerator_model", "note", "system_id")
COUNTS = ("accelerators", "nodes", "runs", "successful_runs", "global_batch_size")
FIGURES = (
    "minutes",
    "unscaled_minutes",
    "rcp_factor",
    "min_minutes",
    "max_minutes",
    "samples_to_quality",
)
REQUIRED_FIGURES = ("minutes", "accelerators")
MAY_BE_ZERO = ("accelerators", "successful_runs")
"""A machine may have no accelerators, and an invalid result not one run that reached the quality."""
CONFIDENCES = ("official", "submitter", "recomputed", "rounded")
"""official: from raw logs, equal to the official tool. submitter: the submitter's own summary. recomputed: from
logs, with the factor recomputed from the reference convergence points. rounded: a claim, never part of a median."""
DIVISIONS = ("closed", "open")
SHIPPED = Path(__file__).with_name("published.csv")
TABLE_DATE = dt.date(2026, 11, 22)
"""The day on which the shipped table was put together."""
ADDED_OPTIONAL = ("confidence", "system_id")
"""Columns that an added table may lack; its results then count as recomputed, its systems by description."""
NEEDED = ("division", "submitter", "system", "accelerator_family", "accelerators", "minutes")
"""A row of an added table that lacks one of these (an invalid result has no score) cannot be compared with."""
RESULTS_IN_ROUND = {"v3.1": 209, "v4.0": 205, "v4.1": 154, "v5.0": 201, "v5.1": 185, "v6.0": 227}
"""How many result folders MLCommons published in each round."""
WHOLE = 0.95
"""A table with this share of a round's results holds the round; some folders have logs that cannot be read."""


@dataclass(frozen=True)
class PublishedResult:
    """One published result: a row of the table, None where a figure was not published."""

    round: str
    division: str
    availability: str | None
    submitter: str
    system: str
    system_id: str | None
    accelerator_model: str | None
    accelerator_family: str
    accelerators: int
    nodes: int | None
    benchmark: str
    """As that round spells it."""
    minutes: float
    """The score: olympic mean times RCP factor."""
    unscaled_minutes: float | None
    rcp_factor: float | None
    n_runs: int | None
    """The table's column `runs`."""
    successful_runs: int | None
    min_minutes: float | None
    max_minutes: float | None
    global_batch_size: int | None
    samples_to_quality: float | None
    confidence: str
    source: str
    note: str | None
    retrieved: dt.date | None = TABLE_DATE
    """None: not recorded."""


def as_results(table: pd.DataFrame) -> tuple[PublishedResult, ...]:
    """The rows of a table of published results, in its order."""
    rows = table.astype(object).where(table.notna(), None).rename(columns={"runs": "n_runs"})
    # a table may have columns of its own maker; a result has none of them
    rows = rows[[name for name in rows.columns if name in PublishedResult.__dataclass_fields__]]
    return tuple(PublishedResult(**{str(k): v for k, v in row.items()}) for row in rows.to_dict("records"))


def load_published(path: Path | None = None) -> pd.DataFrame:
    """The published results, one row each, with COLUMNS; `path` None: the table shipped in this package.

    Counts are nullable integers, other figures floats (NaN: not published), minutes of time in minutes.
    Raises UnreadableFile naming file, column, row and what is allowed.
    """
    return _shipped().copy() if path is None else _read(path)


@functools.cache
def _shipped() -> pd.DataFrame:
    return _read(SHIPPED)


def load_tables(paths: Sequence[Path]) -> pd.DataFrame:
    """The shipped table with the results files in `paths`, as `seatrial reference import` writes them.

    An added result takes the place of one of the same round, submitter, system and benchmark; a file with (nearly)
    all results of a round takes the place of the whole round; of several files the last one counts. Rows that lack
    a score or something else in NEEDED are left out (`left_out` names them), columns of the file's own are ignored.
    Everything in these files counts as published. Has COLUMNS and RETRIEVED. Raises UnreadableFile as
    `load_published` does.
    """
    table = load_published().assign(**{RETRIEVED: TABLE_DATE})
    for path in paths:
        added = _read_added(path)
        table = pd.concat([_not_replaced(table, added), _usable(added)], ignore_index=True)
    return table


def left_out(path: Path) -> list[str]:
    """A line for each row of a results file that cannot be compared with, and what it lacks."""
    added = _read_added(path)
    lines = []
    for row in added[~_has_all(added)].to_dict("records"):
        lacking = ", ".join(name for name in NEEDED if pd.isna(row[name]))
        lines.append(f"{row['round']} {row['benchmark']}, {row['source']}: no {lacking}")
    return lines


def is_partial(table: pd.DataFrame, round_: str) -> bool:
    """Whether the table is known to hold only a part of the round."""
    published = RESULTS_IN_ROUND.get(round_)
    return published is not None and int((table["round"] == round_).sum()) < WHOLE * published


def _read_added(path: Path) -> pd.DataFrame:
    """A results file: COLUMNS and RETRIEVED, missing where it has none."""
    return _read(path, added=True)


def _has_all(added: pd.DataFrame) -> pd.Series[bool]:
    return added[list(NEEDED)].notna().all(axis=1)


def _usable(added: pd.DataFrame) -> pd.DataFrame:
    return added[_has_all(added)]


def _not_replaced(table: pd.DataFrame, added: pd.DataFrame) -> pd.DataFrame:
    """The rows of `table` for which `added` has no result, valid or not."""
    whole = {r for r in set(added["round"]) if r in RESULTS_IN_ROUND and not is_partial(added, r)}
    same = set(_identities(added))
    kept = [identity not in same and identity[0] not in whole for identity in _identities(table)]
    return table[kept]


def _identities(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Round, submitter, system and benchmark of every row."""
    systems = table["system_id"].where(table["system_id"].notna(), table["system"])
    submitters = [canonical_submitter(name) if isinstance(name, str) else name for name in table["submitter"]]
    benchmarks = table["benchmark"].map(canonical_benchmark)
    return list(zip(table["round"], submitters, systems, benchmarks, strict=True))


def _read(path: Path, added: bool = False) -> pd.DataFrame:
    """A table; one that is `added` may have columns of its own, and rows without what NEEDED names."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as problem:
        raise UnreadableFile(path, f"no table of published results: {problem}") from None
    if added:
        table = _complete(table)
    _check_columns(table, path, added)
    optional = set(NEEDED) if added else set()
    for name in REQUIRED_TEXT:
        if name not in optional:
            _refuse(table[name].str.strip() == "", table, name, path, "a text that is not empty")
    for name in (*OPTIONAL_TEXT, *(n for n in REQUIRED_TEXT if n in optional)):
        table[name] = table[name].where(table[name] != "", None)
    _refuse(~table["round"].str.fullmatch(r"v\d+\.\d+"), table, "round", path, "vMAJOR.MINOR, such as v5.1")
    if not added:
        _refuse(~table["division"].isin(DIVISIONS), table, "division", path, ", ".join(DIVISIONS))
    _refuse(~table["confidence"].isin(CONFIDENCES), table, "confidence", path, ", ".join(CONFIDENCES))
    for name in (*COUNTS, *FIGURES):
        table[name] = _numbers(table, name, path, name in REQUIRED_FIGURES and not added)
    if not added:
        return table[list(COLUMNS)]
    table[RETRIEVED] = _days(table, path)
    return table[[*COLUMNS, RETRIEVED]]


def _complete(table: pd.DataFrame) -> pd.DataFrame:
    """An added table with the columns that it may lack; a division that is none is no division."""
    defaults = {"confidence": "recomputed", "system_id": "", RETRIEVED: ""}
    table = table.assign(**{name: value for name, value in defaults.items() if name not in table.columns})
    if "division" in table.columns:
        division = table["division"].str.lower()
        table["division"] = division.where(division.isin(DIVISIONS), "")
    return table


def _days(table: pd.DataFrame, path: Path) -> pd.Series:
    """The days of retrieval."""
    days = pd.to_datetime(table[RETRIEVED].where(table[RETRIEVED] != "", None), format="%Y-%m-%d", errors="coerce")
    _refuse(days.isna() & (table[RETRIEVED] != ""), table, RETRIEVED, path, "YYYY-MM-DD, or nothing")
    return pd.Series([None if pd.isna(day) else day.date() for day in days], index=table.index, dtype=object)


def _numbers(table: pd.DataFrame, name: str, path: Path, required: bool) -> pd.Series:
    """One column of figures; empty cells are missing, except where the column must be full."""
    text = table[name]
    numbers = pd.to_numeric(text.where(text != "", None), errors="coerce")
    low = 0.0 if name in MAY_BE_ZERO else 1e-9
    wrong = (numbers.isna() | ~numbers.between(low, 1e15)) & ((text != "") | required)
    if name in COUNTS:
        wrong |= numbers.notna() & (numbers % 1 != 0)
        allowed = "a whole number of 0 or more" if low == 0 else "a whole number above 0"
    else:
        allowed = "a number above 0"
    _refuse(wrong, table, name, path, allowed if required else f"{allowed}, or nothing")
    return numbers.astype("Int64") if name in COUNTS else numbers.astype(float)


def _check_columns(table: pd.DataFrame, path: Path, added: bool) -> None:
    missing = [c for c in COLUMNS if c not in table.columns]
    unknown = [] if added else [c for c in table.columns if c not in COLUMNS]
    if missing or unknown:
        parts = [f"columns missing: {', '.join(missing)}"] if missing else []
        parts += [f"columns not known: {', '.join(unknown)}"] if unknown else []
        raise UnreadableFile(path, f"{'; '.join(parts)}; allowed: {', '.join(COLUMNS)}")
    if table.empty:
        raise UnreadableFile(path, "no results in it; allowed: one row or more")


def _refuse(wrong: pd.Series, table: pd.DataFrame, name: str, path: Path, allowed: str) -> None:
    """Raise UnreadableFile for the first row where `wrong` is true."""
    rows = list(table.index[wrong.fillna(True)])
    if rows:
        value = table.at[rows[0], name]
        raise UnreadableFile(path, f"line {rows[0] + 2}, column {name}: {value!r}; allowed: {allowed}")
