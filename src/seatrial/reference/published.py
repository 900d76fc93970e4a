"""The table of published results: its columns and how it is read."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from seatrial.errors import UnreadableFile

COLUMNS = (
    "round",
    "division",
    "availability",
    "submitter",
    "system",
    "accelerator_model",
    "accelerator_family",
    "accelerators",
    "nodes",
    "benchmark",
    "minutes",
    "unscaled_minutes",
    "rcp_factor",
    "runs",
    "successful_runs",
    "min_minutes",
    "max_minutes",
    "global_batch_size",
    "samples_to_quality",
    "confidence",
    "source",
    "note",
    "system_id",
)
"""`system` is the submitter's description, `system_id` the result folder's name: several may share a description.
`minutes` is the official score: the olympic mean of the runs (`unscaled_minutes`) times `rcp_factor`."""
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
CONFIDENCES = ("official", "submitter", "recomputed", "rounded")
"""official: from raw logs, equal to the official tool. submitter: the submitter's own summary. recomputed: from
logs, with the factor recomputed from the reference convergence points. rounded: a claim, never part of a median."""
DIVISIONS = ("closed", "open")
SHIPPED = Path(__file__).with_name("published.csv")


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


def as_results(table: pd.DataFrame) -> tuple[PublishedResult, ...]:
    """The rows of a table of published results, in its order."""
    rows = table.astype(object).where(table.notna(), None).rename(columns={"runs": "n_runs"})
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


def _read(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as problem:
        raise UnreadableFile(path, f"no table of published results: {problem}") from None
    _check_columns(table, path)
    for name in REQUIRED_TEXT:
        _refuse(table[name].str.strip() == "", table, name, path, "a text that is not empty")
    for name in OPTIONAL_TEXT:
        table[name] = table[name].where(table[name] != "", None)
    _refuse(~table["round"].str.fullmatch(r"v\d+\.\d+"), table, "round", path, "vMAJOR.MINOR, such as v5.1")
    _refuse(~table["division"].isin(DIVISIONS), table, "division", path, ", ".join(DIVISIONS))
    _refuse(~table["confidence"].isin(CONFIDENCES), table, "confidence", path, ", ".join(CONFIDENCES))
    for name in (*COUNTS, *FIGURES):
        table[name] = _numbers(table, name, path)
    return table[list(COLUMNS)]


def _numbers(table: pd.DataFrame, name: str, path: Path) -> pd.Series:
    """One column of figures; empty cells are missing, except where the column must be full."""
    text = table[name]
    numbers = pd.to_numeric(text.where(text != "", None), errors="coerce")
    required = name in ("minutes", "accelerators")
    low = 0.0 if name == "accelerators" else 1e-9
    wrong = (numbers.isna() | ~numbers.between(low, 1e15)) & ((text != "") | required)
    if name in COUNTS:
        wrong |= numbers.notna() & (numbers % 1 != 0)
        allowed = "a whole number of 0 or more" if low == 0 else "a whole number above 0"
    else:
        allowed = "a number above 0"
    _refuse(wrong, table, name, path, allowed if required else f"{allowed}, or nothing")
    return numbers.astype("Int64") if name in COUNTS else numbers.astype(float)


def _check_columns(table: pd.DataFrame, path: Path) -> None:
    missing = [c for c in COLUMNS if c not in table.columns]
    unknown = [c for c in table.columns if c not in COLUMNS]
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
