"""What a planned study needs of Slurm, of every node and of the file systems: read from its cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.case import Case
from seatrial.config.launcher import Container
from seatrial.config.probe import Checkpoint, Collective, Dataload, MoeAlltoall
from seatrial.config.probe.dataload import SyntheticFiles
from seatrial.config.target import Target
from seatrial.config.training import ConfiguredModel, External, HubDataset, PretrainedModel, TextDataset
from seatrial.config.training.diffusion import PreprocessedLatents
from seatrial.config.training.external import placeholders
from seatrial.config.workload import AnyWorkload
from seatrial.folder_checks import HERE, folders_of
from seatrial.nccl_tests.operations import BINARIES
from seatrial.planned import Plan
from seatrial.scheduling import asked, minutes, scheduling
from seatrial.training_checks import is_path

PLACE = ("slurm_account", "slurm_partition", "qos", "constraint", "reservation", "exclude", "slurm_extra")
"""The resource names that say where a job goes."""


@dataclass(frozen=True)
class Request:
    """What jobs ask of Slurm, by the executor's resource names, and how many of them there are."""

    words: tuple[tuple[str, Any], ...]
    jobs: int
    whose: str
    """An experiment that asks it."""

    def __getitem__(self, name: str) -> Any:
        return dict(self.words).get(name)

    @property
    def nodes(self) -> int:
        return int(self["nodes"])

    @property
    def cpus_per_node(self) -> int:
        return int(self["tasks_per_node"]) * int(self["cpus_per_task"] or 1)

    @property
    def gpus_per_node(self) -> int:
        """Of either way to ask for them."""
        if self["gres"]:
            return int(str(self["gres"]).rpartition(":")[2])
        return int(self["gpus"]) // self.nodes if self["gpus"] else 0

    @property
    def memory_mb(self) -> int:
        return int(self["mem_mb"] or 0)

    @property
    def place(self) -> tuple[Any, ...]:
        """What says where a job goes: requests of one place can be compared by size."""
        return tuple(self[name] for name in PLACE)

    def size(self) -> tuple[int, ...]:
        return (self.nodes, self.cpus_per_node, self.gpus_per_node, self.memory_mb, int(self["runtime"]))

    def in_words(self) -> str:
        parts = [f"{self.nodes} node(s)", f"{self.cpus_per_node} CPU(s)"]
        parts += [f"{self.gpus_per_node} GPU(s)"] if self.gpus_per_node else []
        parts += [f"{self.memory_mb} MB"] if self.memory_mb else []
        return f"{parts[0]} of {', '.join(parts[1:])} for {self['runtime']} min"


@dataclass(frozen=True)
class Needs:
    """Everything that the checks of a study ask for; of no study nothing is needed."""

    runs: bool = True
    """Whether anything runs: of a survey, of decisions and of logs that are handed over nothing does."""
    targets: tuple[Target, ...] = ()
    requests: tuple[Request, ...] = ()
    """The largest of each place; what is smaller in everything is left out."""
    jobs: int = 0
    written: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    """Those of them that Snakemake makes where they are not there; the others must be."""
    read: tuple[str, ...] = ()
    bytes_at: tuple[tuple[str, int], ...] = ()
    """How much the study writes at once to each folder, where that is known."""
    programs: tuple[tuple[str, str], ...] = ()
    """Programs that it starts, and which experiment does."""
    packages: tuple[tuple[str, str], ...] = ()
    """Python packages that no installation of Seatrial brings along, and which experiment needs them."""
    containers: tuple[Container, ...] = ()
    nodes: int = 1

    @property
    def here(self) -> bool:
        """Whether all of it runs on this machine."""
        return all(target.name == HERE and target.nodes == 1 for target in self.targets)

    @property
    def on_accelerators(self) -> Target | None:
        """A target whose work runs on accelerators that torch knows, or None."""
        return next((target for target in self.targets if target.device == "cuda"), None)


def needs_of(plan: Plan, results: Path, submitit: Path) -> Needs:
    """What a plan needs; `results` and `submitit` are the folders that Snakemake is given."""
    cases = plan.running
    targets = _distinct(case.target for case in cases)
    requests = _requests(plan)
    written, read = _folders(cases)
    own = [str((results / plan.study.name).absolute())]
    needs_slurm = any(target.name != HERE or target.nodes > 1 for target in targets)
    own += [str(submitit.absolute())] if needs_slurm else []
    storages = [s.path for target in targets for s in target.storage.values() if s.path is not None]
    return Needs(
        runs=bool(cases),
        targets=targets,
        requests=_largest(requests),
        jobs=sum(request.jobs for request in requests),
        written=_distinct([*own, *written, *(_full(path) for path in storages)]),
        made=tuple(own),
        read=_distinct(read),
        bytes_at=tuple(_bytes_at(cases).items()),
        programs=_distinct(_programs(cases)),
        packages=_distinct(_packages(cases)),
        containers=_distinct([t.launcher.container for t in targets if t.launcher.container is not None]),
        nodes=max((case.target.nodes for case in cases), default=1),
    )


