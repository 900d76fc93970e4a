"""Files at the place of a record that are not the record of their repeat: cut off, empty, another's.

Snakemake sees a file and takes the repeat for done. So each start looks for them; one that runs anything puts them
aside (nothing is deleted) and has their repeats run again.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seatrial.case import Case
from seatrial.errors import UnreadableFile
from seatrial.own_record import not_its_own
from seatrial.paths import StudyPaths, series_file
from seatrial.record import Record
from seatrial.unwritable import cannot_write

Place = tuple[str, int]
"""A case's id and the number of a repeat."""


def only_reads(workflow: Any) -> bool:
    """Whether a Snakemake that builds its graph runs nothing: a dry run, `--touch`, or (nothing of an execution is
    set then) `--summary`, `--dag`, `--unlock`, `--report` and their like."""
    return workflow.execution_settings is None or workflow.dryrun or workflow.touch


def put_unusable_aside(paths: StudyPaths, cases: Sequence[Case], only_say: bool) -> None:
    """Rename what does not count, and say so on standard error; `only_say`: leave it where it is.

    Raises CannotWrite where it cannot be renamed.
    """
    for place, why in find_unusable(paths, cases).items():
        then = "it will be put aside" if only_say else f"it is now {put_aside(paths, place).name}"
        print(f"{paths.record(*place)} {why}; {then}, and the repeat runs again", file=sys.stderr)


def find_unusable(paths: StudyPaths, cases: Sequence[Case]) -> dict[Place, str]:
    """What is wrong with the files that are there but do not count, by place; only what may have changed is read.

    That is what came after the tables were made, and what the tables call missing although a file is there. A copy
    that keeps times (`cp -p`, `rsync -a`, a restore) has an old time of its content, never one of its inode.
    """
    found = {}
    collected, missing = _collected(paths)
    for case, number in _planned(cases):
        path = paths.record(case.case_id, number)
        try:
            seen = path.stat()
        except OSError:
            continue
        changed = max(seen.st_mtime_ns, seen.st_ctime_ns)
        if changed >= collected or (case.case_id, number) in missing:
            problem = _problem(path, case, number)
            if problem is not None:
                found[case.case_id, number] = problem
    return found


def put_aside(paths: StudyPaths, place: Place) -> Path:
    """Rename a file that does not count, and the series file beside it; the new name."""
    number = 1
    while paths.unusable_record(*place, number).exists():
        number += 1
    path, aside = paths.record(*place), paths.unusable_record(*place, number)
    with cannot_write(path):
        path.replace(aside)
        if series_file(path).exists():
            series_file(path).replace(series_file(aside))
    return aside


def _planned(cases: Sequence[Case]) -> Iterator[tuple[Case, int]]:
    return ((case, number) for case in cases for number in range(case.repeats))


def _collected(paths: StudyPaths) -> tuple[int, set[Place]]:
    """When the tables were made (0: never), and what they call missing."""
    try:
        with paths.repeats.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        when = paths.repeats.stat().st_mtime_ns
        return when, {(r["case_id"], int(r["repeat"])) for r in rows if r["outcome"] == "missing"}
    except (OSError, ValueError, KeyError, csv.Error):
        return 0, set()  # no tables, or none that can be read: everything is looked at


def _problem(path: Path, case: Case, number: int) -> str | None:
    try:
        return not_its_own(Record.read(path), case, number)
    except UnreadableFile as unreadable:
        return f"cannot be read: {unreadable.problem.splitlines()[0]}"
