"""The results of another study that a procurement takes figures from."""

from __future__ import annotations

from pathlib import Path

from seatrial.errors import UnreadableFile
from seatrial.paths import StudyPaths


def results_of(folder: str, key: str) -> StudyPaths:
    """The folder that `key` of economics.procurement names.

    Raises UnreadableFile, with what to run, where it holds no tables.
    """
    there = StudyPaths(Path(folder).expanduser())
    if not there.tables.is_dir():
        run = f"run that study first: snakemake --profile local --config study={there.root.name}"
        raise UnreadableFile(there.tables, f"no tables of a study, which economics.procurement.{key} names; {run}")
    return there
