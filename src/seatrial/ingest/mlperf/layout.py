"""What a file of a results repository is, by its path: `<Submitter>/results/<system_id>/<benchmark>/...`."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Literal

Kind = Literal["log", "system", "scaling", "node_power", "switch_power", "misplaced", "other"]


@dataclass(frozen=True)
class Place:
    """What a file is, and the result folder (or, of a description, the submitter's folder) it belongs to."""

    kind: Kind
    folder: PurePosixPath
    run: str | None = None
    """Of a power log: the name of its run."""


def place_of(folder: PurePosixPath, name: str, base: PurePosixPath) -> Place:
    """Sort one file by the folder it lies in and its name.

    `base` is the virtual folder of everything that is read: results handed over loose, without the folders above
    them, may lie at any depth in it where no folder is called `results`.
    """
    if folder.name == "systems" and name.endswith(".json"):
        return Place("system", folder.parent)
    if folder.parent.name == "power" and fnmatch(name, "node_*.txt"):
        return Place("node_power", folder.parent.parent, folder.name)
    if folder.parent.name == "power" and fnmatch(name, "sw_*.txt"):
        return Place("switch_power", folder.parent.parent, folder.name)
    if name.startswith("result_") and name.endswith(".txt"):
        return Place("log" if is_result_folder(folder, base) else "misplaced", folder)
    if name == "scaling.json":
        return Place("scaling", folder)
    return Place("other", folder)


def is_result_folder(folder: PurePosixPath, base: PurePosixPath) -> bool:
    """Whether a folder is where the runs of one result belong."""
    if in_results(folder):
        return True
    if not folder.is_relative_to(base) or "results" in folder.relative_to(base).parts:
        return False
    # below a result folder that is read by itself nothing else is one
    return folder == base or not in_results(base)


def in_results(folder: PurePosixPath) -> bool:
    """Whether a folder lies as MLCommons lays results out: results/<system_id>/<benchmark>."""
    return len(folder.parts) >= 3 and folder.parts[-3] == "results"


def run_name(log: str) -> str:
    """The name of a run in the power folder: the log's name up to its first dot."""
    return log.split(".")[0]
