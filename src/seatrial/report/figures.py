"""The figures of the page. Each takes the study and gives a Figure, or None where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from seatrial.analysis.inputs import TIME_TO_QUALITY
from seatrial.report.axes import WHOLE, reference_line, rows_figure, values_at_right
from seatrial.report.axis_figure import time_to_quality_by_axis
from seatrial.report.dots_figure import gemm, memory
from seatrial.report.drawing import Drawing, Drawn, drawn
from seatrial.report.figure_data import MEASUREMENTS, FigureData, basis, n_words, picked
from seatrial.report.finish_date import finish_date
from seatrial.report.ideal_scaling import scaling
from seatrial.report.palette import OF_STANDING, SERIES
from seatrial.report.published_spread import published_spread
from seatrial.report.quality_figures import frechet_distance, loss, retrieval_accuracy
from seatrial.report.roofline import roofline
from seatrial.report.routing import expert_imbalance, routing
from seatrial.report.step_time import step_time
from seatrial.report.study_tables import Row, StudyTables, case_label, handed_over
from seatrial.report.table import MULTIPLY, ratio_words, span_of_ratios
from seatrial.units import format_figure

TRAINING_TIME, MLPERF_TIME = TIME_TO_QUALITY
MOST_ROWS = 40
"""More rows than this are left to the tables."""
MOST_LINES = len(SERIES)
CLIP = 4.0
"""Intervals that reach further than this many times beyond the points run off the edge; their ends are in words."""
MARKERS = {"slower": "s", "not_slower": "o", "inconclusive": "D"}
COMPARED = (
    "benchmark", "round", "accelerator_family", "accelerators", "subject", "case_id", "submitter", "system",
    "measured_minutes", "measured_n", "reference_minutes", "reference_n", "ratio", "ratio_low", "ratio_high",
    "interval_method", "threshold", "standing",
)  # fmt: skip
TIMED = (
    "mark", "case_id", "label", "repeat", "minutes", "low_minutes", "high_minutes", "interval_method", "converged",
    "repeats",
)  # fmt: skip
"""`mark`: a repeat's time, or the median of all that reached their quality or were given up."""
WORDS = {"slower": "slower", "not_slower": "not slower", "inconclusive": "not yet known"}


def drawers(study: StudyTables) -> list[Callable[[], list[Drawn]]]:
    """What draws each figure, in the page's order; the same bytes each time, nothing where nothing is known."""
    drawings: tuple[Callable[[StudyTables], Drawing | None], ...] = (
        comparison,
        published_spread,
        time_to_quality,
        time_to_quality_by_axis,
        scaling,
        loss,
        frechet_distance,
        retrieval_accuracy,
        step_time,
        routing,
        expert_imbalance,
        gemm,
        memory,
        roofline,
        finish_date,
    )
    return [partial(_drawn, drawing, study) for drawing in drawings]


def _drawn(drawing: Callable[[StudyTables], Drawing | None], study: StudyTables) -> list[Drawn]:
    figure = drawn(drawing.__name__, partial(drawing, study))
    return [] if figure is None else [figure]


def comparison(study: StudyTables) -> Drawing | None:
    """Ratio to the published median with its interval, the median and the threshold as lines."""
    rows = [row for row in study.comparison if row["ratio"] is not None][:MOST_ROWS]
    if not rows:
        return None
    import seaborn as sns  # it takes a third of a second, which the process that draws no such figure need not

    frame = pd.DataFrame(rows)
    frame["place"] = range(len(rows))
    figure, ax = rows_figure(len(rows), [_comparison_label(study, row) for row in rows], WHOLE)
    threshold = max(row["threshold"] for row in rows)
    for row, place in zip(rows, frame["place"], strict=True):
        if row["ratio_low"] is not None:
            ax.hlines(place, row["ratio_low"], row["ratio_high"], color=OF_STANDING[row["standing"]], linewidth=2)
    order = [standing for standing in WORDS if standing in set(frame["standing"])]
    sns.scatterplot(
        frame, x="ratio", y="place", hue="standing", style="standing", hue_order=order, style_order=order,
        palette=OF_STANDING, markers=MARKERS, s=64, linewidth=0, zorder=3, legend=False, ax=ax,
    )  # fmt: skip
    _scale_ratios(ax, rows, threshold)
    reference_line(ax, 1.0, "median", "-")
    reference_line(ax, threshold, f"threshold {format_figure(threshold)}", "--")
    values_at_right(ax, [_ratio_words(row) for row in rows])
    ax.set(xlabel="time to train over the published median", ylabel="")
    caption = "; ".join(
        f"{_comparison_label(study, row).replace(chr(10), ' ')}: {_ratio_words(row)}, {WORDS[row['standing']]}"
        for row in rows
    )
    reading = "Left is faster. Each bar spans two one-sided 95 % bounds, with both sides' spread."
    data = FigureData(("tables/comparison.csv",), COMPARED, picked(rows, COMPARED))
    of_medians = n_words((row["reference_n"] for row in rows), "result").removeprefix("n = ").rstrip(".")
    on = f"{basis(rows, 'measured_n', noun='run')} Medians of {of_medians}."
    return Drawing(figure, "Against the median of equivalent published results", reading, caption, data, on)


