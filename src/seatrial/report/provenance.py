"""What the repeats ran on and with, from their records; what differs between repeats shows all its values."""

from __future__ import annotations

from typing import Any

from seatrial.analysis.collect import read_repeat
from seatrial.report.study_tables import StudyTables
from seatrial.report.table import PROSE, TEXT, Cell, Table, table

LOGS = "logs"
HANDED_OVER = ("submitter", "system_id", "round", "benchmark", "division", "source")
"""What is shown of the origin of records made of logs."""
NAMED = (LOGS, "hosts", "devices", "cpu", "kernel", "driver", "container", "git", "versions")
MOST_VALUES = 8


def provenance_table(study: StudyTables) -> Table:
    """One row per fact of the provenance, with its distinct values."""
    facts: dict[str, set[str]] = {}
    seen: set[tuple[str, str]] = set()
    records = 0
    for case in study.cases.values():
        for number in range(case.repeats):
            record = read_repeat(study.paths, case, number, metrics=()).record
            if record is None:
                continue
            records += 1
            for name in NAMED:
                fact = _fact(record.provenance, name)
                if (name, repr(fact)) in seen:  # most records say the same
                    continue
                seen.add((name, repr(fact)))
                for key, value in _leaves(name, fact):
                    facts.setdefault(key, set()).add(value)
    rows = [[Cell(key), Cell(_shown(values))] for key, values in sorted(facts.items(), key=_by_name)]
    columns = [("Fact", TEXT), ("Value", PROSE)]
    return table("provenance", f"What the {records} records say they ran on", columns, rows, "records/")


def _fact(provenance: dict[str, Any], name: str) -> Any:
    """A part of the provenance; of ingested logs whose they are, and the system as its description names it."""
    if name != LOGS:
        return provenance.get(name)
    ingested = provenance.get("ingested")
    if not isinstance(ingested, dict):
        return None
    description = ingested.get("system_description") or {}
    facts = {key: ingested.get(key) for key in HANDED_OVER}
    return facts | {"system_name, as described": description.get("system_name")}


def _by_name(fact: tuple[str, set[str]]) -> tuple[int, str]:
    return NAMED.index(fact[0].split()[0]), fact[0]


def _leaves(name: str, value: Any) -> list[tuple[str, str]]:
    """Name and text of every fact below `value`."""
    if value is None:
        return []
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in _leaves(f"{name} {key}", value[key])]
    if isinstance(value, list):
        return [leaf for entry in value for leaf in _leaves(name, entry)]
    return [(name, "yes" if value is True else "no" if value is False else str(value))]


def _shown(values: set[str]) -> str:
    ordered = sorted(values)
    more = len(ordered) - MOST_VALUES
    return ", ".join(ordered[:MOST_VALUES]) + (f" and {more} more" if more > 0 else "")
