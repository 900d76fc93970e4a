"""What changed since the earlier study: what the records say they ran on and with, and what the target declares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from seatrial.analysis.against.alike import Match, flat, what_matters
from seatrial.analysis.against.earlier import Measured
from seatrial.analysis.collect import read_record
from seatrial.analysis.tables import canonical_json
from seatrial.case import NOT_IDENTITY, SCHEDULING, Case

RECORDED = ("driver", "kernel", "cpu", "devices", "hosts", "versions", "container", "environment", "git")
"""Parts of a record's provenance that are compared."""
COLUMNS = ("study", "earlier_study", "origin", "fact", "value", "earlier_value")
"""`origin`: recorded (what the repeats ran on and with) or declared (by the target). Values are all that occurred;
empty where there was none."""
Facts = dict[tuple[str, str], set[str]]


def change_rows(matches: Sequence[Match], study: Measured, other: Measured) -> list[dict[str, Any]]:
    """One row for each fact whose values are not the same in both studies' equal cases."""
    now: Facts = {}
    before: Facts = {}
    for match in matches:
        if match.earlier is not None:
            _gather(now, study, match.case)
            _gather(before, other, match.earlier)
    return [
        {
            "study": study.plan.study.name,
            "earlier_study": other.plan.study.name,
            "origin": origin,
            "fact": fact,
            "value": _shown(now.get((origin, fact), set())),
            "earlier_value": _shown(before.get((origin, fact), set())),
        }
        for origin, fact in sorted({*now, *before}, key=_order)
        if now.get((origin, fact), set()) != before.get((origin, fact), set())
    ]


def _gather(facts: Facts, study: Measured, case: Case) -> None:
    for name, value in _declared(case):
        facts.setdefault(("declared", name), set()).add(value)
    for number in range(case.repeats):
        record = read_record(study.paths, case, number, ())
        if record is not None and record.outcome == "completed":
            for part in RECORDED:
                for name, value in _leaves(part, record.provenance.get(part)):
                    facts.setdefault(("recorded", name), set()).add(value)


def _declared(case: Case) -> Iterator[tuple[str, str]]:
    """What the target says beyond what must be equal; neither prices nor where a job queues."""
    content = case.target.model_dump(mode="json", exclude=NOT_IDENTITY | {"ablations"})
    content["launcher"] = {k: v for k, v in content["launcher"].items() if k not in SCHEDULING}
    told = what_matters(case)
    for name, value in flat("target", content).items():
        if name not in told and value is not None and not name.endswith(".source"):
            yield name, value if isinstance(value, str) else canonical_json(value)


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    for key, leaf in flat(name, value).items():
        for one in leaf if isinstance(leaf, list) else [leaf]:
            if one is not None and one != {}:
                yield key, one if isinstance(one, str) else canonical_json(one)


def _shown(values: set[str]) -> str | None:
    return ", ".join(sorted(values)) or None


def _order(fact: tuple[str, str]) -> tuple[bool, int, str]:
    """Recorded facts first, drivers and versions before settings."""
    origin, name = fact
    part = name.partition(".")[0]
    return origin != "recorded", RECORDED.index(part) if part in RECORDED else 0, name
