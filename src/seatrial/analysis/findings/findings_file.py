"""findings.json: written by `seatrial analyse`, read by the page; a list of findings, each with its case."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError

from seatrial.analysis.findings.diagnose import diagnose, rank
from seatrial.analysis.findings.observed import Cause, Finding, Severity
from seatrial.analysis.findings.of_study import PROBES_OF, observe
from seatrial.analysis.inputs import read_plan
from seatrial.config.base import Closed, first_mistake
from seatrial.errors import UnreadableFile
from seatrial.paths import StudyPaths, write_text

REMEDY = "`seatrial analyse` makes it again"


class Cost(Closed):
    """Share of the time, with its interval."""

    value: float
    low: float | None
    high: float | None
    method: str
    n: int


class FindingEntry(Closed):
    """One entry of findings.json."""

    cause: Cause
    severity: Severity
    title: str = Field(min_length=1)
    workload: str
    where: str
    place: dict[str, Any]
    cost: Cost | None
    evidence: list[str]
    counter_evidence: list[str]
    without_it: str
    action: str
    next_step: str
    remedy_cost: str


def findings(paths: StudyPaths) -> list[FindingEntry]:
    """Write findings.json: of every workload what holds it back, what costs most first.

    Raises UnreadableFile where `collect` has not run, or a table is not what `seatrial analyse` writes.
    """
    rules = read_plan(paths).study.findings
    found = [(rank(seen, f), entry(f, seen.title)) for seen in observe(paths) for f in diagnose(seen, rules)]
    ordered = [one for _, one in sorted(found, key=lambda pair: pair[0])]
    text = json.dumps([one.model_dump(mode="json") for one in ordered], indent=1, ensure_ascii=False)
    write_text(paths.findings, text + "\n")
    return ordered


def entry(finding: Finding, workload: str) -> FindingEntry:
    """A finding as it stands in the file; `workload` says what it is of in words."""
    return FindingEntry.model_validate_json(json.dumps(asdict(finding) | {"workload": workload}))


def read_findings(paths: StudyPaths) -> list[FindingEntry]:
    """The findings of a study, as `findings` ordered them.

    Raises UnreadableFile where the file is absent, not findings, or of cases that the study does not plan.
    """
    try:
        found = TypeAdapter(list[FindingEntry]).validate_json(paths.findings.read_bytes())
    except ValidationError as problem:
        raise UnreadableFile(paths.findings, f"{first_mistake(problem)}; {REMEDY}") from problem
    except OSError as problem:
        raise UnreadableFile(paths.findings, f"{problem}; {REMEDY}") from problem
    plan = read_plan(paths)
    foreign = [one.place.get("case") for one in found if not _is_known(one.place.get("case"), plan.cases)]
    if foreign:
        raise UnreadableFile(paths.findings, f"case {foreign[0]} is not of this study; {REMEDY}")
    return found


def _is_known(case: object, known: Sequence[str]) -> bool:
    return isinstance(case, str) and (case in known or case.startswith(PROBES_OF))
