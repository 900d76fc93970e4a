"""The table of published results, and how further tables are added to it."""

from __future__ import annotations

import datetime as dt
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from seatrial.reference.columns import COLUMNS as COLUMNS
from seatrial.reference.columns import RETRIEVED
from seatrial.reference.names import canonical_benchmark, canonical_submitter
from seatrial.reference.table_file import NEEDED, SCORES, UNVERIFIED, read_table

SHIPPED = Path(__file__).with_name("published.csv")
TABLE_DATE = dt.date(2026, 11, 22)
"""The day on which the shipped table was put together."""
RESULTS_IN_ROUND = {"v3.1": 209, "v4.0": 205, "v4.1": 154, "v5.0": 201, "v5.1": 185, "v6.0": 227}
"""How many result folders MLCommons published in each round."""
WHOLE = 0.95
"""A table with this share of a round's results holds the round; some folders have logs that cannot be read."""
SAME_SCORE = 1e-6
"""Scores are equal within this part; the shipped ones are written with six decimals."""


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
    return _shipped().copy() if path is None else read_table(path)


@functools.cache
def _shipped() -> pd.DataFrame:
    return read_table(SHIPPED)


@dataclass(frozen=True)
class Tables:
    """The shipped results with the files that were added, and what became of the files' rows."""

    table: pd.DataFrame
    """COLUMNS and RETRIEVED; every row counts as published."""
    unverified: tuple[PublishedResult, ...]
    """Results of the files that are no published ones, and are not in `table`."""
    remarks: tuple[str, ...]
    """Which rows of the files were left out, and which results they took the place of, in words."""


def load_tables(paths: Sequence[Path]) -> pd.DataFrame:
    """The table of `add_tables`."""
    return add_tables(paths).table


def add_tables(paths: Sequence[Path]) -> Tables:
    """The shipped table with the results files in `paths`, as `seatrial reference import` writes them.

    A published score takes the place of the results of the same round, submitter, system and benchmark; a file with
    (nearly) all scores of a round takes the place of the whole round, but for results of which it has no score.
    Of several files the last one counts. A row that lacks a score or something else in NEEDED is left out and takes
    no place, as is an unverified result and one of which the file does not say what its score rests on; a rounded
    claim takes no place. Columns of the file's own are ignored. Raises UnreadableFile as `load_published` does.
    """
    table = load_published().assign(**{RETRIEVED: TABLE_DATE})
    unverified: list[PublishedResult] = []
    remarks: list[str] = []
    for path in paths:
        added = read_table(path, added=True)
        whole = added[added[list(NEEDED)].notna().all(axis=1)]
        published = whole[whole["confidence"] != UNVERIFIED]
        scores = published[published["confidence"].isin(SCORES)]
        replaced = _replaced(table, scores, added)
        unverified += as_results(whole[whole["confidence"] == UNVERIFIED])
        remarks += [*_left_out(path, added), *_replacements(path, table[replaced], scores)]
        table = pd.concat([table[~replaced], published], ignore_index=True)
    return Tables(table, tuple(unverified), tuple(remarks))


def is_partial(table: pd.DataFrame, round_: str) -> bool:
    """Whether the table is known to hold only a part of the round."""
    in_round = RESULTS_IN_ROUND.get(round_)
    held = (table["round"] == round_) & (table["confidence"] != UNVERIFIED)
    return in_round is not None and int(held.sum()) < WHOLE * in_round


def _replaced(table: pd.DataFrame, scores: pd.DataFrame, added: pd.DataFrame) -> pd.Series[bool]:
    """Which rows of `table` the `scores` of an `added` file take the place of."""
    whole = _whole_rounds(scores)
    same = set(_identities(scores))
    without_score = set(_identities(added)) - same
    return pd.Series(
        [i in same or (i[0] in whole and i not in without_score) for i in _identities(table)],
        index=table.index,
        dtype=bool,
    )


def _whole_rounds(scores: pd.DataFrame) -> set[str]:
    return {r for r in set(scores["round"]) if r in RESULTS_IN_ROUND and not is_partial(scores, r)}


def _left_out(path: Path, added: pd.DataFrame) -> list[str]:
    """A line for each row that cannot be compared with, and what it lacks; one for all unverified results."""
    lines = []
    lacks = added[list(NEEDED)].isna()
    for row, missing in zip(added.to_dict("records"), lacks.to_numpy(), strict=True):
        if missing.any():
            lacking = ", ".join(name for name, lacked in zip(NEEDED, missing, strict=True) if lacked)
            lines.append(f"{path}: left out: {row['round']} {row['benchmark']}, {row['source']}: no {lacking}")
    unverified = int((~lacks.any(axis=1) & (added["confidence"] == UNVERIFIED)).sum())
    if unverified:
        results = "1 unverified result" if unverified == 1 else f"{unverified} unverified results"
        lines.append(f"{results} of {path} {'is' if unverified == 1 else 'are'} not published: left out")
    return lines


def _replacements(path: Path, replaced: pd.DataFrame, scores: pd.DataFrame) -> list[str]:
    """What takes the place of what: a line for each whole round, and for each other result with another score."""
    whole = _whole_rounds(scores)
    lines = []
    for round_ in sorted(whole):
        old, new = (int((rows["round"] == round_).sum()) for rows in (replaced, scores))
        lines.append(f"{path}: its {new} results of round {round_} take the place of {old}")
    minutes: dict[tuple[Any, ...], list[float]] = {}
    for identity, value in zip(_identities(scores), scores["minutes"], strict=True):
        minutes.setdefault(identity, []).append(value)
    equal = 0
    for identity, row in zip(_identities(replaced), replaced.to_dict("records"), strict=True):
        if identity[0] in whole:
            continue
        if any(math.isclose(value, row["minutes"], rel_tol=SAME_SCORE) for value in minutes[identity]):
            equal += 1
            continue
        new_minutes = " and ".join(f"{value:.6g}" for value in minutes[identity])
        what = f"{row['round']} {row['benchmark']} by {row['submitter']} with {row['system']}"
        lines.append(f"{path}: {what}: {new_minutes} min take the place of {row['minutes']:.6g} ({row['source']})")
    if equal:
        lines.append(f"{path}: {equal} of its results take the place of the same with equal scores")
    return lines


def _identities(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Round, submitter, system and benchmark of every row."""
    systems = table["system_id"].where(table["system_id"].notna(), table["system"])
    submitters = [canonical_submitter(name) if isinstance(name, str) else name for name in table["submitter"]]
    benchmarks = table["benchmark"].map(canonical_benchmark)
    return list(zip(table["round"], submitters, systems, benchmarks, strict=True))
