"""A folder or archive of MLPerf Training results -> everything in it, as read. The input is never written to."""

from __future__ import annotations

import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path, PurePosixPath

from seatrial.errors import ConfigError
from seatrial.ingest.mlperf.layout import Place, in_results, looks_like_a_log, place_of, run_name
from seatrial.ingest.mlperf.log import read_log
from seatrial.ingest.mlperf.power import MeanPower, node_power, switch_power
from seatrial.ingest.mlperf.result import Reading, ResultFolder, Run, System, Unread
from seatrial.ingest.mlperf.rules import rule_book, ruleset_of, rulesets
from seatrial.ingest.mlperf.system import (
    MOST_BYTES,
    NotReadable,
    read_json,
    round_of,
    round_of_checkout,
    scaling_factor,
    system_of,
)
from seatrial.ingest.mlperf.tree import DAMAGED, Found, Tree

BATCH_BYTES = 1 << 20
"""Logs go to the worker processes in portions of about this size."""
STEP_KEYS = {"v3.1": "step_num"}
"""Where the place of an evaluation of stable_diffusion is not called samples_count (rcp_checker)."""


@dataclass(frozen=True)
class _Task:
    """A log on disk that is to be read."""

    path: PurePosixPath
    shown: str
    size: int
    round: str
    detail: bool


_Outcome = tuple[PurePosixPath, Run | Unread]


@dataclass
class _Gathered:
    """What the walk through the tree has found so far, by result folder."""

    runs: dict[PurePosixPath, dict[PurePosixPath, Run]] = field(default_factory=lambda: defaultdict(dict))
    tasks: list[_Task] = field(default_factory=list)
    systems: dict[PurePosixPath, System] = field(default_factory=dict)
    broken_systems: dict[PurePosixPath, str] = field(default_factory=dict)
    scaling: dict[PurePosixPath, float] = field(default_factory=dict)
    broken_scaling: dict[PurePosixPath, str] = field(default_factory=dict)
    power: dict[tuple[PurePosixPath, str], list[MeanPower]] = field(default_factory=lambda: defaultdict(list))
    rounds: dict[PurePosixPath, str] = field(default_factory=dict)
    shown: dict[PurePosixPath, str] = field(default_factory=dict)
    beside: list[tuple[PurePosixPath, str]] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)


def read_results(path: Path, round_: str | None = None, workers: int | None = 1, *, detail: bool = True) -> Reading:
    """Read a checkout of a results repository, a submitter's folder, one result folder, or a tar archive of any.

    `round_` (v5.1) is needed where neither the path nor a checkout's remote names it, and overrides what they say.
    `workers` processes share the logs of a folder (None: one for each core); an archive is read by one. Without
    `detail` evaluations and throughputs are left out. Raises UnreadableFile where `path` is no folder and no
    archive, ConfigError for a round that is not known or has no rules.
    """
    tree = Tree(path)
    reader = _TreeReader(tree, round_, detail)
    for found in tree.files():
        reader.take(found)
    gathered = reader.gathered
    for place, outcome in _read_logs(gathered.tasks, workers or len(os.sched_getaffinity(0))):
        if isinstance(outcome, Run):
            gathered.runs[place.parent][place] = outcome
        else:
            gathered.unread.append(outcome)
    folders = reader.folders()
    unread = sorted({*tree.unread, *gathered.unread}, key=lambda u: (u.path, u.problem))
    return Reading(folders, tuple(unread))


