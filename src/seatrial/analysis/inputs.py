"""What the analysis starts from: the study as it was planned, and its cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from seatrial.analysis.once import once
from seatrial.case import Case, case_id, target_facts
from seatrial.config.base import Closed, first_mistake
from seatrial.config.ingested import HandedOver, MlperfLogs
from seatrial.config.study import Study
from seatrial.config.target import Target
from seatrial.config.training import External, Training
from seatrial.config.workload import AnyWorkload
from seatrial.errors import UnreadableFile
from seatrial.paths import StudyPaths

TIME_TO_QUALITY = ("train.time_to_quality", "mlperf.time_to_train")
"""The times in tables/time_to_quality.csv: of trainings that ran here, and of logs handed over."""


class PlanFigures(Closed):
    """What the plan asks for: repeats, and hours at most (each repeat at its time limit)."""

    repeats: int
    accelerator_hours: float | None
    node_hours: float
    cost: dict[str, Any] | None


class PlannedStudy(Closed):
    """study.json: the composed study, the ids of its cases in plan order, and what the plan asks for."""

    schema_version: Literal[1] = 1
    study: Study
    cases: list[str]
    plan: PlanFigures
    command: list[str]


def read_plan(paths: StudyPaths) -> PlannedStudy:
    """Read study.json.

    Raises UnreadableFile where it is absent, truncated or foreign.
    """
    return once(("plan", paths.study), lambda: _read_plan(paths.study))


def _read_plan(path: Path) -> PlannedStudy:
    try:
        return PlannedStudy.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as problem:
        raise UnreadableFile(path, first_mistake(problem)) from problem
    except (OSError, UnicodeDecodeError) as problem:
        raise UnreadableFile(path, str(problem)) from problem


def read_cases(paths: StudyPaths, plan: PlannedStudy) -> list[Case]:
    """All cases in plan order.

    Raises UnreadableFile where a case file is absent, foreign or edited, and where cases and study.json do not ask
    for the same repeats: without them nothing says what was planned.
    """
    key = "cases", paths.cases, tuple(plan.cases)
    return list(once(key, lambda: _read_cases(paths, plan)))


def _read_cases(paths: StudyPaths, plan: PlannedStudy) -> list[Case]:
    reader = _CaseReader()
    cases = [reader.read(paths.case(name)) for name in plan.cases]
    for case in cases:
        experiment = plan.study.experiments.get(case.experiment)
        if experiment is not None and experiment.repeats != case.repeats:
            words = f"repeats is {case.repeats}, study.json plans {experiment.repeats} of {case.experiment}"
            raise UnreadableFile(paths.case(case.case_id), f"{words}; was it edited?")
    repeats = sum(case.repeats for case in cases)
    if repeats != plan.plan.repeats:
        words = f"its {len(cases)} cases have {repeats} repeats, its plan asks for {plan.plan.repeats}"
        raise UnreadableFile(paths.study, f"{words}; was it edited?")
    return cases


class _CaseReader:
    """Reads case files. Targets and workloads that they share are validated once, as the plan does, and shared."""

    def __init__(self) -> None:
        self._targets: dict[bytes, tuple[Target, str]] = {}
        """Each with its part of the case's id."""
        self._workloads: dict[bytes, AnyWorkload] = {}

    def read(self, path: Path) -> Case:
        """The same as `Case.read`, which says what is wrong with a file."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            of_target, of_workload, _ = (_text(raw[key]) for key in ("target", "workload", "axes"))
            return self._shared(raw, of_target, of_workload) or self._first(path, of_target, of_workload)
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return Case.read(path)

    def _shared(self, raw: dict[str, Any], of_target: bytes, of_workload: bytes) -> Case | None:
        """A case whose target is known; None where it is not, or the case's id is not that of its content."""
        if of_target not in self._targets:
            return None
        target, facts = self._targets[of_target]
        workload = self._workloads.get(of_workload, raw["workload"])
        case = Case.model_validate({**raw, "target": target, "workload": workload})
        if case.case_id != case_id(case.experiment, case.workload, target, case.base_seed, facts):
            return None
        self._workloads[of_workload] = case.workload
        return case

    def _first(self, path: Path, of_target: bytes, of_workload: bytes) -> Case:
        case = Case.read(path)
        target, _ = self._targets.setdefault(of_target, (case.target, target_facts(case.target)))
        workload = self._workloads.setdefault(of_workload, case.workload)
        return case.model_copy(update={"target": target, "workload": workload})


def _text(part: object) -> bytes:
    """Part of a file as canonical text, in which True, 1 and 1.0 differ.

    Raises ValueError for what Python's reader of JSON takes and pydantic's does not: half of a character.
    """
    return json.dumps(part, ensure_ascii=False, sort_keys=True).encode()


def is_training(case: Case) -> bool:
    """Whether the case trains to a quality target: ours, a command that has to reach one, or logs of one."""
    if isinstance(case.workload, External):
        return case.workload.quality is not None
    return isinstance(case.workload, Training | MlperfLogs)


def is_ingested(case: Case) -> bool:
    """Whether the case's records are made from logs that somebody handed over: nothing of it runs."""
    return isinstance(case.workload, HandedOver)
