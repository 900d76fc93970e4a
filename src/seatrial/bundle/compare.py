"""Whether a table follows from the records: the same rows and values, whatever the file's encoding."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

MOST_NAMED = 5


def compare_tables(bundled: Path, again: Path) -> list[str]:
    """How a table (CSV or Parquet) differs from the one made again, in words that name rows and columns."""
    name = f"tables/{bundled.name}"
    if not again.is_file():
        return [f"{name}: the records give no such table"]
    if bundled.read_bytes() == again.read_bytes():
        return []
    old, new = _read(bundled), _read(again)
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


def _read(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def _same(was: object, now: object) -> bool:
    return was == now or (isinstance(was, float) and isinstance(now, float) and was != was and now != now)
