"""Records that are there already are never overwritten with those of other work or of other logs."""

from __future__ import annotations

from collections.abc import Mapping

from seatrial.case import Case
from seatrial.errors import ConfigError
from seatrial.paths import StudyPaths
from seatrial.planned import Plan
from seatrial.record import Record


def refuse_other_records(paths: StudyPaths, plan: Plan) -> None:
    """Raise ConfigError where records of cases that the plan does not have lie in the study's folder."""
    known = {case.case_id for case in plan.cases}
    there = sorted({record.parent.name for record in paths.records.glob("*/*.json")} - known)
    if there:
        raise ConfigError(
            f"this folder holds records of {len(there)} cases that the study, as planned now, does not have",
            file=paths.records / there[0],
            key="--study",
            value=plan.study.name,
            allowed="another --study or --results; or the --override words that the folder was planned with "
            f"({paths.study}, command); or remove the folder",
        )


def refuse_other_logs(paths: StudyPaths, case: Case, digests: Mapping[int, str | None], named: str) -> None:
    """Raise ConfigError where a repeat of the case has a record already that is of another log.

    `digests`: of what each repeat's record is to be made from now; `named`: what was handed over.
    """
    for path in sorted((paths.records / case.case_id).glob("*.json")):
        if not path.stem.isdigit():
            continue
        old = Record.read(path)
        # what was run by hand where only logs can be ingested says nothing but that
        if old.outcome != "unsupported" and log_digest(old) != digests.get(int(path.stem)):
            raise ConfigError(
                f"repeat {path.stem} of experiment {case.experiment} has a record of another log already",
                file=path,
                key="FOLDER",
                value=named,
                allowed=f"the folder that was ingested before, or another --study; or remove {path.parent}",
            )


def log_digest(record: Record) -> str | None:
    """SHA-256 of the log that a record was made from; None for a record that was not ingested."""
    ingested = record.provenance.get("ingested")
    digest = ingested.get("sha256") if isinstance(ingested, dict) else None
    return digest if isinstance(digest, str) else None
