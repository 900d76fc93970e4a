"""The figures of the page. Each takes the study and gives a Figure, or None where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from seatrial.analysis.inputs import TIME_TO_QUALITY
from seatrial.analysis.tables import rows_of
from seatrial.report.axes import WHOLE, reference_line, rows_figure, values_at_right
from seatrial.report.axis_figure import time_to_quality_by_axis
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
DOTS = ("case_id", "label", "repeat", "labels", "median", "p05", "p95", "ceiling", "unit")
WORDS = {"slower": "slower", "not_slower": "not slower", "inconclusive": "not yet known"}


def draw_all(study: StudyTables) -> list[Drawn]:
    """All figures for which there is something to draw, always in the same order and with the same bytes."""
    drawers: tuple[Callable[[StudyTables], Drawing | None], ...] = (
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
    found = (drawn(drawer.__name__, partial(drawer, study)) for drawer in drawers)
    return [figure for figure in found if figure is not None]


def comparison(study: StudyTables) -> Drawing | None:
    """Ratio to the published median with its interval, the median and the threshold as lines."""
    rows = [row for row in study.comparison if row["ratio"] is not None][:MOST_ROWS]
    if not rows:
        return None
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
    places = {row["case_id"]: place for place, row in enumerate(rows)}
    frame = study.measurements
    # a command's log may hold MLPerf's time beside ours
    metric_of = {row["case_id"]: MLPERF_TIME if handed_over(row) else TRAINING_TIME for row in rows}
    chosen = frame[(frame["metric"] == frame["case_id"].map(metric_of)) & (frame["outcome"] == "completed")]
    seconds = max(row["high_minutes"] or row["median_minutes"] for row in rows) < 3
    scale, unit = (60.0, "s") if seconds else (1.0, "min")
    figure, ax = rows_figure(len(rows), [case_label(study.cases[row["case_id"]]) for row in rows])
    for place, row in enumerate(rows):
        if row["low_minutes"] is not None:
            # without an upper end the band goes on to the edge, which set_xlim puts there
            high = row["high_minutes"] or 2 * CLIP * max(chosen["median"])
            ax.hlines(place, scale * row["low_minutes"], scale * high, color=SERIES[0], linewidth=7, alpha=0.28)
        middle = scale * row["median_minutes"]
        ax.vlines(middle, place - 0.2, place + 0.2, color=SERIES[0], linewidth=2.4)
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


def gemm(study: StudyTables) -> Drawing | None:
    """Matrix-product throughput by shape, a dot per repeat and rank, with the ceiling."""
    return _dots(study, "gemm.throughput", "Matrix-product throughput by shape")


def memory(study: StudyTables) -> Drawing | None:
    """Memory bandwidth by operation, a dot per repeat and rank, with the ceiling."""
    return _dots(study, "memory.bandwidth", "Memory bandwidth by operation")


def _dots(study: StudyTables, metric: str, title: str) -> Drawing | None:
    frame = study.measurements
    chosen = frame[(frame["metric"] == metric) & (frame["outcome"] == "completed")]
    measured = set(chosen["case_id"])
    case_ids = [case_id for case_id in study.cases if case_id in measured][:MOST_ROWS]
    if not case_ids:
        return None
    chosen = chosen[chosen["case_id"].isin(case_ids)]
    places = {case_id: place for place, case_id in enumerate(case_ids)}
    labels = [case_label(study.cases[case_id]) for case_id in case_ids]
    figure, ax = rows_figure(len(case_ids), labels)
    y = chosen["case_id"].map(places)
    ax.hlines(y, chosen["p05"], chosen["p95"], color=SERIES[0], linewidth=5, alpha=0.28)
    points = pd.DataFrame({"x": chosen["median"], "y": y})
    sns.scatterplot(points, x="x", y="y", color=SERIES[0], s=44, linewidth=0, zorder=3, legend=False, ax=ax)
    ceilings = chosen.dropna(subset=["ceiling"]).groupby("case_id")["ceiling"].max()
    for case_id, ceiling in ceilings.items():
        place = places[str(case_id)]
        ax.vlines(ceiling, place - 0.32, place + 0.32, color=SERIES[1], linewidth=2.4)
    unit = chosen["unit"].iloc[0]
    medians = chosen.groupby("case_id")["median"].median()
    words = [f"{format_figure(medians[case_id], 3)} {unit}" for case_id in case_ids]
    values_at_right(ax, words)
    ax.set_xlim(left=0)
    ax.set(xlabel=unit, ylabel="")
    ceiling_words = "The upright bar is the ceiling." if len(ceilings) else "No ceiling is known."
    reading = f"A dot is the median of one repeat and rank, the band its 5th to 95th percentile. {ceiling_words}"
    caption = "; ".join(f"{label}: {word}" for label, word in zip(labels, words, strict=True))
    known = chosen.assign(place=y, label=chosen["case_id"].map(dict(zip(case_ids, labels, strict=True))))
    ordered = known.sort_values(["place", "repeat", "labels"])
    data = FigureData((MEASUREMENTS,), DOTS, rows_of(ordered[list(DOTS)]))
    on = n_words(chosen.groupby("case_id")["repeat"].nunique())
    return Drawing(figure, title, reading, caption, data, on)


def _keys(frame: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(frame["case_id"], frame["labels"], strict=True))
