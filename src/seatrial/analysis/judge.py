"""A study's tables, and what they say of a criterion: what it selects, the values of that, and what is missing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from seatrial.analysis.bounds import Failed
from seatrial.analysis.collect import read_record
from seatrial.analysis.comparison import COLUMNS
from seatrial.analysis.fleet import RANK, by_host, fleet_hosts, fleet_not_tested, hosts_of_ranks, no_claim
from seatrial.analysis.gaps import (
    OF_A_MACHINE,
    asks_for_some_ranks,
    nodes_not_sampled,
    nodes_not_tested,
    not_completed,
    ranks_not_measured,
    runs_of_logs,
)
from seatrial.analysis.inputs import PlannedStudy, is_ingested, read_cases
from seatrial.analysis.judgement import (
    Judgement,
    incomplete,
    judge_ratio,
    judge_reached,
    judge_values,
    with_gaps,
    worst,
)
from seatrial.analysis.measurements import read_measurements, read_repeats
from seatrial.analysis.ratio import Ratio
from seatrial.analysis.selection import Group, case_facts, matches, select_groups
from seatrial.analysis.suspect import run_again, suspect, suspect_records, unplanned
from seatrial.analysis.tables import canonical_json, read_csv, require_cases, rows_of
from seatrial.analysis.time_to_quality import TO_QUALITY, not_converged
from seatrial.analysis.verdict_file import unit_of
from seatrial.case import Case
from seatrial.config.criterion import RATIO, Criterion
from seatrial.config.metrics import METRICS
from seatrial.paths import StudyPaths

COMPARISON_TEXT = ("round", "system", "submitter", "note", "source", "axes")


class Judge:
    """The tables of one study, read once, and what they say of a criterion.

    Raises UnreadableFile where a table is absent, foreign, or speaks of a case that is not planned.
    """

    def __init__(self, paths: StudyPaths, plan: PlannedStudy, compared: pd.DataFrame | None = None) -> None:
        """`compared`: the rows of comparison.csv, where they are not to be read."""
        self.paths = paths
        self.cases = read_cases(paths, plan)
        self.measurements = read_measurements(paths)
        repeats = read_repeats(paths)
        table = read_csv(paths.comparison, COLUMNS, COMPARISON_TEXT) if compared is None else compared
        for file, frame in (
            (paths.measurements, self.measurements),
            (paths.repeats, repeats),
            (paths.comparison, table),
        ):
            require_cases(file, frame, plan.cases)
        self.comparison = rows_of(table)
        self.fleet = fleet_hosts(plan.study.fleet)
        self.above_ceiling = plan.study.differences.above_ceiling.value
        self._repeats = {str(name): rows for name, rows in repeats.groupby("case_id", sort=False)}
        self._none = repeats.iloc[:0]
        self.unplanned = unplanned(paths, plan.cases)
        self._hosts: dict[str, dict[int, list[str]]] = {}
        self._not_run: dict[tuple[str, str], str | None] = {}

    def judge(self, criterion: Criterion) -> Judgement:
        """The judgement on all that a criterion selects, as one."""
        if criterion.is_of_published:
            return self._judge_comparison(criterion)
        groups = select_groups(criterion.metric, criterion.where, self.cases, self.measurements)
        absent, fleet = self._absent_ranks(criterion, groups), self._absent_nodes(criterion, groups)
        groups = self._by_host(criterion, groups)
        judged = [
            (group.name, self._judge_group(criterion, group, len(groups), absent.get(group.case.case_id) or fleet))
            for group in groups
        ]
        return self._with_notes(worst(criterion, judged), [group.case for group in groups])

    def _with_notes(self, judged: Judgement, cases: list[Case]) -> Judgement:
        """The judgement with what else must be known of the cases that it rests on."""
        chosen = list({case.case_id: case for case in cases}.values())
        notes = [run_again(self.paths, chosen, self._repeats_of), self.unplanned]
        if self.fleet and judged.verdict != "incomplete":
            notes.append(no_claim(self.fleet, chosen, self._repeats_of))
        words = "; ".join(note for note in notes if note is not None)
        return replace(judged, reason=f"{judged.reason}; {words}") if words else judged

    def _by_host(self, criterion: Criterion, groups: list[Group]) -> list[Group]:
        """Where a fleet is named: what every rank has for itself, by host where its rank ran on several."""
        if not self.fleet or asks_for_some_ranks(criterion.metric, criterion.where):
            return groups
        found: dict[tuple[str, str | None], Group] = {}
        for group in groups:
            parts = [group]
            if group.labels and RANK in json.loads(group.labels) and not is_ingested(group.case):
                of_case = [one for one in groups if one.case is group.case and not one.rows.empty]
                parts = by_host(group, of_case, self._hosts_by_repeat(group.case))
            found |= {(part.case.case_id, part.labels): part for part in parts}
        return list(found.values())

    def _hosts_by_repeat(self, case: Case) -> dict[int, list[str]]:
        """The host of each rank of the completed repeats; [] of a repeat where its record does not say."""
        if case.case_id not in self._hosts:
            repeats = self._repeats_of(case)
            numbers = repeats[repeats["outcome"] == "completed"]["repeat"].tolist()
            self._hosts[case.case_id] = {
                int(number): hosts_of_ranks(case, self._record_hosts(case, int(number))) for number in numbers
            }
        return self._hosts[case.case_id]

    def _repeats_of(self, case: Case) -> pd.DataFrame:
        return self._repeats.get(case.case_id, self._none)

    def _absent_ranks(self, criterion: Criterion, groups: list[Group]) -> dict[str, str]:
        """By case: which ranks (of sensors: nodes) have no measurement, unless the criterion names some of them."""
        if asks_for_some_ranks(criterion.metric, criterion.where):
            return {}
        labels: dict[str, list[str]] = {}
        for group in groups:
            if group.labels is not None and not group.rows.empty:
                labels.setdefault(group.case.case_id, []).append(group.labels)
        by_id = {group.case.case_id: group.case for group in groups}
        found: dict[str, str | None] = {}
        for name, texts in labels.items():
            if criterion.metric.startswith(OF_A_MACHINE):
                found[name] = nodes_not_sampled(by_id[name], texts, self._hosts_of(by_id[name]))
            else:
                found[name] = ranks_not_measured(by_id[name], criterion.metric, texts)
        return {name: words for name, words in found.items() if words is not None}

    def _hosts_of(self, case: Case) -> list[str]:
        """The host of each rank of the first completed repeat of a case; none where its record does not say."""
        repeats = self._repeats_of(case)
        for number in repeats[repeats["outcome"] == "completed"]["repeat"].head(1):
            return self._record_hosts(case, int(number))
        return []

    def _record_hosts(self, case: Case, number: int) -> list[str]:
        """The hosts that a record states."""
        record = read_record(self.paths, case, number, ())
        hosts = record.provenance.get("hosts") if record is not None else None
        return [str(host) for host in hosts] if isinstance(hosts, list) else []

    def _absent_nodes(self, criterion: Criterion, groups: list[Group]) -> str | None:
        """Which nodes of the fleet nothing that is selected ran on, where it should have."""
        if not self.fleet or asks_for_some_ranks(criterion.metric, criterion.where):
            return None
        of_ranks = any(group.labels and RANK in json.loads(group.labels) for group in groups)
        chosen = {group.case.case_id: group.case for group in groups}
        return fleet_not_tested(self.fleet, list(chosen.values()), self._repeats_of, of_ranks)

    def _judge_group(self, criterion: Criterion, group: Group, among: int, absent: str | None) -> Judgement:
        known = self._values(criterion, group)
        samples = self._samples(criterion, group, next(iter(known))) if len(known) == 1 else []
        repeats = self._repeats_of(group.case)
        runs = runs_of_logs(group.case, repeats)
        values, planned, unit = list(known.values()), group.planned, unit_of(criterion)
        if criterion.metric in TO_QUALITY and criterion.unit_of != "ceiling":
            judged = judge_reached(criterion, values, samples, unit, planned, not_converged(repeats), among)
        else:
            failed = Failed(runs.excused if runs and known else 0, METRICS[criterion.metric].direction)
            judged = judge_values(criterion, values, samples, unit, planned, failed, among)
        return with_gaps(judged, self._gaps(criterion, group, len(known)) or absent)

    def _values(self, criterion: Criterion, group: Group) -> dict[int, float]:
        """The finite values of a group as the criterion counts them, by repeat."""
        column = "fraction_of_ceiling" if criterion.unit_of == "ceiling" else "median"
        found: dict[int, list[float]] = {}
        for number, value in zip(group.rows["repeat"].tolist(), group.rows[column].tolist(), strict=True):
            found.setdefault(int(number), []).append(value)
        known = {number: float(np.median(found[number])) / _unit(criterion) for number in sorted(found)}
        return {number: value for number, value in known.items() if math.isfinite(value)}

    def _gaps(self, criterion: Criterion, group: Group, known: int) -> str | None:
        """What of a group was not measured, in words, or None; `known` is how many repeats have a value."""
        case, repeats = group.case, self._repeats_of(group.case)
        key = case.case_id, criterion.metric
        if key not in self._not_run:
            self._not_run[key] = (
                not_completed(case, repeats)
                or nodes_not_tested(case, repeats)
                or suspect_records(self.paths, case, criterion.metric, repeats, self.measurements)
            )
        if self._not_run[key]:
            return self._not_run[key]
        n, planned = group.rows["repeat"].nunique(), group.planned
        runs = runs_of_logs(case, repeats)
        if n + (runs.excused if runs else 0) < planned:
            return f"{planned - n} of {planned} repeats did not measure it"
        if criterion.unit_of == "ceiling" and group.rows["ceiling"].isna().any():
            return "no ceiling is known for it, so a fraction of the ceiling cannot be judged"
        if known < n:
            return f"in {n - known} of {planned} repeats a value is not a number"
        return suspect(criterion, group, self.above_ceiling)

    def _samples(self, criterion: Criterion, group: Group, number: int) -> list[float]:
        """The samples of one repeat of a group, as the criterion counts them, from its record."""
        record = read_record(self.paths, group.case, number, (criterion.metric,))
        labels = set(group.rows["labels"])
        found = [
            m
            for m in (record.measurements if record is not None else [])
            if m.metric == criterion.metric and canonical_json(m.labels) in labels
        ]
        if criterion.unit_of != "ceiling":
            return [s / _unit(criterion) for m in found for s in m.samples]
        # no time at all is no fraction of a ceiling: infinite, and so not a number to judge
        return [
            s / m.ceiling if m.direction == "higher" else m.ceiling / s if s else math.inf
            for m in found
            for s in m.samples
            if m.ceiling is not None
        ]

    def _judge_comparison(self, criterion: Criterion) -> Judgement:
        by_id = {case.case_id: case for case in self.cases}
        chosen = [row for row in self.comparison if self._is_about(criterion, row, by_id.get(row["case_id"]))]
        judged = [
            (_row_name(row, by_id), self._judge_row(criterion, row, by_id.get(row["case_id"]), len(chosen)))
            for row in chosen
        ]
        return worst(criterion, judged)

    def _is_about(self, criterion: Criterion, row: Mapping[str, Any], case: Case | None) -> bool:
        """Whether a criterion on a ratio is about a row of comparison.csv; its case's own facts count too."""
        if criterion.metric != RATIO and (case is None or criterion.metric.partition(".")[0] != _family(case)):
            return False
        return matches(criterion.where, {**(case_facts(case) if case is not None else {}), **_facts(row)})

    def _judge_row(self, criterion: Criterion, row: Mapping[str, Any], case: Case | None, among: int) -> Judgement:
        n = int(row["measured_n"] or 0)
        problem, runs = None, None
        if case is not None:
            repeats = self._repeats_of(case)
            problem = not_completed(case, repeats) or nodes_not_tested(case, repeats)
            problem = problem or suspect_records(self.paths, case, criterion.metric, repeats, self.measurements)
            runs = runs_of_logs(case, repeats)
        if problem is None and runs is not None:
            problem = runs.gap
        if row["ratio"] is not None and criterion.unit_of != "ceiling":
            ratio = Ratio(row["ratio"], row["ratio_error"], row["ratio_degrees_of_freedom"])
            planned = int(row["repeats"] or n)
            spread = row["spread"] if row["case_id"] else None
            judged = judge_ratio(criterion, ratio, n, spread, planned, among)
            if problem is None and n < planned:
                problem = f"{planned - n} of {planned} repeats did not measure it"
            return with_gaps(judged, problem)
        if problem:
            return incomplete(problem, n)
        if criterion.unit_of == "ceiling":
            return incomplete("a ratio to a reference has no ceiling", n)
        if row["basis"] == "undefined":
            return Judgement("no_reference", row["note"] or "no reference", n=n)
        return incomplete(row["note"] or "no ratio", n)


def covers(where: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether a criterion on comparison.ratio with this `where` is about a row of comparison.csv."""
    return matches(where, _facts(row))


def _unit(criterion: Criterion) -> float:
    """What a measured value is divided by to be counted as the criterion counts."""
    return criterion.reference.value if criterion.reference is not None else 1.0


def _family(case: Case) -> str:
    """The family of metrics of the times that are compared of a case."""
    return "mlperf" if case.workload.kind == "mlperf_logs" else "train"


def _facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """What `where` can name of a row of comparison.csv."""
    axes = dict(json.loads(row["axes"])) if row["axes"] else {}
    return {**axes, **{k: v for k, v in row.items() if v is not None}}


def _row_name(row: Mapping[str, Any], cases: Mapping[str, Case]) -> str:
    if row["case_id"] in cases:
        return Group(cases[row["case_id"]], None, pd.DataFrame()).name
    return f"{row['submitter']} {row['system']}, {row['benchmark']} {row['round']}"
