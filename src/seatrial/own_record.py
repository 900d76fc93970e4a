"""Whether a record is the one of a planned repeat."""

from __future__ import annotations

from seatrial.case import Case
from seatrial.config.ingested import HandedOver
from seatrial.config.training import Training
from seatrial.record import Record


def not_its_own(record: Record, case: Case, number: int) -> str | None:
    """Why a record does not count as that of repeat `number` of `case`, or None where it does."""
    problem = _foreign(record, case, number)
    if problem:
        return f"is not this repeat's record: {problem}"
    problem = _contradiction(case, record)
    return f"contradicts its plan or itself: {problem}" if problem else None


def _foreign(record: Record, case: Case, number: int) -> str | None:
    """What shows that a record belongs to another repeat, or None."""
    expected = {
        "study": case.study,
        "case_id": case.case_id,
        "repeat": number,
        "workload": case.workload.kind,
        "target": case.target.name,
    }
    if not isinstance(case.workload, HandedOver):
        expected["seed"] = case.seed(number)  # a log has the seeds that its run had
    for name, value in expected.items():
        found = getattr(record, name)
        if found != value:
            return f"{name} is {found!r}, not {value!r}"
    return None


def _contradiction(case: Case, record: Record) -> str | None:
    """What of a completed training's quality is not what was planned, or None.

    A training of ours completes by crossing its planned target; commands and ingested logs have ways of their own.
    """
    if record.outcome != "completed" or not isinstance(case.workload, Training):
        return None
    quality, planned = record.quality, case.workload.quality
    if quality is None:
        return "it completed, but states no quality"
    if (quality.metric, quality.target) != (planned.metric, planned.target):
        stated = f"its quality is {quality.metric} {quality.target:g}"
        return f"{stated}, planned was {planned.metric} {planned.target:g}"
    if quality.crossing is None:
        return "it completed, but its quality was never crossed"
    return None
