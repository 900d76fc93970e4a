"""A folder or archive of MLPerf Training results -> everything in it, as read. The input is never written to."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from seatrial.ingest.mlperf.layout import Place, in_results, place_of, run_name
from seatrial.ingest.mlperf.leftovers import empty_folders, files_beside, lonely_systems
from seatrial.ingest.mlperf.power import MeanPower, node_power, switch_power
from seatrial.ingest.mlperf.readers import LogReaders, Task, read_run
from seatrial.ingest.mlperf.result import Reading, ResultFolder, Run, System, Unread
from seatrial.ingest.mlperf.rounds import Rounds
from seatrial.ingest.mlperf.rules import rulesets
from seatrial.ingest.mlperf.system import (
    MOST_BYTES,
    NotReadable,
    read_json,
    scaling_factor,
    system_of,
)
from seatrial.ingest.mlperf.tree import DAMAGED, Found, Tree, printable


@dataclass
class _Gathered:
    """What the walk through the tree has found so far, by result folder."""

    runs: dict[PurePosixPath, dict[str, Run]] = field(default_factory=lambda: defaultdict(dict))
    systems: dict[PurePosixPath, System] = field(default_factory=dict)
    broken_systems: dict[PurePosixPath, str] = field(default_factory=dict)
    scaling: dict[PurePosixPath, float] = field(default_factory=dict)
    broken_scaling: dict[PurePosixPath, str] = field(default_factory=dict)
    power: dict[tuple[PurePosixPath, str], list[MeanPower]] = field(default_factory=lambda: defaultdict(list))
    rounds: dict[PurePosixPath, tuple[str, str | None]] = field(default_factory=dict)
    shown: dict[PurePosixPath, str] = field(default_factory=dict)
    beside: list[Found] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)


def read_results(path: Path, round_: str | None = None, workers: int | None = 1, *, detail: bool = True) -> Reading:
    """Read a checkout of a results repository, a submitter's folder, one result folder, or a tar archive of any.

    `round_` (v5.1) is needed where neither the path nor a checkout's remote names it.
    `workers` processes share the logs of a folder (None: one for each core); an archive is read by one. Without
    `detail` evaluations and throughputs are left out. Raises UnreadableFile where `path` is no folder and no
    archive, ConfigError for a round that is not known, has no rules or contradicts the repository's own name.
    """
    tree = Tree(path)
    with LogReaders(workers or len(os.sched_getaffinity(0))) as logs:
        reader = _TreeReader(tree, round_, logs, detail)
        for found in tree.files():
            reader.take(found)
        gathered = reader.gathered
        for folder, name, outcome in logs.outcomes():
            if isinstance(outcome, Run):
                gathered.runs[folder][name] = outcome
            else:
                gathered.unread.append(outcome)
    folders = reader.folders()
    unread = sorted({*tree.unread, *gathered.unread}, key=lambda u: (u.path, u.problem))
    return Reading(folders, tuple(unread))


class _TreeReader:
    """Sorts the files of a tree: small ones and members of archives are read at once, logs on disk are put by."""

    def __init__(self, tree: Tree, round_: str | None, logs: LogReaders, detail: bool) -> None:
        self._tree, self._rounds, self._logs, self._detail = tree, Rounds(tree.root, round_), logs, detail
        self.gathered = _Gathered()

    def take(self, found: Found) -> None:
        place = place_of(found.folder, found.name, self._tree.base)
        try:
            self._take(found, place)
        except NotReadable as problem:
            self._note(found.shown, str(problem))
            if place.kind == "scaling":
                self.gathered.broken_scaling[place.folder] = str(problem)
            if place.kind == "system":
                self.gathered.broken_systems[found.folder / found.name] = str(problem)
        except (*DAMAGED, OSError) as problem:
            self._note(found.shown, getattr(problem, "strerror", None) or f"damaged: {problem}")

    def _take(self, found: Found, place: Place) -> None:
        gathered = self.gathered
        if place.kind == "log":
            self._log(found, place)
        elif place.kind == "misplaced":
            self._note(found.shown, "not where a result belongs (results/<system>/<benchmark>/result_*.txt)")
        elif place.kind == "system":
            gathered.systems[found.folder / found.name] = system_of(_json(found))
        elif place.kind == "scaling":
            gathered.scaling[place.folder] = scaling_factor(_json(found))
        elif place.kind in ("node_power", "switch_power"):
            self._power(found, place)
        else:
            gathered.beside.append(found)

    def _log(self, found: Found, place: Place) -> None:
        gathered = self.gathered
        round_, remark = self._rounds.of(place.folder)
        if round_ not in rulesets():
            self._note(
                found.shown.rpartition("/")[0], f"round {round_} has no rules here; known: {', '.join(rulesets())}"
            )
            return
        gathered.rounds[place.folder] = round_, remark
        gathered.shown[place.folder] = found.shown.rpartition("/")[0] or printable(self._tree.root.name)
        runs = gathered.runs[place.folder]
        # a later member of an archive under the same name takes the first one's place, as in unpacking
        runs.pop(found.name, None)
        if found.file is not None:
            self._logs.add(
                Task(found.folder, found.name, found.file, found.shown, found.size, round_, self._detail)
            )
            return
        with found.opened() as stream:
            runs[found.name] = read_run(stream, found.shown, round_, self._detail)

    def _power(self, found: Found, place: Place) -> None:
        assert place.run is not None
        with found.opened() as stream:
            mean = node_power(stream) if place.kind == "node_power" else switch_power(stream)
        self.gathered.power[place.folder, place.run].append(mean)
        if mean.problem:
            self._note(found.shown, mean.problem)

    def _note(self, path: str, problem: str) -> None:
        self.gathered.unread.append(Unread(path, problem))

    def folders(self) -> tuple[ResultFolder, ...]:
        """All result folders, put together; names what lies beside them and could not be read."""
        gathered = self.gathered
        for shown, problem in files_beside(gathered.beside, gathered.runs):
            self._note(shown, problem)
        for path, problem in (
            *empty_folders(self._tree.folders, gathered.runs),
            *lonely_systems(gathered.systems, gathered.runs),
        ):
            self._note(self._tree.shown(path), problem)
        return tuple(self._folder(folder) for folder in sorted(gathered.runs))

    def _folder(self, folder: PurePosixPath) -> ResultFolder:
        gathered = self.gathered
        laid_out = in_results(folder)
        runs = tuple(self._with_energy(folder, name, run) for name, run in sorted(gathered.runs[folder].items()))
        logged = next((run.benchmark for run in runs if run.benchmark), None)
        power = [mean for (place, _), found in gathered.power.items() if place == folder for mean in found]
        remarked = Counter(mean.remark for mean in power if mean.remark)
        round_, remark = gathered.rounds[folder]
        remarks = [f"{n} of {len(power)} power logs: {said}" for said, n in remarked.items()]
        return ResultFolder(
            round=round_,
            path=gathered.shown[folder],
            submitter_folder=printable(folder.parts[-4]) if laid_out and len(folder.parts) >= 4 else "",
            system_id=printable(folder.parts[-2]) if laid_out else "",
            benchmark=printable(folder.name) if laid_out or logged is None else logged,
            system=self._system(folder, laid_out),
            scaling_factor=gathered.scaling.get(folder),
            scaling_problem=gathered.broken_scaling.get(folder),
            power=bool(power),
            remarks=tuple([remark, *remarks] if remark else remarks),
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

    def _with_energy(self, folder: PurePosixPath, name: str, run: Run) -> Run:
        """The run with its energy: mean power of its nodes and switches x time to train."""
        found = self.gathered.power.get((folder, run_name(name)))
        if not found or run.minutes is None or not any(mean.node for mean in found):
            return run
        watts = [mean.watts for mean in found if mean.watts is not None]
        return replace(run, energy_joules=sum(watts) * run.minutes * 60) if len(watts) == len(found) else run


def _json(found: Found) -> dict[str, object]:
    with found.opened() as stream:
        return dict(read_json(stream.read(MOST_BYTES + 1)))