def _scale_ratios(ax: Axes, rows: list[Row], threshold: float) -> None:
    """Limits that hold every ratio, the median and the threshold, and intervals up to CLIP times beyond."""
    ratios = [row["ratio"] for row in rows]
    ends = [row[name] for row in rows for name in ("ratio_low", "ratio_high") if row[name] is not None]
    low = min(*ratios, 1.0, max(min(ends, default=1.0), min(ratios) / CLIP))
    high = max(*ratios, threshold, min(max(ends, default=1.0), max(ratios) * CLIP))
    if high / low > 8:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: format_figure(x, 3)))
        ax.set_xlim(low / 1.2, high * 1.2)
    else:
        margin = 0.06 * (high - low)
        ax.set_xlim(low - margin, high + margin)


def _comparison_label(study: StudyTables, row: Row) -> str:
    what = f"{row['benchmark']}\n{int(row['accelerators'])} {MULTIPLY} {row['accelerator_family']}"
    if row["subject"] != "training":
        return f"{what}, {row['submitter']}"
    return f"{what}, logs" if row["workload"] == "mlperf_logs" else f"{what}, own"


def _ratio_words(row: Row) -> str:
    interval = span_of_ratios(row["ratio_low"], row["ratio_high"])
    return f"{ratio_words(row['ratio'])} ({interval or 'no interval'})"


def time_to_quality(study: StudyTables) -> Drawing | None:
    """Minutes to quality of every repeat, the median and its interval, a row per case."""
    rows = [row for row in study.time_to_quality if row["median_minutes"] is not None][:MOST_ROWS]
    if not rows:
        return None
    import seaborn as sns  # it takes a third of a second, which the process that draws no such figure need not

    places = {row["case_id"]: place for place, row in enumerate(rows)}
    frame = study.measurements
    # a command's log may hold MLPerf's time beside ours
    metric_of = {row["case_id"]: MLPERF_TIME if handed_over(row) else TRAINING_TIME for row in rows}
    timed = frame[frame["metric"].isin(TIME_TO_QUALITY) & (frame["outcome"] == "completed")]
    chosen = timed[timed["metric"] == timed["case_id"].map(metric_of)]
    seconds = max(row["high_minutes"] or row["median_minutes"] for row in rows) < 3
    scale, unit = (60.0, "s") if seconds else (1.0, "min")
    figure, ax = rows_figure(len(rows), [case_label(study.cases[row["case_id"]]) for row in rows])
    # without an upper end a band goes on to the edge, which set_xlim puts there
    _draw_medians(ax, rows, scale, 2 * CLIP * max(chosen["median"]))
    points = pd.DataFrame({"x": scale * chosen["median"], "y": chosen["case_id"].map(places)})
    sns.scatterplot(points, x="x", y="y", color=SERIES[1], s=40, linewidth=0, zorder=3, legend=False, ax=ax)
    words = [_time_words(row, scale, unit) for row in rows]
    values_at_right(ax, words)
    furthest, widest = max(points["x"]), scale * max(row["high_minutes"] or 0 for row in rows)
    ax.set_xlim(0, 1.04 * max(furthest, min(widest, CLIP * furthest)))
    ax.set(xlabel=f"time to quality, {unit}", ylabel="")
    caption = "; ".join(f"{case_label(study.cases[r['case_id']])}: {w}" for r, w in zip(rows, words, strict=True))
    reading = "A dot is one repeat, the bar the median, the band its interval; beside it how many reached it."
    data = FigureData(("tables/time_to_quality.csv", MEASUREMENTS), TIMED, _timed(study, rows, chosen))
    return Drawing(figure, "Time to quality by repeat", reading, caption, data, basis(rows))


def _draw_medians(ax: Axes, rows: list[Row], scale: float, furthest: float) -> None:
    """A bar at each row's median, and a band for its interval, to `furthest` where that has no upper end."""
    banded = [(place, row) for place, row in enumerate(rows) if row["low_minutes"] is not None]
    lows = [scale * row["low_minutes"] for _, row in banded]
    highs = [scale * (row["high_minutes"] or furthest) for _, row in banded]
    ax.hlines([place for place, _ in banded], lows, highs, color=SERIES[0], linewidth=7, alpha=0.28)
    tops, bottoms = ([place + side for place in range(len(rows))] for side in (-0.2, 0.2))
    ax.vlines([scale * row["median_minutes"] for row in rows], tops, bottoms, color=SERIES[0], linewidth=2.4)


def _timed(study: StudyTables, rows: list[Row], of_repeats: pd.DataFrame) -> list[Row]:
    """What is drawn of each case: its median with the interval, and every repeat."""
    drawn_rows = []
    for row in rows:
        same = {"case_id": row["case_id"], "label": case_label(study.cases[row["case_id"]])}
        named = {"mark": "median", "minutes": row["median_minutes"]}
        drawn_rows.append(same | named | picked([row], TIMED[5:])[0])
        own = of_repeats[of_repeats["case_id"] == row["case_id"]].sort_values("repeat")
        drawn_rows += [
            same | {"mark": "repeat", "repeat": repeat, "minutes": minutes}
            for repeat, minutes in zip(own["repeat"], own["median"], strict=True)
        ]
    return drawn_rows


def _time_words(row: Row, scale: float, unit: str) -> str:
    return f"{format_figure(scale * row['median_minutes'], 3)} {unit}, {row['converged']} of {row['repeats']}"
