"""The figure of a planned run's finish date: how many of a hundred such runs are done by which day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from seatrial.report.axes import WHOLE, legend_below, new_figure, reference_line
from seatrial.report.drawing import Drawing
from seatrial.report.figure_data import FigureData, Row, picked
from seatrial.report.palette import SERIES
from seatrial.report.study_tables import StudyTables, case_label
from seatrial.report.table import count

FILE = "tables/finish_date.csv"
MOST_LINES = len(SERIES)
STYLES = {"as_they_differ": "-", "alike": "--"}
WORDS = {"as_they_differ": "as runs differ", "alike": "were all runs alike"}
IN_WORDS = (0.05, 0.5, 0.95)
DRAWN = ("case_id", "planned", "sort", "starts", "must_finish", "share_done", "days", "date")


def finish_date(study: StudyTables) -> Drawing | None:
    """The share of runs that are done against the date, a pair of lines for each training that was measured."""
    lines = _lines(study.finish_date)
    if not lines:
        return None
    cases = list(dict.fromkeys(case_id for case_id, _ in lines))[:MOST_LINES]
    first = study.finish_date[0]
    starts = dt.date.fromisoformat(first["starts"])
    figure, ax = new_figure(3.4, WHOLE)
    words = []
    for (case_id, sort), rows in lines.items():
        if case_id not in cases:
            continue
        case = study.cases.get(case_id or "")
        name = f"{case_label(case)}: {WORDS[sort]}" if case is not None and len(cases) > 1 else WORDS[sort]
        days, shares = ([row[key] for row in rows] for key in ("days", "share_done"))
        ax.plot(days, shares, STYLES[sort], color=SERIES[cases.index(case_id)], label=name)
        words.append(f"{name}: {_said(rows)}")
    if first["must_finish"] is not None:
        must = dt.date.fromisoformat(first["must_finish"])
        reference_line(ax, (must - starts).days + 1, f"{must}", "--")
    _dated(ax, starts)
    legend_below(ax)
    more = len({case_id for case_id, _ in lines}) - len(cases)
    left_out = f" {count(more, 'more training')} in {FILE}." if more > 0 else ""
    reading = (
        "Of all simulated runs, how many are done by the end of a day; the dashed line is the same run, were every "
    )
    reading += f"run as fast as the others: what lies between is what differences from run to run cost.{left_out}"
    data = FigureData((FILE,), DRAWN, picked(study.finish_date, DRAWN))
    return Drawing(figure, f"When it is done: {first['planned']}", reading, "; ".join(words), data)


def _lines(rows: Sequence[Row]) -> dict[tuple[str | None, str], list[Row]]:
    """The rows that have a day, by case and sort."""
    found: dict[tuple[str | None, str], list[Row]] = {}
    for row in rows:
        if row["days"] is not None:
            found.setdefault((row["case_id"], row["sort"]), []).append(row)
    return found


def _said(rows: Sequence[Row]) -> str:
    """'5 % by 2027-02-13, 50 % by ...'; where so many never get there, nothing of it."""
    said = [
        f"{share:.0%} by {row['date'] or 'no date'}"
        for share in IN_WORDS
        for row in rows
        if row["share_done"] == share
    ]
    return ", ".join(said)


def _dated(ax: Axes, starts: dt.date) -> None:
    """Days after the start as dates."""
    last = (dt.date.max - starts).days

    def date(day: float, _: int) -> str:
        return str(starts + dt.timedelta(days=int(day))) if 0 <= day < last else ""

    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.xaxis.set_major_formatter(FuncFormatter(date))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set(xlabel=f"date, started on {starts}", ylabel="runs that are done", ylim=(-0.02, 1.02))
    ax.grid(axis="y")
