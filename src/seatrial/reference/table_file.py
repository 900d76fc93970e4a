"""A table of published results as a file: the kinds of its columns, and what is refused in them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from seatrial.errors import UnreadableFile
from seatrial.reference.columns import COLUMNS, RETRIEVED

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
SCORES = ("official", "submitter", "recomputed")
"""Scores that were published. official: from raw logs, equal to the official tool. submitter: the submitter's own
summary. recomputed: from logs, with the factor recomputed from the reference convergence points."""
UNVERIFIED = "unverified"
"""Scored from logs that MLCommons did not publish (a vendor's, one's own): never part of a reference."""
CONFIDENCES = (*SCORES, "rounded", UNVERIFIED)
"""rounded: a published claim, never part of a median."""
DIVISIONS = ("closed", "open")
NEEDED = ("division", "submitter", "system", "accelerator_family", "accelerators", "minutes")
"""A row of an added table that lacks one of these (an invalid result has no score) cannot be compared with."""


def read_table(path: Path, added: bool = False) -> pd.DataFrame:
    """A table with COLUMNS; one that is `added` may have columns of its own, and rows without what NEEDED names.

    An added one has RETRIEVED, too, and may lack `system_id` and `confidence`: whatever it does not call published
    is unverified. Raises UnreadableFile naming file, column, row and what is allowed.
    """
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
    lacking = [name for name in ("confidence", "system_id", RETRIEVED) if name not in table.columns]
    table = table.assign(**dict.fromkeys(lacking, ""))
    table["confidence"] = table["confidence"].where(table["confidence"] != "", UNVERIFIED)
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
    if not isinstance(table.index, pd.RangeIndex):
        raise UnreadableFile(path, "its lines have more cells than its head")
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
