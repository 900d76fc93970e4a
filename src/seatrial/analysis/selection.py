"""Which measurements and which planned repeats an acceptance criterion is about."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from seatrial.analysis.expected import measures
from seatrial.analysis.inputs import is_ingested
from seatrial.analysis.planned_labels import labels_not_measured
from seatrial.analysis.tables import canonical_json
from seatrial.case import Case

OPEN = (None, "auto")
"""What a parameter is where the measurement decides it; its labels then say what it was."""


@dataclass(frozen=True)
class Group:
    """One case and one set of labels: what a criterion is judged on. `rows` are those of completed repeats.

    `labels` None: the case should have measured the metric, but no repeat has it under these labels. Of a size or
    a cut that was planned and that no repeat has, `labels` are that alone. `repeats`: how many should have it,
    where that are not all of the case.
    """

    case: Case
    labels: str | None
    rows: pd.DataFrame
    repeats: int | None = None

    @property
    def planned(self) -> int:
        """How many repeats should have it."""
        return self.case.repeats if self.repeats is None else self.repeats

    @property
    def name(self) -> str:
        """The group in words: experiment, axes, labels."""
        facts = {name.rpartition(".")[2]: value for name, value in self.case.axes.items()}
        facts |= json.loads(self.labels) if self.labels else {}
        inner = ", ".join(f"{name} {value}" for name, value in sorted(facts.items()))
        return f"{self.case.experiment} ({inner})" if inner else self.case.experiment


def case_facts(case: Case) -> dict[str, Any]:
    """Everything of a case that `where` can name: experiment, workload, target, axes, the workload's parameters.

    An axis is known by its dotted name and by its last part.
    """
    parameters = case.workload.model_dump(mode="json")
    facts: dict[str, Any] = {k: v for k, v in parameters.items() if not isinstance(v, dict | list)}
    facts |= {f"workload.{name}": value for name, value in list(facts.items())}
    facts |= {name.rpartition(".")[2]: value for name, value in case.axes.items()}
    facts |= dict(case.axes)
    facts |= {f"axis.{name}": value for name, value in case.axes.items()}
    return facts | {
        "study": case.study,
        "experiment": case.experiment,
        "workload": case.workload.kind,
        "case_id": case.case_id,
        "target": case.target.name,
        "nodes": case.target.nodes,
        "accelerators": case.target.accelerators,
        "ranks": case.target.world_size,
    }


def produces(case: Case, metric: str) -> bool:
    """Whether a completed repeat of the case should hold the metric."""
    return measures(case, metric)


def matches(where: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """Every key of `where` is a fact and equal; numbers by value, everything else exactly."""
    return all(key in facts and _equal(facts[key], value) for key, value in where.items())


def select_groups(
    metric: str, where: Mapping[str, Any], cases: Sequence[Case], measurements: pd.DataFrame
) -> list[Group]:
    """All groups that `where` selects, in plan order, then by labels.

    A case is selected on what is known of it beforehand: it was planned, and where none of its rows has the labels
    that `where` asks for, what it would have measured cannot be ruled out.
    """
    of_metric = measurements[measurements["metric"] == metric]
    by_case = {str(name): rows for name, rows in of_metric.groupby("case_id", sort=False)}
    groups: list[Group] = []
    for case in cases:
        rows = by_case.get(case.case_id)
        if rows is None and not produces(case, metric):
            continue
        facts = case_facts(case)
        found = [] if rows is None else _labelled(case, where, facts, rows)
        if found and rows is not None and not is_ingested(case):
            found += _not_measured(case, where, facts, rows)
        if not found and may_match(where, facts, rows):
            found = [Group(case, None, of_metric.iloc[:0])]
        groups += found
    return groups


def _labelled(case: Case, where: Mapping[str, Any], facts: Mapping[str, Any], rows: pd.DataFrame) -> list[Group]:
    """The groups of one case that has rows of the metric."""
    texts = [text for text in sorted(set(rows["labels"])) if matches(where, {**facts, **json.loads(text)})]
    if not texts:  # most cases of a study with many criteria: what follows would cost more than all else
        return []
    counts = rows["labels"].isin(texts) & (rows["outcome"] == "completed")
    completed = rows[counts].sort_values("repeat", kind="stable")
    by_labels = {str(text): of for text, of in completed.groupby("labels", sort=False)}
    return [Group(case, text, by_labels.get(text, rows.iloc[:0])) for text in texts]


def _not_measured(
    case: Case, where: Mapping[str, Any], facts: Mapping[str, Any], rows: pd.DataFrame
) -> list[Group]:
    """The groups of one case that were planned and of which it has no row, where it has rows of others.

    What of `where` only a measurement decides does not speak against them.
    """
    there = [json.loads(text) for text in sorted(set(rows["labels"]))]
    known = {key: value for key, value in facts.items() if value not in OPEN}
    found = []
    for labels in labels_not_measured(case, str(rows["metric"].iloc[0]), there):
        known_here = {**known, **labels}
        if matches({key: value for key, value in where.items() if key in known_here}, known_here):
            found.append(Group(case, canonical_json(labels), rows.iloc[:0]))
    return found


def may_match(where: Mapping[str, Any], facts: Mapping[str, Any], rows: pd.DataFrame | None) -> bool:
    """Whether nothing that is known of a case speaks against `where`: what is open may turn out to be it.

    Where there are rows, what is open must be one of their labels: else they are not told apart by it.
    """
    open_keys = {key for key in where if facts.get(key) in OPEN}
    if rows is not None and not any(open_keys <= json.loads(text).keys() for text in set(rows["labels"])):
        return False
    return matches({key: value for key, value in where.items() if key not in open_keys}, facts)


def _equal(fact: object, value: object) -> bool:
    if isinstance(fact, bool) or isinstance(value, bool):
        return fact is value
    return fact == value
