"""Tables and criteria -> verdicts.json and junit.xml; and what `seatrial verdict` says of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from seatrial.analysis.collect import read_repeat
from seatrial.analysis.comparison import COLUMNS
from seatrial.analysis.handed_over import Runs, runs_of
from seatrial.analysis.inputs import PlannedStudy, read_cases, read_plan
from seatrial.analysis.judgement import (
    PRECEDENCE,
    Failed,
    Judgement,
    incomplete,
    judge_ratio,
    judge_reached,
    judge_values,
    with_gaps,
    worst,
)
from seatrial.analysis.junit import junit_xml
from seatrial.analysis.measurements import read_measurements, read_repeats
from seatrial.analysis.ratio import Ratio
from seatrial.analysis.selection import Group, matches, select_groups
from seatrial.analysis.tables import canonical_json, read_csv, require_cases, rows_of
from seatrial.analysis.time_to_quality import TO_QUALITY, not_converged
from seatrial.analysis.verdict_file import Verdict, criterion_columns, read_verdicts
from seatrial.case import Case
from seatrial.config.ingested import MlperfLogs
from seatrial.config.metrics import METRICS
from seatrial.config.study import Criterion
from seatrial.errors import EXIT_FAIL, EXIT_OK, EXIT_UNKNOWN
from seatrial.paths import StudyPaths, write_text

COMPARISON_TEXT = ("round", "system", "submitter", "note", "source", "axes")
NO_CRITERIA = "no_criteria"
"""What `overall` says of a study that declares no criterion."""
MOST_NAMED = 5
"""Repeats that a reason names; tables/repeats.csv has them all."""


def verdicts(paths: StudyPaths) -> None:
    """Write verdicts.json and junit.xml, one verdict per criterion in the study's order."""
    plan = read_plan(paths)
    judge = _Judge(paths, plan)
    found = [_as_json(c, judge.judge(c)) for c in plan.study.criteria]
    write_text(paths.verdicts, json.dumps(found, indent=2, sort_keys=True, allow_nan=False) + "\n")
    write_text(paths.verdicts.with_name("junit.xml"), junit_xml(plan.study.name, found))


def overall(found: Sequence[Mapping[str, Any]]) -> str:
    """The study's verdict: fail where any criterion fails, pass where all pass, else what stands in the way."""
    words = {verdict["verdict"] for verdict in found}
    if not words:
        return NO_CRITERIA
    return next(word for word in PRECEDENCE if word in words)


def exit_code(found: Sequence[Mapping[str, Any]]) -> int:
    """0 where all criteria pass or there are none, 1 where any fails, else 3."""
    word = overall(found)
    if word in ("pass", NO_CRITERIA):
        return EXIT_OK
    return EXIT_FAIL if word == "fail" else EXIT_UNKNOWN


def verdict_lines(paths: StudyPaths) -> list[str]:
    """What `seatrial verdict` prints: a line per criterion and one for the study.

    Raises UnreadableFile where the study has not been analysed, or verdicts.json is not of its criteria.
    """
    found = read_verdicts(paths)
    lines = [f"{_words(v['verdict']):<12}  {v['criterion']}: {v['reason']}" for v in found]
    return [*lines, f"verdict of {read_plan(paths).study.name}: {overall_in_words(found)}"]


def overall_in_words(found: Sequence[Mapping[str, Any]]) -> str:
    """'pass (2 of 2 criteria)', 'incomplete (1 pass, 1 incomplete)' or that there are no criteria."""
    word = overall(found)
    if word == NO_CRITERIA:
        return "no criteria declared, so there is nothing to pass or fail"
    counts = [(sum(v["verdict"] == w for v in found), w) for w in reversed(PRECEDENCE)]
    if word == "pass":
        return f"pass ({len(found)} of {len(found)} criteria)"
    return f"{_words(word)} ({', '.join(f'{n} {_words(w)}' for n, w in counts if n)})"


def _words(verdict: str) -> str:
    return verdict.replace("_", " ")


