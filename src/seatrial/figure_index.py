"""figures/index.json: every figure of a study with its words, for whoever shows the files elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seatrial.errors import UnreadableFile
from seatrial.paths import write_text


@dataclass(frozen=True)
class IndexEntry:
    """One figure: its files' name without suffix, its words, the tables it is drawn from and the cases in it."""

    name: str
    title: str
    reading: str
    caption: str
    tables: tuple[str, ...]
    case_ids: tuple[str, ...]
    suffixes: tuple[str, ...]
    """Of its files."""


def write_index(path: Path, entries: Sequence[IndexEntry]) -> None:
    """Write the index, aside and renamed."""
    write_text(path, json.dumps([asdict(entry) for entry in entries], indent=1, ensure_ascii=False) + "\n")


def read_index(path: Path) -> list[IndexEntry]:
    """The figures that were drawn.

    Raises UnreadableFile where the index is absent or none.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        lists = ("tables", "case_ids", "suffixes")
        return [IndexEntry(**{k: tuple(v) if k in lists else v for k, v in entry.items()}) for entry in found]
    except (OSError, UnicodeDecodeError, ValueError, TypeError, AttributeError) as problem:
        raise UnreadableFile(path, f"not the index that `seatrial figures` writes: {problem}") from problem


def labels_of(path: Path) -> Callable[[Any], Mapping[str, str]]:
    """What Snakemake's report says beside a figure: a function of the wildcards, of which `name` is the figure's.

    It reads the index when it is asked, not before: the index is there only once figures are drawn.
    """

    def labels(wildcards: Any) -> Mapping[str, str]:
        for entry in read_index(path):
            if entry.name == wildcards.name:
                return {"figure": entry.title, "how to read it": entry.reading, "source": ", ".join(entry.tables)}
        raise UnreadableFile(path, f"without the figure {wildcards.name}: `seatrial figures` draws and lists all")

    return labels
