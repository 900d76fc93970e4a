"""Whether a file follows from the records: the same rows and values, whatever the file's encoding."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

MOST_NAMED = 5
ROUNDING = 1e-9
"""Relative: more than that is another value."""


def compare_tables(name: str, bundled: Path, again: Path) -> list[str]:
    """How a table (CSV or Parquet) differs from the one made again, in words that name rows and columns."""
    try:
        old = _read(bundled)
    except (OSError, ValueError, pa.ArrowException) as problem:
        return [f"{name}: cannot be read: {' '.join(str(problem).split())}"]
    new = _read(again)
    if list(old.columns) != list(new.columns):
        return [f"{name}: its columns are not those that the records give"]
    if len(old) != len(new):
        return [f"{name}: {len(old)} rows, and the records give {len(new)}"]
    found = []
    for column in old.columns:
        pairs = zip(old[column], new[column], strict=True)
        unlike = [k for k, (was, now) in enumerate(pairs) if not _same(was, now)]
        found += [
            f"{name}, row {k + 1}: {column} is {old[column][k]!r} and the records give {new[column][k]!r}"
            for k in unlike[:MOST_NAMED]
        ]
        if len(unlike) > MOST_NAMED:
            found.append(f"{name}: {column} differs in {len(unlike) - MOST_NAMED} more rows")
    return found


def compare_json(name: str, bundled: Path, again: Path) -> list[str]:
    """How a list of entries differs from the one made again, in words that name entry and key."""
    try:
        old: Any = json.loads(bundled.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        return [f"{name}: cannot be read: {problem}"]
    new: Any = json.loads(again.read_text(encoding="utf-8"))
    if _alike(old, new):
        return []
    whole = [f"{name}: differs from what the records give"]
    if not (isinstance(old, list) and isinstance(new, list) and len(old) == len(new)):
        return whole
    if not all(isinstance(entry, dict) for entry in [*old, *new]):
        return whole
    return [
        f"{name}, entry {number}: {key} is {was.get(key)!r} and the records give {now.get(key)!r}"
        for number, (was, now) in enumerate(zip(old, new, strict=True), start=1)
        for key in sorted(was.keys() | now.keys())
        if not _alike(was.get(key), now.get(key))
    ]


def _read(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def _same(was: object, now: object) -> bool:
    """Equal, or numbers that differ by rounding alone: other processors and libraries end in other digits."""
    if was == now:
        return True
    try:
        one, other = float(was), float(now)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return math.isclose(one, other, rel_tol=ROUNDING, abs_tol=ROUNDING**2) or (one != one and other != other)


def _alike(was: Any, now: Any) -> bool:
    """`_same` for what JSON holds."""
    if isinstance(was, dict) and isinstance(now, dict):
        return was.keys() == now.keys() and all(_alike(was[key], now[key]) for key in was)
    if isinstance(was, list) and isinstance(now, list):
        return len(was) == len(now) and all(map(_alike, was, now))
    if isinstance(was, str | bool) or isinstance(now, str | bool):
        return type(was) is type(now) and was == now
    return _same(was, now)