def _distinct(items: Iterable[Any]) -> tuple[Any, ...]:
    """The items in order, each once; schemas cannot be hashed."""
    found: list[Any] = []
    for item in items:
        if item not in found:
            found.append(item)
    return tuple(found)


def _full(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def _requests(plan: Plan) -> list[Request]:
    """What all jobs of the plan ask, those that ask the same together."""
    jobs: Counter[tuple[tuple[str, Any], ...]] = Counter()
    whose: dict[tuple[tuple[str, Any], ...], str] = {}
    for case in plan.running:
        words = tuple(sorted(asked(case).items()))
        jobs[words] += case.repeats
        whose.setdefault(words, f"experiment {case.experiment}")
    for spec in plan.prepared.values():
        resources = {
            "nodes": 1,
            "tasks_per_node": 1,
            "runtime": minutes(spec.time_limit_minutes),
            **scheduling(plan.study.target),
        }
        words = tuple(sorted(resources.items()))
        jobs[words] += 1
        whose.setdefault(words, f"preparation of {spec.name}")
    return [Request(words, count, whose[words]) for words, count in jobs.items()]


def _largest(requests: Sequence[Request]) -> tuple[Request, ...]:
    """Without those that another of the same place exceeds in everything."""
    return tuple(
        one
        for i, one in enumerate(requests)
        if not any(_covers(o, one, j < i) for j, o in enumerate(requests) if j != i)
    )


def _covers(larger: Request, smaller: Request, earlier: bool) -> bool:
    if larger.place != smaller.place or any(a < b for a, b in zip(larger.size(), smaller.size(), strict=True)):
        return False
    return larger.size() != smaller.size() or earlier


def _folders(cases: Iterable[Case]) -> tuple[list[str], list[str]]:
    """Folders that the cases' workloads write to, and what they read."""
    written: list[str] = []
    read: list[str] = []
    for case in cases:
        work = case.workload
        writes = isinstance(work, Checkpoint) or (
            isinstance(work, Dataload) and isinstance(work.dataset, SyntheticFiles)
        )
        (written if writes else read).extend(_full(path) for _, path in folders_of(case))
        read += [_full(path) for path in _files(work)]
    return written, read


def _files(work: AnyWorkload) -> list[str]:
    """Files and folders that a training names by path."""
    dataset, model = getattr(work, "dataset", None), getattr(work, "model", None)
    found: list[str | None] = []
    if isinstance(dataset, TextDataset):
        found += [*dataset.train, *dataset.evaluation]
    elif isinstance(dataset, HubDataset) and dataset.source == "folder":
        found.append(dataset.name)
    elif isinstance(dataset, PreprocessedLatents):
        found += [dataset.train, dataset.evaluation, dataset.empty_encodings]
    names = [model.name] if isinstance(model, PretrainedModel | ConfiguredModel) else []
    names += [model.tokenizer] if isinstance(model, ConfiguredModel) else []
    return [path for path in [*found, *(name for name in names if name and is_path(name))] if path is not None]


def _bytes_at(cases: Iterable[Case]) -> dict[str, int]:
    """The most that one job of the study has in each folder at once; jobs that run together are not added up."""
    most: dict[str, int] = {}
    for case in cases:
        work = case.workload
        size = 0
        if isinstance(work, Checkpoint):
            size = work.size_bytes * work.kept_at_once
        elif isinstance(work, Dataload) and isinstance(work.dataset, SyntheticFiles):
            size = work.dataset.samples * (work.dataset.sample_bytes or 0) * case.target.world_size
        for _, path in folders_of(case) if size else []:
            most[_full(path)] = max(size, most.get(_full(path), 0))
    return most


def _programs(cases: Iterable[Case]) -> list[tuple[str, str]]:
    found = []
    for case in cases:
        work = case.workload
        if isinstance(work, External) and not placeholders(work.command[0]):
            found.append((work.command[0], f"experiment {case.experiment}"))
        if isinstance(work, Collective) and work.implementation == "nccl_tests":
            name = BINARIES[work.operation]
            path = name if work.nccl_tests_folder is None else str(Path(work.nccl_tests_folder) / name)
            found.append((path, f"experiment {case.experiment}"))
    return found


def _packages(cases: Iterable[Case]) -> list[tuple[str, str]]:
    return [
        ("deep_ep", f"experiment {case.experiment}")
        for case in cases
        if isinstance(case.workload, MoeAlltoall) and case.workload.dispatcher == "deepep"
    ]
