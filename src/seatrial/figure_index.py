"""figures/index.json: every figure of a study with its words, for whoever shows the files elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from seatrial.config.base import Closed, first_mistake
from seatrial.errors import UnreadableFile
from seatrial.paths import write_text


class IndexEntry(Closed):
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
    content = [entry.model_dump(mode="json") for entry in entries]
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_index(path: Path) -> list[IndexEntry]:
    """The figures that were drawn.

    Raises UnreadableFile where the index is absent or none.
    """
    try:
        return TypeAdapter(list[IndexEntry]).validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as problem:
        raise UnreadableFile(path, first_mistake(problem)) from problem
    except (OSError, UnicodeDecodeError) as problem:
        raise UnreadableFile(path, f"{problem}; `seatrial figures` writes it") from problem


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
