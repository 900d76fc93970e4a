"""What lies among results and is none: everything is named, so that nothing is dropped in silence."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from fnmatch import fnmatch
from pathlib import PurePosixPath

from seatrial.ingest.mlperf.layout import in_results
from seatrial.ingest.mlperf.tree import Found

NO_RESULT = ("readme*", "license*", "*.md", ".*", "privateid.json")
"""Files beside the runs that nobody would take for a run."""
OTHER_ARCHIVES = ("*.zip", "*.7z", "*.rar", "*.gz", "*.xz", "*.bz2", "*.zst", "*.lz4", "*.tar.*")
LOOKS_LIKE_A_LOG = ("*.txt", "*.log", "*.out", "*.mllog", "result*")


def files_beside(beside: Iterable[Found], folders: Collection[PurePosixPath]) -> Iterator[tuple[str, str]]:
    """Of the files that are no part of a result, those that must be named: path and why; `folders` hold results."""
    for found in beside:
        among = in_results(found.folder) or found.folder in folders
        if _named_as(found.name, OTHER_ARCHIVES):
            yield found.shown, "an archive of a kind that is not read; unpack it, or pack it as tar"
        elif among and not _named_as(found.name, NO_RESULT):
            yield found.shown, "not read: a result's log is called result_*.txt"
        elif "results" in found.folder.parts and _named_as(found.name, LOOKS_LIKE_A_LOG):
            yield found.shown, "not where a result belongs (results/<system>/<benchmark>/result_*.txt)"


def empty_folders(
    folders: Collection[PurePosixPath], with_runs: Collection[PurePosixPath]
) -> Iterator[tuple[PurePosixPath, str]]:
    """Folders where a result should be and none is: path and why."""
    parents = {folder.parent for folder in folders} | {run.parent for run in with_runs}
    for folder in folders:
        if folder in with_runs:
            continue
        if in_results(folder):
            yield folder, "no result_*.txt in it"
        elif in_results(folder.parent) and folder.name != "power":
            yield folder, "a folder among the runs: not read"
        elif folder not in parents and "results" in (folder.name, folder.parent.name):
            yield folder, "no results in it"


def lonely_systems(
    systems: Iterable[PurePosixPath], with_runs: Collection[PurePosixPath]
) -> Iterator[tuple[PurePosixPath, str]]:
    """Descriptions of systems of which no result is there."""
    described = {(folder.parents[2], folder.parent.name) for folder in with_runs if in_results(folder)}
    loose = any(not in_results(folder) for folder in with_runs)
    for path in systems:
        if (path.parent.parent, path.stem) not in described and not loose:
            yield path, "describes a system without results"


def _named_as(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name.lower(), pattern) for pattern in patterns)