class _TreeReader:
    """Sorts the files of a tree: small ones and members of archives are read at once, logs on disk are put by."""

    def __init__(self, tree: Tree, round_: str | None, detail: bool) -> None:
        if round_ is not None:
            ruleset_of(round_)
        self._tree, self._round, self._detail = tree, round_, detail
        self._checkout = round_of_checkout(tree.root) if round_ is None else None
        self.gathered = _Gathered()

    def take(self, found: Found) -> None:
        place = place_of(found.path, self._tree.base)
        try:
            self._take(found, place)
        except NotReadable as problem:
            self._note(found.shown, str(problem))
            if place.kind == "scaling":
                self.gathered.broken_scaling[place.folder] = str(problem)
            if place.kind == "system":
                self.gathered.broken_systems[found.path] = str(problem)
        except (*DAMAGED, OSError) as problem:
            self._note(found.shown, getattr(problem, "strerror", None) or f"damaged: {problem}")

    def _take(self, found: Found, place: Place) -> None:
        gathered = self.gathered
        if place.kind == "log":
            self._log(found, place)
        elif place.kind == "misplaced":
            self._note(found.shown, "not where a result belongs (results/<system>/<benchmark>/result_*.txt)")
        elif place.kind == "system":
            gathered.systems[found.path] = system_of(_json(found))
        elif place.kind == "scaling":
            gathered.scaling[place.folder] = scaling_factor(_json(found))
        elif place.kind in ("node_power", "switch_power"):
            self._power(found, place)
        elif looks_like_a_log(found.path):
            gathered.beside.append((found.path, found.shown))

    def _log(self, found: Found, place: Place) -> None:
        gathered = self.gathered
        round_ = self._round_of(found)
        gathered.rounds[place.folder] = round_
        # a second member of an archive under the same name takes the first one's place, as in unpacking
        gathered.shown[place.folder] = found.shown.rpartition("/")[0] or self._tree.root.name
        if found.file is not None:
            gathered.runs[place.folder]
            gathered.tasks.append(_Task(found.path, found.shown, found.size, round_, self._detail))
            return
        gathered.runs[place.folder].pop(found.path, None)
        with found.opened() as stream:
            run = _run(stream, found.shown, round_, self._detail)
        gathered.runs[place.folder][found.path] = run

    def _power(self, found: Found, place: Place) -> None:
        assert place.run is not None
        with found.opened() as stream:
            mean = node_power(stream) if place.kind == "node_power" else switch_power(stream)
        self.gathered.power[place.folder, place.run].append(mean)
        if mean.problem:
            self._note(found.shown, mean.problem)

    def _round_of(self, found: Found) -> str:
        round_ = self._round or round_of(found.path.parent) or self._checkout or round_of(self._tree.root)
        if round_ is None:
            raise ConfigError(
                "neither the folder's names nor a git remote say which round these results belong to",
                file=self._tree.root,
                key="--round",
                allowed=rulesets(),
            )
        ruleset_of(round_)
        return round_

    def _note(self, path: str, problem: str) -> None:
        self.gathered.unread.append(Unread(path, problem))

    def folders(self) -> tuple[ResultFolder, ...]:
        """All result folders, put together; names what lies beside them and could not be read."""
        gathered = self.gathered
        for path, shown in gathered.beside:
            if in_results(path.parent) or path.parent in gathered.runs:
                self._note(shown, "not read: a result's log is called result_*.txt")
        for folder in self._tree.folders:
            if in_results(folder) and folder not in gathered.runs:
                self._note(self._tree.shown(folder), "no result_*.txt in it")
        return tuple(self._folder(folder) for folder in sorted(gathered.runs))

    def _folder(self, folder: PurePosixPath) -> ResultFolder:
        gathered = self.gathered
        laid_out = in_results(folder)
        runs = tuple(self._with_energy(folder, path, run) for path, run in sorted(gathered.runs[folder].items()))
        logged = next((run.benchmark for run in runs if run.benchmark), None)
        power = [mean for (place, _), found in gathered.power.items() if place == folder for mean in found]
        remarked = Counter(mean.remark for mean in power if mean.remark)
        return ResultFolder(
            round=gathered.rounds[folder],
            path=gathered.shown[folder],
            submitter_folder=folder.parts[-4] if laid_out and len(folder.parts) >= 4 else "",
            system_id=folder.parts[-2] if laid_out else "",
            benchmark=folder.name if laid_out or logged is None else logged,
            system=self._system(folder, laid_out),
            scaling_factor=gathered.scaling.get(folder),
            scaling_problem=gathered.broken_scaling.get(folder),
            power=bool(power),
            remarks=tuple(f"{n} of {len(power)} power logs: {remark}" for remark, n in remarked.items()),
            runs=runs,
        )

    def _system(self, folder: PurePosixPath, laid_out: bool) -> System | None:
        """The description of a result folder's system; of one handed over loose the only one that came with it."""
        if not laid_out:
            return next(iter(self.gathered.systems.values())) if len(self.gathered.systems) == 1 else None
        path = folder.parents[2] / "systems" / f"{folder.parts[-2]}.json"
        if path in self.gathered.systems or path in self.gathered.broken_systems:
            return self.gathered.systems.get(path)
        file = Path(path)
        if not self._tree.root.is_dir() or not Path(folder).is_dir():
            self._note(self._tree.shown(path), "there is no such system description")
            return None
        try:
            # a single result folder of a checkout: its description lies above what is read
            self.gathered.systems[path] = system_of(read_json(file.read_bytes()[: MOST_BYTES + 1]))
        except FileNotFoundError:
            self._note(self._tree.shown(path), "there is no such system description")
        except (NotReadable, OSError) as problem:
            self._note(self._tree.shown(path), str(problem))
        return self.gathered.systems.get(path)

    def _with_energy(self, folder: PurePosixPath, path: PurePosixPath, run: Run) -> Run:
        """The run with its energy: mean power of its nodes and switches x time to train."""
        found = self.gathered.power.get((folder, run_name(path)))
        if not found or run.minutes is None:
            return run
        watts = [mean.watts for mean in found]
        if any(w is None for w in watts):
            return run
        return replace(run, energy_joules=sum(w for w in watts if w is not None) * run.minutes * 60)


