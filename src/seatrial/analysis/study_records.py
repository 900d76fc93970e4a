"""All records of a study, each read once: those that stayed as they were from what was kept, the others anew."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from seatrial.analysis import kept as keeping
from seatrial.analysis.columns import Columns, columns_of, joined, taken
from seatrial.analysis.inputs import read_plan
from seatrial.analysis.kept import NO_FILE, Kept, Place, Stamp, stamp, stamp_of
from seatrial.errors import UnreadableFile
from seatrial.paths import StudyPaths, series_file
from seatrial.record import Record

RECORD = re.compile(r"(0|[1-9][0-9]{0,8})\.json")
PORTION = 100
"""Records that go to a process at a time."""
WORTH_PROCESSES = 600
"""Fewer records than this are read here: to start processes takes longer."""
MOST_PROCESSES = 8


class Looks(NamedTuple):
    """A record and its series file from outside."""

    record: Stamp
    series: Stamp


class Problem(NamedTuple):
    """What is wrong with a record, and in which of its files."""

    file: Path
    words: str


class Portion(NamedTuple):
    """Some records that were read: where each is among those asked for and what it looked like, and what is wrong
    with the others."""

    columns: Columns
    looks: dict[int, Looks]
    problems: dict[int, Problem]


@dataclass(frozen=True)
class StudyRecords:
    """The records that lie in a study's folder, by case and repeat; what cannot be read has a problem instead."""

    columns: Columns
    numbers: dict[Place, int]
    problems: dict[Place, Problem]
    looks: dict[Place, Looks]
    kept: dict[Place, Looks]
    """Of those that were kept: what they looked like then, whatever became of them."""
    began_ns: int
    """When the reading began, by the clock of the study's file system."""

    @property
    def read(self) -> int:
        """How many files were opened, and not taken from what was kept."""
        stayed = sum(self.kept.get(place) == of for place, of in self.looks.items())
        return len(self.looks) - stayed + len(self.problems)

    def keep(self, paths: StudyPaths) -> None:
        """Keep for the next time what changed long enough before it was read."""
        settled = {place: of for place, of in self.looks.items() if keeping.is_settled(of, self.began_ns)}
        if settled == self.kept:
            return
        kept = Kept(
            columns=taken(self.columns, [self.numbers[place] for place in settled]),
            places=list(settled),
            record_stamps=[of.record for of in settled.values()],
            series_stamps=[of.series for of in settled.values()],
        )
        keeping.save(paths, kept)


def read_records(paths: StudyPaths, trust: bool = True) -> StudyRecords:
    """Read all records of the cases that the study plans; without `trust` what was kept counts for nothing.

    Raises UnreadableFile where study.json cannot be read.
    """
    began = keeping.now_ns(paths)
    found = dict(_listed(paths, read_plan(paths).cases))
    known = keeping.load(paths) if trust else None
    looks: dict[Place, Looks] = {}
    kept: dict[Place, Looks] = {}
    parts: list[Columns] = []
    if known is not None:
        kept = {
            place: Looks(*of)
            for place, *of in zip(known.places, known.record_stamps, known.series_stamps, strict=True)
        }
        looks = {place: of for place, of in kept.items() if _is_unchanged(paths, place, of, found)}
        stayed = [number for number, place in enumerate(known.places) if place in looks]
        parts.append(taken(known.columns, stayed))
    rest = [place for place in found if place not in looks]
    problems: dict[Place, Problem] = {}
    for portion in read_portions([paths.record(*place) for place in rest]):
        parts.append(portion.columns)
        looks |= {rest[number]: of for number, of in portion.looks.items()}
        problems |= {rest[number]: problem for number, problem in portion.problems.items()}
    numbers = {place: number for number, place in enumerate(looks)}
    columns = parts[0] if len(parts) == 1 else joined(parts)
    return StudyRecords(columns, numbers, problems, looks, kept, began)


def read_portions(files: Sequence[Path]) -> list[Portion]:
    """Read these records, in several processes where they are many."""
    tasks = [
        [(number, str(files[number])) for number in range(first, min(first + PORTION, len(files)))]
        for first in range(0, len(files), PORTION)
    ]
    processes = min(len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1, MOST_PROCESSES)
    if len(files) < WORTH_PROCESSES or processes < 2:
        return [_read_portion(task) for task in tasks]
    # a fork shares what is imported already; elsewhere than on Linux it is not safe
    try:
        with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
            return list(pool.map(_read_portion, tasks))
    except (OSError, BrokenProcessPool):  # no process or no memory for one: it takes longer here
        return [_read_portion(task) for task in tasks]


def _read_portion(task: list[tuple[int, str]]) -> Portion:
    records: list[Record] = []
    looks: dict[int, Looks] = {}
    problems: dict[int, Problem] = {}
    for number, name in task:
        path = Path(name)
        try:
            record = Record.read(path)
        except UnreadableFile as problem:
            problems[number] = Problem(Path(problem.file), problem.problem)
            continue
        has_series = any(m.samples_file for m in record.measurements)
        # after it was read: what changed meanwhile changed after the reading began, and is not kept
        looks[number] = Looks(stamp_of(path), stamp_of(series_file(path)) if has_series else NO_FILE)
        records.append(record)
    return Portion(columns_of(records), looks, problems)


def _listed(paths: StudyPaths, case_ids: Sequence[str]) -> Iterator[tuple[Place, Stamp]]:
    """Every file that should be a record, with what it looks like."""
    for case_id in case_ids:
        try:
            with os.scandir(paths.records / case_id) as entries:
                named = {int(name[1]): entry for entry in entries if (name := RECORD.fullmatch(entry.name))}
        except (FileNotFoundError, NotADirectoryError):
            continue
        for number in sorted(named):
            try:
                yield (case_id, number), stamp(named[number].stat())
            except OSError:
                continue


def _is_unchanged(paths: StudyPaths, place: Place, then: Looks, found: dict[Place, Stamp]) -> bool:
    """Whether a record and its series file look as they did then."""
    if found.get(place) != then.record:
        return False
    return then.series == NO_FILE or stamp_of(series_file(paths.record(*place))) == then.series
