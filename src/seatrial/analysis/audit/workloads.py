"""Which files of a folder belong to one workload, and which of them say the same again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from seatrial.ingest.audit.facts import DeviceSeries, LogFailure, Trace, TrainingLog
from seatrial.ingest.audit.read import FileReading

_CHECKPOINT = re.compile(r"^(?:checkpoint|global_step|iter|step)[-_]?\d+$")
"""A folder that a training makes for itself; what lies in it is of the training beside it."""


@dataclass(frozen=True)
class Workload:
    """One workload's logs. Each fact stands beside the file that says it."""

    name: str
    """The folder below the audited one, and the program where there are several; empty for the folder itself."""
    files: tuple[str, ...]
    devices: tuple[tuple[str, DeviceSeries], ...]
    trainings: tuple[tuple[str, TrainingLog], ...]
    traces: tuple[tuple[str, Trace], ...]
    failures: tuple[tuple[str, LogFailure], ...]
    repeated: tuple[str, ...] = ()
    """What is left out because another file says it too, in words."""


def workloads(files: Iterable[FileReading]) -> tuple[Workload, ...]:
    """One for every folder directly below the audited one, and one for the files that lie in it itself.

    Where logs of several programs lie in one folder, or profiles of trainings on different numbers of ranks, each
    is one; what else lies there is one of its own, since nothing says of which it is. Copies of a file count once.
    """
    groups: dict[str, list[FileReading]] = {}
    for file in files:
        groups.setdefault(_group(file.file), []).append(file)
    found: list[Workload] = []
    for name in sorted(groups):
        different, copies = _without_copies(groups[name])
        programs = _by_program(different)
        for program, of_program in programs.items():
            words = ", ".join(filter(None, [name, program])) if len(programs) > 1 else name
            kept = {file.file for file in of_program}
            again = tuple(f"{copy}: a copy of {of}" for copy, of in copies if of in kept)
            found.append(_workload(words, of_program, again))
    return tuple(found)


def _without_copies(files: list[FileReading]) -> tuple[list[FileReading], list[tuple[str, str]]]:
    """The files of different content, and each copy beside the file that it is a copy of."""
    first: dict[str, FileReading] = {}
    copies = []
    for file in files:
        if file.digest and (same := first.setdefault(file.digest, file)) is not file:
            copies.append((file.file, same.file))
    left_out = {copy for copy, _ in copies}
    return [file for file in files if file.file not in left_out], copies


def _by_program(files: list[FileReading]) -> dict[str, list[FileReading]]:
    """Files by the program that wrote them, or the ranks that profiles are of; one name where there is but one."""
    sizes = {trace.world_size for file in files for trace in file.facts.traces if trace.world_size}
    programs: dict[str, list[FileReading]] = {}
    for file in files:
        wrote = sorted({log.framework for log in file.facts.trainings})
        if len(sizes) > 1:
            of = sorted({trace.world_size for trace in file.facts.traces if trace.world_size})
            wrote += [f"profiles of {size} ranks" for size in of]
        programs.setdefault(" and ".join(wrote), []).append(file)
    if len([program for program in programs if program]) < 2:
        return {"": files}
    return {program or "other files": programs[program] for program in sorted(programs)}


def _group(shown: str) -> str:
    parts = shown.split("/")[:-1]
    return "" if not parts or _CHECKPOINT.match(parts[0]) else parts[0]


def _workload(name: str, files: list[FileReading], copies: tuple[str, ...]) -> Workload:
    trainings, repeated = _once([(file.file, log) for file in files for log in file.facts.trainings])
    return Workload(
        name,
        tuple(file.file for file in files),
        tuple((file.file, series) for file in files for series in file.facts.devices),
        trainings,
        tuple((file.file, trace) for file in files for trace in file.facts.traces),
        tuple((file.file, failure) for file in files for failure in file.facts.failures),
        (*copies, *repeated),
    )


def _once(
    found: list[tuple[str, TrainingLog]],
) -> tuple[tuple[tuple[str, TrainingLog], ...], tuple[str, ...]]:
    """Leave out states and prints of a run that another file tells to its end, and ranks' copies of one log."""
    kept: list[tuple[str, TrainingLog]] = []
    repeated = []
    for file, log in sorted(found, key=lambda item: (-_told(item[1]), item[0])):
        same = next((other for other, longer in kept if _same_run(log, longer)), None)
        if same is None:
            kept.append((file, log))
        else:
            repeated.append(f"{file}: the same run as {same}, which tells more of it")
    return tuple(sorted(kept, key=lambda item: item[0])), tuple(sorted(repeated))


def _told(log: TrainingLog) -> int:
    """How much a log tells of its run."""
    return 4 * len(log.steps) + 4 * len(log.parts) + 2 * (log.seconds is not None) + (log.steps_done is not None)


def _same_run(log: TrainingLog, longer: TrainingLog) -> bool:
    """Whether a log says nothing that the other, of the same framework, does not say too."""
    if log.framework != longer.framework:
        return False
    if log.steps:
        times = {(step.step, round(step.seconds, 3)) for step in longer.steps}
        return all((step.step, round(step.seconds, 3)) in times for step in log.steps)
    if log.seconds is None:  # a Trainer's state of before the end, beside one of the end
        return (log.steps_done or 0) <= (longer.steps_done or 0)
    return longer.seconds is not None and abs(log.seconds - longer.seconds) <= 1e-4 * log.seconds + 0.01