class _Judge:
    """The tables of one study, read once, and what they say of a criterion."""

    def __init__(self, paths: StudyPaths, plan: PlannedStudy) -> None:
        self.paths = paths
        self.cases = read_cases(paths, plan)
        self.measurements = read_measurements(paths)
        self.repeats = read_repeats(paths)
        table = read_csv(paths.comparison, COLUMNS, COMPARISON_TEXT)
        for file, frame in (
            (paths.measurements, self.measurements),
            (paths.repeats, self.repeats),
            (paths.comparison, table),
        ):
            require_cases(file, frame, plan.cases)
        self.comparison = rows_of(table)

    def judge(self, criterion: Criterion) -> Judgement:
        if criterion.metric == "comparison.ratio":
            return self._judge_comparison(criterion)
        groups = select_groups(criterion.metric, criterion.where, self.cases, self.measurements)
        return worst(criterion, [(group.name, self._judge_group(criterion, group)) for group in groups])

    def _judge_group(self, criterion: Criterion, group: Group) -> Judgement:
        column, unit = "median", METRICS[criterion.metric].unit
        if criterion.unit_of == "ceiling":
            column, unit = "fraction_of_ceiling", "of the ceiling"
        repeat, known = group.rows["repeat"], {}
        for number in sorted(set(repeat.tolist())):
            value = float(np.median(group.rows[repeat == number][column]))
            if math.isfinite(value):
                known[number] = value
        samples = self._samples(criterion, group, next(iter(known))) if len(known) == 1 else []
        runs = self._runs(group.case)
        values, planned = list(known.values()), group.case.repeats
        if criterion.metric in TO_QUALITY and criterion.unit_of == "value":
            never = not_converged(self.repeats[self.repeats["case_id"] == group.case.case_id])
            judged = judge_reached(criterion, values, samples, unit, planned, never)
        else:
            failed = Failed(runs.excused if runs and known else 0, METRICS[criterion.metric].direction)
            judged = judge_values(criterion, values, samples, unit, planned, failed)
        return with_gaps(judged, self._gaps(criterion, group, len(known)))

    def _gaps(self, criterion: Criterion, group: Group, known: int) -> str | None:
        """What of a group was not measured, in words, or None; `known` is how many repeats have a value."""
        problem = self._not_completed(group.case)
        if problem:
            return problem
        n, planned = group.rows["repeat"].nunique(), group.case.repeats
        runs = self._runs(group.case)
        if n + (runs.excused if runs else 0) < planned:
            return f"{planned - n} of {planned} repeats did not measure it"
        if criterion.unit_of == "ceiling" and group.rows["ceiling"].isna().any():
            return "no ceiling is known for it, so a fraction of the ceiling cannot be judged"
        if known < n:
            return f"in {n - known} of {planned} repeats a value is not a number"
        return None

    def _runs(self, case: Case) -> Runs | None:
        """What logs handed over are by MLCommons' rules; None of a case that runs here."""
        if not isinstance(case.workload, MlperfLogs):
            return None
        return runs_of(case, self.repeats[self.repeats["case_id"] == case.case_id]["outcome"].tolist())

    def _not_completed(self, case: Case) -> str | None:
        """What became of the planned repeats of a case that are not completed, in words, or None.

        Failed runs that MLCommons allows a result are no gap; more of them than it allows are said to be that.
        """
        of_case = self.repeats[self.repeats["case_id"] == case.case_id]
        bad, planned = of_case[of_case["outcome"] != "completed"], len(of_case)
        runs = self._runs(case)
        if runs is not None and runs.excused:
            bad = bad[bad["outcome"] != "failed"]
        if bad.empty:
            return None
        words = [
            f"repeat {row['repeat']} {row['outcome']}" + (f" ({row['error_kind']})" if row["error_kind"] else "")
            for row in rows_of(bad.head(MOST_NAMED))
        ]
        more = f" and {len(bad) - MOST_NAMED} more" if len(bad) > MOST_NAMED else ""
        refusal = f"{runs.refusal}; " if runs is not None and runs.refusal else ""
        return f"{refusal}{len(bad)} of {planned} repeats not completed: {', '.join(words)}{more}"

    def _samples(self, criterion: Criterion, group: Group, number: int) -> list[float]:
        """The samples of one repeat of a group, as the criterion counts them, from its record."""
        record = read_repeat(self.paths, group.case, number).record
        found = [
            m
            for m in (record.measurements if record is not None else [])
            if m.metric == criterion.metric and canonical_json(m.labels) == group.labels
        ]
        if criterion.unit_of == "value":
            return [s for m in found for s in m.samples]
        return [
            s / m.ceiling if m.direction == "higher" else m.ceiling / s
            for m in found
            for s in m.samples
            if m.ceiling is not None and s
        ]

    def _judge_comparison(self, criterion: Criterion) -> Judgement:
        by_id = {case.case_id: case for case in self.cases}
        judged = []
        for row in self.comparison:
            if covers(criterion.where, row):
                judged.append((_row_name(row, by_id), self._judge_row(criterion, row, by_id.get(row["case_id"]))))
        return worst(criterion, judged)

    def _judge_row(self, criterion: Criterion, row: Mapping[str, Any], case: Case | None) -> Judgement:
        n = int(row["measured_n"] or 0)
        problem = self._not_completed(case) if case is not None else None
        runs = self._runs(case) if case is not None else None
        if problem is None and runs is not None:
            problem = runs.gap
        if row["ratio"] is not None and criterion.unit_of == "value":
            ratio = Ratio(row["ratio"], row["ratio_error"], row["ratio_degrees_of_freedom"])
            planned = int(row["repeats"] or n)
            judged = judge_ratio(criterion, ratio, n, row["spread"] if row["case_id"] else None, planned)
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
    return matches(where, {**_axes(row), **{k: v for k, v in row.items() if v is not None}})


def _axes(row: Mapping[str, Any]) -> dict[str, Any]:
    return dict(json.loads(row["axes"])) if row["axes"] else {}


def _row_name(row: Mapping[str, Any], cases: Mapping[str, Case]) -> str:
    if row["case_id"] in cases:
        return Group(cases[row["case_id"]], None, pd.DataFrame()).name
    return f"{row['submitter']} {row['system']}, {row['benchmark']} {row['round']}"


def _as_json(criterion: Criterion, judgement: Judgement) -> Verdict:
    return {
        **criterion_columns(criterion),
        "verdict": judgement.verdict,
        "measured": judgement.measured,
        "low": judgement.low,
        "high": judgement.high,
        "n": judgement.n,
        "n_needed": judgement.n_needed,
        "reason": judgement.reason,
    }
