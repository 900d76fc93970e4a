"""Time to quality by axis: what sweeping an axis does to trainings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from seatrial.analysis.tables import canonical_json
from seatrial.report.axes import HALF, WHOLE
from seatrial.report.drawing import Drawing
from seatrial.report.figure_data import FigureData, basis, picked
from seatrial.report.palette import SERIES
from seatrial.report.study_tables import Row, StudyTables
from seatrial.report.swept import Lines, axes_of, axis_value, in_words, lines_of, value_words
from seatrial.report.table import count, span
from seatrial.units import format_figure

FILE = "tables/time_to_quality.csv"
MOST_PANELS = 4
MOST_LINES = len(SERIES)
MOST_TICKS = 16
LONGEST_VALUE = 16
"""Characters of a value at an axis."""
MARKERS = ("o", "s", "^", "D", "v", "P")
CLIP = 4.0
"""Intervals that reach further than this many times beyond the medians run off the edge; the CSV has their ends."""
BAND = 0.28
"""How strongly an interval is drawn."""
DRAWN = (
    "axis", "line", "value", "case_id", "median_minutes", "low_minutes", "high_minutes", "interval_method",
    "repeats", "converged",
)  # fmt: skip


def time_to_quality_by_axis(study: StudyTables) -> Drawing | None:
    """Minutes to quality against every swept axis, a panel for each; a line joins cases that differ in it alone."""
    known = [row for row in study.time_to_quality if row["median_minutes"] is not None]
    panels = {axis: lines for axis in axes_of(study, known) if (lines := lines_of(study, known, [axis], axis))}
    if not panels:
        return None
    shown = dict(list(panels.items())[:MOST_PANELS])
    figure, plots = _panels(len(shown))
    words, rows = [], []
    for ax, (axis, lines) in zip(plots, shown.items(), strict=False):
        name = axis.rpartition(".")[2]
        _axis_panel(ax, study, axis, lines)
        ax.set(xlabel=name.replace("_", " "))
        for line, of_line in lines.items():
            values = [(value_words(study, axis, row), row) for row in of_line]
            rows += [picked([row], DRAWN, axis=axis, line=line, value=value)[0] for value, row in values]
            said = ", ".join(f"{_minutes(row)} at {value}" for value, row in values)
            words.append(f"{name}, {line}: {said}" if line else f"{name}: {said}")
    plots[0].set(ylabel="time to quality, min", ylim=(0, 1.06 * _highest(known)))
    reading = "A line joins cases that differ in this axis alone; the bar is the interval."
    unmet = len(study.time_to_quality) - len(known)
    reading += f" {count(unmet, 'case')} without a time to quality not drawn." if unmet else ""
    left_out = len(panels) - len(shown)
    reading += f" {count(left_out, 'more axis', 'more axes')} not drawn." if left_out else ""
    data = FigureData((FILE,), DRAWN, rows)
    return Drawing(figure, "Time to quality by axis", reading, "; ".join(words), data, basis(rows))


def _highest(rows: Sequence[Row]) -> float:
    """Room for every median, and for intervals that reach no further than CLIP times beyond."""
    most = max(row["median_minutes"] for row in rows)
    return min(max([most, *(row["high_minutes"] for row in rows if row["high_minutes"] is not None)]), CLIP * most)


def _panels(n: int) -> tuple[Figure, list[Axes]]:
    """A figure with room for `n` panels beside and below one another."""
    across, down = min(n, 2), -(-n // 2)
    figure = Figure(figsize=(WHOLE if across > 1 else HALF, 0.7 + 2.9 * down), layout="constrained")
    plots = list(figure.subplots(down, across, sharey=True, squeeze=False).ravel())
    for ax in plots[n:]:
        ax.set_visible(False)
    return figure, plots[:n]


def _axis_panel(ax: Axes, study: StudyTables, axis: str, lines: Lines) -> None:
    """Numbers where they are on the axis, anything else in the order of the plan; a line joins numbers only."""
    raw = {row["case_id"]: axis_value(study, axis, row) for rows in lines.values() for row in rows}
    words = {
        canonical_json(axis_value(study, axis, row)): value_words(study, axis, row)
        for rows in lines.values()
        for row in rows
    }
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in raw.values())
    order = {value: place for place, value in enumerate(words)}
    at = raw if numeric else {case_id: order[canonical_json(value)] for case_id, value in raw.items()}
    for place, (line, rows) in enumerate(list(lines.items())[:MOST_LINES]):
        rows = sorted(rows, key=lambda row: at[row["case_id"]])
        x, minutes = [at[row["case_id"]] for row in rows], [row["median_minutes"] for row in rows]
        ax.plot(x, minutes, MARKERS[place] + ("-" if numeric else ""), color=SERIES[place], label=line)
        known = [row for row in rows if row["low_minutes"] is not None and row["high_minutes"] is not None]
        lows, highs = ([row[end] for row in known] for end in ("low_minutes", "high_minutes"))
        ax.vlines([at[row["case_id"]] for row in known], lows, highs, color=SERIES[place], linewidth=5, alpha=BAND)
    if numeric:
        ticks_at(ax, sorted(set(raw.values())), lambda value: in_words(axis, value))
    else:
        ax.set_xticks(range(len(words)), [_short(word) for word in words.values()])
        ax.set_xlim(-0.5, len(words) - 0.5)
    ax.grid(axis="y")
    if len(lines) > 1:
        ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.17), borderaxespad=0)
    if len(lines) > MOST_LINES:
        ax.set_title(f"{count(len(lines) - MOST_LINES, 'more line')} not drawn", fontsize=8)


def ticks_at(ax: Axes, values: Sequence[float], words: Callable[[float], str]) -> None:
    """A tick at each value that was swept, of many at those that are apart; logarithmic where they reach far."""
    far = values[0] > 0 and values[-1] / values[0] >= 8
    if far:
        ax.set_xscale("log", base=2)
    shown = list(values) if len(values) <= MOST_TICKS else _apart(values, math.log2 if far else float)
    ax.set_xticks(shown, [words(value) for value in shown])
    ax.xaxis.set_minor_locator(NullLocator())


def _apart(values: Sequence[float], place: Callable[[float], float]) -> list[float]:
    """Of values in order the first, and each that is far enough from the one before it for both their words."""
    least = (place(values[-1]) - place(values[0])) / MOST_TICKS
    shown = [values[0]]
    for value in values[1:]:
        if place(value) - place(shown[-1]) >= least:
            shown.append(value)
    return shown


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


def _minutes(row: Row) -> str:
    ends = span(row["low_minutes"], row["high_minutes"])
    return f"{format_figure(row['median_minutes'], 3)} min" + (f" ({ends})" if ends else "")
