"""Scaling against ideal: what larger sizes of a training reach of the smallest one's figure."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from seatrial.report.axes import WHOLE
from seatrial.report.axis_figure import BAND, FILE, MARKERS, MOST_LINES, ticks_at
from seatrial.report.drawing import Drawing
from seatrial.report.figure_data import MEASUREMENTS, FigureData, basis, picked
from seatrial.report.palette import REFERENCE, SERIES
from seatrial.report.step_time import share_words
from seatrial.report.study_tables import Row, StudyTables
from seatrial.report.swept import Lines, axes_of, lines_of
from seatrial.report.table import count
from seatrial.units import format_figure

THROUGHPUT = ("train.throughput", "mlperf.throughput")
CLIP = 1.3
"""Of the axis beyond the points; an interval that reaches further runs off the edge, and the CSV has its ends."""
DRAWN = (
    "panel", "mark", "line", "case_id", "size", "repeat", "value", "low", "high", "ideal", "unit",
    "interval_method", "repeats",
)  # fmt: skip


def scaling(study: StudyTables) -> Drawing | None:
    """Throughput and time to quality against size, beside what the smallest gives if nothing is lost."""
    trained = [row for row in study.time_to_quality if _size(row)]
    sizes = _axes_of_size(study, trained)
    groups = lines_of(study, trained, sizes, None)
    lines = {line: rows for line, rows in groups.items() if len({_size(row) for row in rows}) > 1}
    if not lines:
        return None
    unit = next(row["throughput_unit"] for rows in lines.values() for row in rows)
    alike = [(line, rows) for line, rows in lines.items() if {row["throughput_unit"] for row in rows} == {unit}]
    shown = dict(alike[:MOST_LINES])
    figure = Figure(figsize=(WHOLE, 3.6), layout="constrained")
    throughput, minutes = figure.subplots(1, 2)
    rows = _scaled(study, shown, "throughput", unit)
    rows += _scaled(study, shown, "median_minutes", "min")
    _scaling_panel(throughput, [row for row in rows if row["panel"] == "throughput"], shown)
    _scaling_panel(minutes, [row for row in rows if row["panel"] == "median_minutes"], shown)
    throughput.set(title=f"throughput, {unit or 'not measured'}", xlabel=_size_words(trained))
    minutes.set(title="time to quality, min", xlabel=_size_words(trained))
    handles, labels = throughput.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=2)
    left_out = f" {count(len(lines) - len(shown), 'more line')} not drawn." if len(lines) > len(shown) else ""
    reading = (
        "A point is the median, a small dot one repeat, the bar the interval; dashed is ideal: the smallest size's "
        f"figure times (of time: over) how much larger the size is.{left_out}"
    )
    caption = "; ".join(words for line in shown if (words := _scaling_in_words(line, rows)))
    data = FigureData((FILE, MEASUREMENTS), DRAWN, rows)
    on = basis([row for of_line in shown.values() for row in of_line])
    return Drawing(figure, "Scaling against ideal", reading, caption, data, on)


def _size(row: Row) -> int:
    """Accelerators; ranks where there are none."""
    return int(row["accelerators"] or row["ranks"] or 0)


def _size_words(rows: Sequence[Row]) -> str:
    return "accelerators" if all(row["accelerators"] for row in rows) else "ranks"


def _axes_of_size(study: StudyTables, rows: Sequence[Row]) -> list[str]:
    """The axes that make a case larger or smaller, and what changes with its size: the target's, and the layout."""
    return [name for name in axes_of(study, rows) if name.startswith(("target", "workload.parallelism"))]


def _scaled(study: StudyTables, lines: Lines, name: str, unit: str) -> list[Row]:
    """What a panel draws: each case's median with its interval and the ideal, and of throughput every repeat."""
    faster = name == "throughput"
    measured = _speeds(study.measurements) if faster else {}
    rows: list[Row] = []
    for line, of_line in lines.items():
        known = sorted((row for row in of_line if row[name] is not None), key=_size)
        if not known:
            continue
        least = known[0]
        for row in known:
            times = _size(row) / _size(least)
            same = {"panel": name, "line": line, "case_id": row["case_id"], "size": _size(row), "unit": unit}
            ideal = least[name] * times if faster else least[name] / times
            ends = {} if faster else {"low": row["low_minutes"], "high": row["high_minutes"]}
            about = {} if faster else picked([row], ("interval_method",))[0]
            rows.append(same | {"mark": "median", "value": row[name], "ideal": ideal, "repeats": row["repeats"]}
                        | ends | about)  # fmt: skip
            if faster:
                rows += [same | found for found in measured.get(row["case_id"], [])]
    return rows


def _speeds(frame: pd.DataFrame) -> dict[str, list[Row]]:
    """The throughput of every completed repeat, by case."""
    chosen = frame[frame["metric"].isin(THROUGHPUT)]
    chosen = chosen[chosen["outcome"] == "completed"].sort_values("repeat")
    found: dict[str, list[Row]] = {}
    for case_id, repeat, value in zip(chosen["case_id"], chosen["repeat"], chosen["median"], strict=True):
        found.setdefault(str(case_id), []).append({"mark": "repeat", "repeat": int(repeat), "value": float(value)})
    return found


def _scaling_panel(ax: Axes, rows: Sequence[Row], lines: Lines) -> None:
    for place, line in enumerate(lines):
        medians = [row for row in rows if row["line"] == line and row["mark"] == "median"]
        if not medians:
            continue
        sizes, colour = [row["size"] for row in medians], SERIES[place]
        ax.plot(sizes, [row["ideal"] for row in medians], color=REFERENCE, linestyle="--", linewidth=1.2, zorder=1)
        ax.plot(sizes, [row["value"] for row in medians], MARKERS[place] + "-", color=colour, label=line)
        for row in medians:
            if row.get("low") is not None and row.get("high") is not None:
                ax.vlines(row["size"], row["low"], row["high"], color=colour, linewidth=5, alpha=BAND)
        dots = [row for row in rows if row["line"] == line and row["mark"] == "repeat"]
        ax.plot([row["size"] for row in dots], [row["value"] for row in dots], ".", color=colour, alpha=0.5)
    if rows:
        ax.set_xscale("log", base=2)
        ax.set_yscale("log", base=2)
        values = [row[name] for row in rows for name in ("value", "ideal") if row.get(name) is not None]
        ax.set_ylim(min(values) / CLIP, max(values) * CLIP)
        ticks_at(ax, sorted({row["size"] for row in rows}), format_figure)
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_figure(value, 3)))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.grid(axis="y")


def _scaling_in_words(line: str, rows: Sequence[Row]) -> str:
    """What the largest size keeps of the ideal, in throughput and in time."""
    said = []
    for panel, words in (("throughput", "throughput"), ("median_minutes", "speed to quality")):
        known = [row for row in rows if (row["panel"], row["line"], row["mark"]) == (panel, line, "median")]
        if len(known) > 1:
            last = known[-1]
            ratio = last["value"] / last["ideal"]
            kept = ratio if panel == "throughput" else 1 / ratio
            said.append(f"{words} at {last['size']} is {share_words(kept)} of the ideal from {known[0]['size']}")
    return f"{line}: {', '.join(said)}" if said else ""
