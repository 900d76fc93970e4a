"""Which case a run stands for, and the study that runs make by themselves."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from seatrial.case import Case
from seatrial.config.ingested import NcclTestsLogs
from seatrial.config.study import Experiment
from seatrial.config.target import Accelerator, Target
from seatrial.errors import ConfigError
from seatrial.ingest.matching import Difference, Match, in_words, match_results, study_of
from seatrial.ingest.nccl_tests.read import HandedRun
from seatrial.nccl_tests.run import ProgramRun
from seatrial.planned import Plan


def match_runs(plan: Plan, runs: Sequence[HandedRun]) -> list[Match[HandedRun]]:
    """Each run with the repeat of the case that it stands for. Raises ConfigError where one stands for none."""
    return match_results(plan, NcclTestsLogs, runs, _differences, lambda run: run.place)


def _differences(handed: HandedRun, case: Case) -> list[Difference]:
    workload, run = case.workload, handed.run
    assert isinstance(workload, NcclTestsLogs)
    compared: list[Difference] = [
        ("operation", handed.operation, workload.operation),
        ("dtype", handed.dtype, workload.dtype),
    ]
    if run.ranks is not None:
        compared.append(("ranks", run.ranks, case.target.accelerators or case.target.world_size))
    if run.ranks is not None and run.devices and _each(run) is not None:
        compared.append(("target.nodes", len(run.hosts), case.target.nodes))
    if run.statistic is not None and workload.over_ranks is not None:
        compared.append(("over_ranks", run.statistic, workload.over_ranks))
    return [entry for entry in compared if entry[1] != entry[2]]


def study_from_runs(name: str, runs: Sequence[HandedRun], words: Sequence[str]) -> Plan:
    """The study that runs make by themselves: an experiment for each operation and type, on what the runs name.

    Raises ConfigError where nothing says what they ran on, or they ran on systems of different sizes.
    """
    systems = list(dict.fromkeys(size for run in runs if (size := _size(run.run)) is not None))
    if len(systems) != 1:
        raise ConfigError(
            "the runs are of systems of different sizes, but a study has one target"
            if systems
            else "no run says on how many devices of how many hosts it ran",
            file=runs[0].place,
            key="--ranks" if systems else "ranks",
            value=", ".join(f"{nodes} x {each}" for nodes, each in systems) or None,
            allowed=f"one of {', '.join(str(nodes * each) for nodes, each in systems)}"
            if systems
            else "output with its heading (`Using devices`); or a study in conf/study whose target declares it",
        )
    with in_words(runs[0].place):
        experiments = _experiments(runs)
        target = _target(runs, *systems[0])
        return study_of(name, f"nccl-tests on {target.description}", target, experiments, words)


def _experiments(runs: Sequence[HandedRun]) -> dict[str, Experiment]:
    """One for each operation and type."""
    groups = Counter((run.operation, run.dtype) for run in runs)
    return {
        f"{operation}-{dtype}".replace(".", "-"): Experiment(
            workload=NcclTestsLogs.model_validate(
                {"kind": "nccl_tests_logs", "operation": operation, "dtype": dtype}
            ),
            repeats=count,
        )
        for (operation, dtype), count in groups.items()
    }


def of_ranks(runs: Sequence[HandedRun], ranks: int) -> list[HandedRun]:
    """The runs on so many ranks. Raises ConfigError where there is none."""
    chosen = [run for run in runs if run.run.ranks == ranks]
    if not chosen:
        known = sorted({run.run.ranks for run in runs if run.run.ranks is not None})
        raise ConfigError("no run on so many ranks", key="--ranks", value=ranks, allowed=", ".join(map(str, known)))
    return chosen


def _each(run: ProgramRun) -> int | None:
    """Ranks of each host; None where they are not equally many."""
    hosts = len(run.hosts)
    return run.ranks // hosts if run.ranks is not None and hosts and run.ranks % hosts == 0 else None


def _size(run: ProgramRun) -> tuple[int, int] | None:
    """Hosts, and devices of each."""
    each = _each(run)
    return None if each is None else (len(run.hosts), each)


def _target(runs: Sequence[HandedRun], nodes: int, each: int) -> Target:
    """The target that the runs' headings name."""
    devices = [device for handed in runs for device in handed.run.devices]
    names = list(dict.fromkeys(device.name.strip() for device in devices if device.name.strip()))
    shown = " and ".join(names) or "devices that are not named"
    slug = re.sub(r"[^a-z0-9_-]+", "-", names[0].lower()).strip("-_")[:48] if len(names) == 1 else "devices"
    return Target(
        name=f"{slug or 'devices'}-{nodes}x{each}",
        description=f"{nodes} x {each} {shown}, as the runs' headings name them",
        nodes=nodes,
        accelerators_per_node=each,
        tasks_per_node=each,
        device="cuda",
        accelerator=Accelerator(name=shown, vendor="not stated"),
        notes=["counts and names are those of the output as handed over: not measured"],
    )