def _json(found: Found) -> dict[str, object]:
    with found.opened() as stream:
        return dict(read_json(stream.read(MOST_BYTES + 1)))


def _run(stream: object, shown: str, round_: str, detail: bool) -> Run:
    book = rule_book(ruleset_of(round_))
    run = read_log(stream, shown, book, STEP_KEYS.get(round_, "samples_count"))  # type: ignore[arg-type]
    return run if detail else replace(run, evaluations=(), throughputs=())


def _read_logs(tasks: list[_Task], workers: int) -> Iterator[_Outcome]:
    """Read logs on disk, the largest portions first."""
    portions = _portions(tasks)
    workers = min(workers, len(portions))
    if workers <= 1:
        yield from (outcome for portion in portions for outcome in _read_portion(portion))
        return
    # a fork shares what is imported and compiled already; elsewhere than on Linux it is not safe
    method = "fork" if sys.platform == "linux" else "spawn"
    for round_ in {task.round for task in tasks}:
        rule_book(ruleset_of(round_))
    with ProcessPoolExecutor(workers, mp_context=get_context(method)) as pool:
        for outcomes in pool.map(_read_portion, portions):
            yield from outcomes


def _portions(tasks: Iterable[_Task]) -> list[list[_Task]]:
    portions: list[list[_Task]] = []
    size = BATCH_BYTES
    for task in sorted(tasks, key=lambda task: (-task.size, task.shown)):
        if size >= BATCH_BYTES:
            portions.append([])
            size = 0
        portions[-1].append(task)
        size += task.size
    return portions


def _read_portion(portion: list[_Task]) -> list[_Outcome]:
    return [(task.path, _read_one(task)) for task in portion]


def _read_one(task: _Task) -> Run | Unread:
    try:
        with Path(task.path).open("rb", buffering=0) as stream:
            return _run(stream, task.shown, task.round, task.detail)
    except OSError as problem:
        return Unread(task.shown, problem.strerror or str(problem))
