"""Probes that every rank runs alone: a dot for each repeat and rank, its spread and the ceiling."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from seatrial.analysis.tables import rows_of
from seatrial.report.axes import rows_figure, values_at_right
from seatrial.report.drawing import Drawing
from seatrial.report.figure_data import MEASUREMENTS, FigureData, n_words
from seatrial.report.palette import SERIES
from seatrial.report.study_tables import StudyTables, case_label
from seatrial.units import format_figure

MOST_ROWS = 40
"""More rows than this are left to the tables."""
CROWDED = 40
"""More dots than this in a row lie over each other, and so do their bands."""
TOLD_APART = 500
"""Dots that are nearer than this part of the axis, half a point, cover each other: they are seven points wide."""
DOTS = ("case_id", "label", "repeat", "labels", "median", "p05", "p95", "ceiling", "unit")


def gemm(study: StudyTables) -> Drawing | None:
    """Matrix-product throughput by shape, a dot per repeat and rank, with the ceiling."""
    return _dots(study, "gemm.throughput", "Matrix-product throughput by shape")


def memory(study: StudyTables) -> Drawing | None:
    """Memory bandwidth by operation, a dot per repeat and rank, with the ceiling."""
    return _dots(study, "memory.bandwidth", "Memory bandwidth by operation")


def _dots(study: StudyTables, metric: str, title: str) -> Drawing | None:
    frame = study.measurements
    chosen = frame[(frame["metric"] == metric) & (frame["outcome"] == "completed")]
    measured = set(chosen["case_id"].unique())
    case_ids = [case_id for case_id in study.cases if case_id in measured][:MOST_ROWS]
    if not case_ids:
        return None
    labels = [case_label(study.cases[case_id]) for case_id in case_ids]
    place = chosen["case_id"].map({case_id: place for place, case_id in enumerate(case_ids)})
    chosen = chosen.assign(place=place)[place.notna()].sort_values(["place", "repeat", "labels"])
    figure, ax = rows_figure(len(case_ids), labels)
    crowded = _draw_repeats(ax, chosen)
    ceilings = chosen.groupby("place")["ceiling"].max().dropna()
    ax.vlines(ceilings, ceilings.index - 0.32, ceilings.index + 0.32, color=SERIES[1], linewidth=2.4)
    unit = chosen["unit"].iloc[0]
    words = [f"{format_figure(median, 3)} {unit}" for median in chosen.groupby("place")["median"].median()]
    values_at_right(ax, words)
    ax.set_xlim(left=0)
    ax.set(xlabel=unit, ylabel="")
    ceiling_words = "The upright bar is the ceiling." if len(ceilings) else "No ceiling is known."
    reading = f"A dot is the median of one repeat and rank, the band its 5th to 95th percentile. {ceiling_words}"
    if crowded:
        reading += (
            f" In a row of more than {CROWDED} dots those that cover each other are drawn once, and one band spans "
            "those of all."
        )
    caption = "; ".join(f"{label}: {word}" for label, word in zip(labels, words, strict=True))
    labelled = chosen.assign(label=chosen["case_id"].map(dict(zip(case_ids, labels, strict=True))))
    data = FigureData((MEASUREMENTS,), DOTS, rows_of(labelled[list(DOTS)]))
    return Drawing(figure, title, reading, caption, data, n_words(chosen.groupby("place")["repeat"].nunique()))


def _draw_repeats(ax: Axes, chosen: pd.DataFrame) -> bool:
    """Draw dots and bands of rows at `place`; whether a row was crowded, and has fewer of them than repeats."""
    import seaborn as sns  # it takes a third of a second, which the process that draws no such figure need not

    in_row = chosen.groupby("place")["median"].transform("size")
    apart, many = chosen[in_row <= CROWDED], chosen[in_row > CROWDED]
    spans = many.groupby("place", as_index=False).agg(p05=("p05", "min"), p95=("p95", "max"))
    bands = pd.concat([apart, spans])
    ax.hlines(bands["place"], bands["p05"], bands["p95"], color=SERIES[0], linewidth=5, alpha=0.28)
    step = float(np.nanmax(chosen[["median", "p95", "ceiling"]].to_numpy())) / TOLD_APART
    covered = many.assign(step=np.floor(many["median"].to_numpy() / step)).duplicated(["place", "step"])
    points = pd.concat([apart, many[~covered]])
    sns.scatterplot(
        points, x="median", y="place", color=SERIES[0], s=44, linewidth=0, zorder=3, legend=False, ax=ax
    )
    return not many.empty
