"""Which case of a study a result folder stands for; and the study that a folder makes by itself.

What the logs ran on is known from the system description alone, which is the submitter's word. A folder that is not
what a case declares is refused, in words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seatrial.case import Case
from seatrial.config.benchmarks import BENCHMARKS
from seatrial.config.ingested import MlperfLogs
from seatrial.config.study import Experiment, References, Study
from seatrial.config.target import Accelerator, Node, Target
from seatrial.errors import ConfigError
from seatrial.ingest.matching import in_words, plan_of
from seatrial.ingest.mlperf.result import ResultFolder, System
from seatrial.planned import Plan

FamilyOf = Callable[[System], str | None]
"""The accelerator family of a system description; None where its words are of none."""
DEVICES = {"NVIDIA": "cuda", "AMD": "cuda"}
"""Vendors whose accelerators torch drives as `cuda`."""
VENDORS = ("NVIDIA", "AMD", "Intel", "Google", "Habana")


@dataclass(frozen=True)
class Match:
    """A case and the result folder whose logs are its repeats."""

    case: Case
    folder: ResultFolder

    @property
    def notes(self) -> list[str]:
        """What a reader must know of this pair beyond that it fits."""
        workload, system, logs = self.case.workload, self.folder.system, len(self.folder.runs)
        assert isinstance(workload, MlperfLogs)
        notes = []
        if system is None:
            notes.append("no system description came with it: what the logs ran on is the study's word alone")
        elif system.submitter:
            notes.append(f"logs of {system.submitter}, whose published results are left out of the reference")
        if workload.submitter is None and (system is None or not system.submitter):
            notes.append(
                "nothing says whose logs these are, so published results of their submitter, if any, stay in the "
                f"reference (experiments.{self.case.experiment}.workload.submitter)"
            )
        if logs < self.case.repeats:
            notes.append(f"{logs} of {self.case.repeats} logs: the other repeats are missing")
        if logs != workload.facts.runs:
            notes.append(f"{logs} runs are no MLPerf result: {workload.benchmark} has {workload.facts.runs}")
        return notes


def match_cases(plan: Plan, folders: Sequence[ResultFolder], family_of: FamilyOf) -> list[Match]:
    """Each folder with the case of `plan` that it stands for.

    Raises ConfigError where the plan has no case of kind mlperf_logs, a folder is not what any of them declares or
    has more logs than the case has repeats, or two folders stand for one case.
    """
    cases = [case for case in plan.cases if isinstance(case.workload, MlperfLogs)]
    if not cases:
        raise ConfigError(
            "the study has no experiment of kind mlperf_logs, so these logs are none of its repeats",
            file=plan.file_of("experiments"),
            key="experiments",
            value=plan.study.name,
            allowed="a study with a workload mlperf_logs, or another --study, made from the folder itself",
        )
    taken: dict[str, ResultFolder] = {}
    matches = []
    for folder in folders:
        case = _case_of(folder, cases, family_of)
        other = taken.setdefault(case.case_id, folder)
        if other is not folder:
            raise ConfigError(
                f"two result folders for one case of experiment {case.experiment}",
                file=folder.path,
                key="--system",
                value=folder.system_id,
                allowed=f"one of {other.system_id} and {folder.system_id}",
            )
        matches.append(Match(case, folder))
    return matches


def _case_of(folder: ResultFolder, cases: Sequence[Case], family_of: FamilyOf) -> Case:
    """The one case that a folder fits, the number of its logs included."""
    differing = [(case, _differences(folder, case, family_of)) for case in cases]
    fitting = [case for case, differences in differing if not differences]
    if not fitting:
        nearest, differences = min(differing, key=lambda pair: len(pair[1]))
        key, found, declared = differences[0]
        words = "; ".join(f"{k}: it is {f!r}, declared is {d!r}" for k, f, d in differences)
        raise ConfigError(
            f"these logs are not what the study declares (experiment {nearest.experiment}): {words}",
            file=folder.path,
            key=key,
            value=found,
            allowed=", ".join(dict.fromkeys(str(d[2]) for _, ds in differing for d in ds if d[0] == key))
            or str(declared),
        )
    if len(fitting) > 1:
        raise ConfigError(
            "these logs fit several cases of the study",
            file=folder.path,
            key="experiments",
            value=folder.benchmark,
            allowed="one case for each benchmark and system; fitting: " + ", ".join(c.experiment for c in fitting),
        )
    case, logs = fitting[0], len(folder.runs)
    if logs > case.repeats:
        raise ConfigError(
            f"{logs} logs, but the case has {case.repeats} repeats: which of them count would be a choice",
            file=folder.path,
            key=f"experiments.{case.experiment}.repeats",
            value=case.repeats,
            allowed=f"at least {logs}",
        )
    return case


def _differences(folder: ResultFolder, case: Case, family_of: FamilyOf) -> list[tuple[str, object, object]]:
    """In what a folder is not the case: key, what the folder says, what the case declares."""
    workload, target, system = case.workload, case.target, folder.system
    assert isinstance(workload, MlperfLogs)
    compared: list[tuple[str, object, object]] = [
        ("benchmark", folder.benchmark, workload.benchmark),
        ("round", folder.round, workload.round),
    ]
    if (division := _division(folder)) is not None:
        compared.append(("division", division, workload.division))
    if system is not None:
        if workload.submitter is not None:
            compared.append(("submitter", system.submitter, workload.submitter))
        family = target.accelerator.family if target.accelerator else None
        compared.append(("accelerators", system.accelerators, target.accelerators))
        if target.accelerators or system.accelerators:
            found = family_of(system)
            # where the description's words are of no known family, they themselves are what differs
            said = found if found is not None or family is None else system.accelerator_model
            compared.append(("accelerator family", said, family))
    return [entry for entry in compared if entry[1] != entry[2]]


def _division(folder: ResultFolder) -> str | None:
    """closed or open, as the system description says, else the logs."""
    said = folder.system.division if folder.system is not None else None
    said = said or next((run.division for run in folder.runs if run.division), None)
    return None if said is None else said.strip().lower()


def one_system(folders: Sequence[ResultFolder], system_id: str | None) -> list[ResultFolder]:
    """The folders of one system; `system_id` chooses where there are several.

    Raises ConfigError where the choice is not there, or there is none and several systems to choose from.
    """
    systems = list(dict.fromkeys(folder.system_id for folder in folders))
    if system_id is not None:
        chosen = [folder for folder in folders if folder.system_id == system_id]
        if not chosen:
            raise ConfigError("no results of this system", key="--system", value=system_id, allowed=systems)
        return chosen
    places = {(folder.submitter_folder, folder.system_id, folder.round) for folder in folders}
    if len(places) > 1:
        named = [f.system_id or f"none ({f.path})" for f in folders]
        raise ConfigError(
            f"results of {len(places)} systems, but a study has one target",
            key="--system",
            value=system_id,
            allowed=", ".join(dict.fromkeys(named)) + "; or the folder of one system alone",
        )
    return list(folders)


def study_of(name: str, folders: Sequence[ResultFolder], family_of: FamilyOf, words: Sequence[str]) -> Plan:
    """The study that the result folders of one system make by themselves: an experiment for each, target and
    submitter on the system description's word, no criteria.

    `words` are what it is planned with. Raises ConfigError where a folder has no description or one without counts,
    or is of a benchmark that is not known.
    """
    with in_words(folders[0].path):
        return _study_of(name, folders, family_of, words)


def _study_of(name: str, folders: Sequence[ResultFolder], family_of: FamilyOf, words: Sequence[str]) -> Plan:
    first = folders[0]
    target = _target(first, family_of)
    system = first.system
    assert system is not None
    experiments = {f.benchmark: Experiment(workload=_workload(f), repeats=len(f.runs)) for f in folders}
    study = Study(
        name=name,
        title=f"MLPerf Training {first.round} logs of {system.submitter or first.submitter_folder}",
        description=(
            "Logs handed over, not measured by Seatrial. The study was made from the result folder itself: what "
            "the logs ran on is what the system description says, the submitter's word."
        ),
        target=target,
        experiments=experiments,
        references=References(round=first.round),
    )
    return plan_of(study, words)


def _workload(folder: ResultFolder) -> MlperfLogs:
    if folder.benchmark not in BENCHMARKS:
        raise ConfigError(
            "no such MLPerf Training benchmark",
            file=folder.path,
            key="benchmark",
            value=folder.benchmark,
            allowed=BENCHMARKS,
        )
    system, division = folder.system, _division(folder)
    if division not in ("closed", "open"):
        raise ConfigError(
            "neither the system description nor a log says which division this is",
            file=folder.path,
            key="division",
            value=division,
            allowed="closed, open",
        )
    return MlperfLogs(
        kind="mlperf_logs",
        benchmark=folder.benchmark,
        round=folder.round,
        division="closed" if division == "closed" else "open",
        submitter=system.submitter if system is not None else None,
    )


def _target(folder: ResultFolder, family_of: FamilyOf) -> Target:
    """The target that a system description states."""
    system = folder.system
    if system is None or not system.nodes or system.accelerators_per_node is None:
        raise ConfigError(
            "nothing says what these logs ran on: no log does, and "
            + (
                "no system description came with them" if system is None else "the system description has no counts"
            ),
            file=folder.path,
            key="number_of_nodes, accelerators_per_node",
            allowed=f"<Submitter>/systems/{folder.system_id or '<system>'}.json beside results/, as MLPerf lays it "
            "out; or a study in conf/study whose target declares it",
        )
    model = system.accelerator_model or ""
    vendor = next((v for v in VENDORS if model.lower().startswith(v.lower())), None)
    count = system.accelerators_per_node
    accelerator = Accelerator(name=model or "not named", vendor=vendor or "not stated", family=family_of(system))
    host = " ".join(
        str(system.description[key])
        for key in ("host_processors_per_node", "host_processor_model_name")
        if system.description.get(key)
    )
    source = f"systems/{folder.system_id}.json" if folder.system_id else "the system description"
    return Target.model_validate(
        {
            "name": _slug(folder.system_id or system.name or "system"),
            "description": f"{system.name or folder.system_id}, as its submitter describes it",
            "nodes": system.nodes,
            "accelerators_per_node": count,
            "tasks_per_node": count or 1,
            "device": DEVICES.get(vendor or "", "other") if count else "cpu",
            "accelerator": accelerator if count else None,
            "node": Node(description=host or None),
            "notes": [f"counts and names are those of {source} as handed over, the submitter's word: not measured"],
        }
    )


def _slug(text: str) -> str:
    """`text` as a name: lower-case letters, digits, _ and -."""
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")[:64] or "system"
