"""tables/against.csv and tables/against_changes.csv: a study held against an earlier one.

q is adjusted by Benjamini and Hochberg over all rows with a test. A result is `better` or `worse` where q is at
most the study's false discovery rate; `no_difference_shown` where the whole interval lies nearer to 1 than the
least difference that matters; else `inconclusive`. What has no equal in the earlier study is `not_compared`, with
the first difference named; so is what only one side measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seatrial.analysis.against.alike import Match, match_cases
from seatrial.analysis.against.changes import COLUMNS as CHANGE_COLUMNS
from seatrial.analysis.against.changes import change_rows
from seatrial.analysis.against.earlier import Measured, read_earlier
from seatrial.analysis.against.metrics import rows_of_match, with_results
from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.analysis.measurements import read_measurements, read_repeats
from seatrial.analysis.tables import AXIS, axis_columns, axis_names, write_csv
from seatrial.paths import StudyPaths

RESULTS = ("worse", "better", "inconclusive", "no_difference_shown", "not_compared")
COLUMNS = (
    "study",
    "earlier_study",
    "experiment",
    "workload",
    "case_id",
    "earlier_case_id",
    "metric",
    "unit",
    "direction",
    "labels",
    "value",
    "n",
    "planned",
    "earlier_value",
    "earlier_n",
    "earlier_planned",
    "ratio",
    "ratio_low",
    "ratio_high",
    "interval_method",
    "paired",
    "interleaved",
    "p_value",
    "q_value",
    "result",
    "note",
)
"""`value` and `earlier_value`: medians over the repeats that have one (`n`, `earlier_n`). `ratio`: this study over
the earlier one; of pairs the median of their ratios. `interleaved`: whether both studies' repeats ran in turn;
where not, whatever else changed between their times is in the ratio too. One of `case_id` and `earlier_case_id` is
empty where a case has no equal."""
Row = dict[str, Any]


def against(paths: StudyPaths, earlier: Path | None) -> list[str]:
    """Write both tables, or remove them where no earlier study is named; what is to be said of them, in lines.

    Raises UnreadableFile or ConfigError where one of the studies is not what it should be; then nothing is written.
    """
    if earlier is None:
        paths.against.unlink(missing_ok=True)
        paths.against_changes.unlink(missing_ok=True)
        return []
    other = read_earlier(earlier, than=paths.root)
    plan = read_plan(paths)
    study = Measured(paths, plan, read_cases(paths, plan), read_measurements(paths), read_repeats(paths))
    matches = match_cases(study.cases, other.cases)
    rows = [*_compared(matches, study, other), *_left_over(matches, other)]
    head = {"study": plan.study.name, "earlier_study": other.plan.study.name}
    names = axis_names(case.axes for case in study.cases)
    write_csv(paths.against, [*COLUMNS, *(AXIS + name for name in names)], [{**head, **row} for row in rows])
    changes = change_rows(matches, study, other)
    write_csv(paths.against_changes, CHANGE_COLUMNS, changes)
    return _lines(other, rows, len(changes))


def _compared(matches: Sequence[Match], study: Measured, other: Measured) -> list[Row]:
    names = axis_names(case.axes for case in study.cases)
    rows: list[Row] = []
    for match in matches:
        axes = axis_columns(match.case.axes, names)
        if match.earlier is None:
            case = match.case
            about = {"experiment": case.experiment, "workload": case.workload.kind, "case_id": case.case_id}
            rows.append({**about, **axes, "result": "not_compared", "note": match.why})
        else:
            rows += [row | axes for row in rows_of_match(match, study, other)]
    with_results(rows, study.plan.study.differences)
    return rows


def _left_over(matches: Sequence[Match], other: Measured) -> list[Row]:
    """The cases of the earlier study that nothing was compared with."""
    taken = {match.earlier.case_id for match in matches if match.earlier is not None}
    return [
        {
            "experiment": case.experiment,
            "workload": case.workload.kind,
            "earlier_case_id": case.case_id,
            "result": "not_compared",
            "note": "this study has no such case",
        }
        for case in other.cases
        if case.case_id not in taken
    ]


def _lines(other: Measured, rows: Sequence[Row], changes: int) -> list[str]:
    counts = Counter(row["result"] for row in rows)
    words = ", ".join(f"{counts[result]} {result.replace('_', ' ')}" for result in RESULTS if counts[result])
    return [
        f"against {other.plan.study.name} ({other.paths.root}): {words or 'nothing to compare'}; "
        f"{changes} facts of what it ran on and with differ (tables/against.csv, tables/against_changes.csv)"
    ]
