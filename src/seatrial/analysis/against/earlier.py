"""Reading the earlier study; whatever is wrong with its folder is one clear error that names it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from seatrial.analysis.inputs import PlannedStudy, read_plan
from seatrial.analysis.measurements import read_measurements, read_repeats
from seatrial.analysis.tables import require_cases
from seatrial.case import NOT_IDENTITY, PATIENCE, SCHEDULING, Case, content_hash
from seatrial.config.base import first_mistake
from seatrial.errors import ConfigError, UnreadableFile
from seatrial.paths import StudyPaths

KEY = "against"
ALLOWED = "the folder of another study (results/NAME) on which `seatrial collect` has run"


@dataclass(frozen=True)
class Measured:
    """A study with its cases and what was collected of them."""

    paths: StudyPaths
    plan: PlannedStudy
    cases: list[Case]
    measurements: pd.DataFrame
    repeats: pd.DataFrame


def read_earlier(folder: Path, than: Path | None = None) -> Measured:
    """The study in `folder`, to hold the study in `than` against.

    Raises ConfigError where there is no study, or nothing measured in it, or it is the same one; UnreadableFile
    where one of its files is half-written, or of another schema version.
    """
    paths = StudyPaths(folder)
    if than is not None and folder.resolve() == than.resolve():
        raise ConfigError("a study is no earlier study of itself", key=KEY, value=str(folder), allowed=ALLOWED)
    if not paths.study.is_file():
        raise ConfigError(
            "there is no study in this folder", file=paths.study, key=KEY, value=str(folder), allowed=ALLOWED
        )
    plan = read_plan(paths)
    for table in (paths.measurements, paths.repeats):
        if not table.is_file():
            words = "nothing was collected of the earlier study"
            raise ConfigError(words, file=table, key=KEY, value=str(folder), allowed=ALLOWED)
    found = Measured(
        paths=paths,
        plan=plan,
        cases=[read_case(paths.case(case_id)) for case_id in plan.cases],
        measurements=read_measurements(paths),
        repeats=read_repeats(paths),
    )
    _whole(found, folder)
    return found


def _whole(found: Measured, folder: Path) -> None:
    """Raises where a table is not of this study, has lost rows, or holds no completed repeat."""
    for file, frame in ((found.paths.measurements, found.measurements), (found.paths.repeats, found.repeats)):
        require_cases(file, frame, found.plan.cases)
    planned = sum(case.repeats for case in found.cases)
    if len(found.repeats) != planned:
        words = f"{len(found.repeats)} of {planned} planned repeats: half-written, or of another plan"
        raise UnreadableFile(found.paths.repeats, words)
    if not (found.repeats["outcome"] == "completed").any():
        words = "no repeat of the earlier study completed: there is nothing to compare with"
        raise ConfigError(words, file=found.paths.repeats, key=KEY, value=str(folder), allowed=ALLOWED)


def read_case(path: Path) -> Case:
    """A case, also one that an earlier version of Seatrial wrote: its id is then the hash of what it wrote.

    Raises UnreadableFile where the file is not a case, or was edited.
    """
    try:
        text = path.read_text(encoding="utf-8")
        case = Case.model_validate_json(text)
    except (OSError, UnicodeDecodeError) as problem:
        raise UnreadableFile(path, str(problem)) from problem
    except ValidationError as problem:
        raise UnreadableFile(path, first_mistake(problem)) from problem
    return case if case.case_id == _hash_as_written(json.loads(text)) else Case.read(path)


def _hash_as_written(content: dict[str, Any]) -> str:
    """The id of a case by the keys that its file has, whichever were added since."""
    target = {key: value for key, value in content["target"].items() if key not in NOT_IDENTITY}
    target["launcher"] = {k: v for k, v in target.get("launcher", {}).items() if k not in SCHEDULING}
    target["node"] = {"cpus": target.get("node", {}).get("cpus")}
    return content_hash(
        {
            "experiment": content["experiment"],
            "workload": {key: value for key, value in content["workload"].items() if key not in PATIENCE},
            "target": target,
            "base_seed": content["base_seed"],
        }
    )
