"""tables/finish_date.csv: by which day how many of a hundred simulated runs are done; 99 rows for each sort.

`as_they_differ`: runs that differ as the repeats did, or as stated. `alike`: the same runs, were every one as fast
as the others; what is left are failures, hiccups and what else is uncertain.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import Any, Literal, get_args

import numpy as np

from seatrial.analysis.decisions.basis import Basis, read_basis
from seatrial.analysis.decisions.finish_date import cases_asked, simulated
from seatrial.analysis.decisions.planned_run import RUN, SECONDS_PER_DAY, PlannedRun, planned_run
from seatrial.analysis.tables import write_csv
from seatrial.case import Case
from seatrial.config.finish_date import FinishDate
from seatrial.paths import StudyPaths

COLUMNS = (
    "study",
    "target",
    "experiment",
    "workload",
    "case_id",
    "planned",
    "sort",
    "starts",
    "must_finish",
    "share_done",
    "days",
    "date",
)
"""`planned`: the run's name. `share_done`: of all simulated runs, after `days`; days and date are empty where so
many never get there. Without a row a run has no date: the decision says why."""
TEXT = ("experiment", "workload", "planned", "starts", "must_finish", "date")
SHARES = tuple(n / 100 for n in range(1, 100))
Sort = Literal["as_they_differ", "alike"]
Row = dict[str, Any]


def finish_date_table(paths: StudyPaths) -> None:
    """Write the table; remove it where the study plans no run.

    Raises UnreadableFile where a stage before has not run.
    """
    basis = read_basis(paths)
    asked = basis.economics.finish_date
    if asked is None:
        paths.finish_date.unlink(missing_ok=True)
        return
    rows = [row for case in cases_asked(basis, asked) for row in _rows(basis, asked, case)]
    write_csv(paths.finish_date, COLUMNS, rows)


def _rows(basis: Basis, asked: FinishDate, case: Case | None) -> list[Row]:
    run = planned_run(basis, asked, case)
    if not run.is_known:
        return []
    head: Row = {
        "study": basis.study.name,
        "target": (case or basis.study).target.name,
        "experiment": case.experiment if case is not None else None,
        "workload": case.workload.kind if case is not None else None,
        "case_id": case.case_id if case is not None else None,
        "planned": asked.name,
        "starts": asked.starts.isoformat(),
        "must_finish": asked.must_finish.isoformat() if asked.must_finish is not None else None,
    }
    found: list[Row] = []
    for sort in get_args(Sort):
        days = _days(run, sort, basis.seed)
        found += [
            head | {"sort": sort, "share_done": share, **_after(asked.starts, float(day))}
            for share, day in zip(SHARES, days, strict=True)
        ]
    return found


def _days(run: PlannedRun, sort: Sort, seed: int) -> np.ndarray:
    """Days after which each of SHARES is done."""
    taken = simulated(run, seed, but={RUN: 1.0} if sort == "alike" else None)[1]
    return np.asarray(np.quantile(taken.seconds / SECONDS_PER_DAY, SHARES, method="inverted_cdf"))


def _after(starts: dt.date, days: float) -> Row:
    if not math.isfinite(days):
        return {}
    in_calendar = days < (dt.date.max - starts).days
    return {
        "days": days,
        "date": (starts + dt.timedelta(days=math.floor(days))).isoformat() if in_calendar else None,
    }
