"""The published results behind each comparison, and where the compared time lies among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from seatrial.report.axes import WHOLE, reference_line, rows_figure, values_at_right
from seatrial.report.drawing import Drawing
from seatrial.report.figure_data import FigureData, n_words, picked
from seatrial.report.palette import GRID, OF_STANDING, REFERENCE
from seatrial.report.study_tables import Row, StudyTables, case_label
from seatrial.report.table import MULTIPLY, ratio_words, span_of_ratios
from seatrial.units import format_figure

MOST_ROWS = 40
OFFSET = 0.16
"""Of a row's published results and of its own point from the row's middle."""
SUBJECT = ("subject", "case_id", "submitter", "system")
COLUMNS = (
    "mark", "benchmark", "round", "accelerator_family", "accelerators", *SUBJECT, "minutes", "over_median",
    "low_over_median", "high_over_median", "reference_minutes", "reference_low_quartile", "reference_high_quartile",
    "standing", "citation",
)  # fmt: skip


def published_spread(study: StudyTables) -> Drawing | None:
    """Every published result over the median that it belongs to, and the compared time among them."""
    behind = _behind(study)
    rows = [row for row in study.comparison if row["ratio"] is not None and _key(row) in behind][:MOST_ROWS]
    if not rows:
        return None
    labels = [_label(study, row) for row in rows]
    figure, ax = rows_figure(len(rows), labels, WHOLE)
    drawn_rows: list[Row] = []
    for place, row in enumerate(rows):
        published = behind[_key(row)]
        _draw_row(ax, place, row, published)
        drawn_rows += [_own(row), *(_published(row, result) for result in published)]
    reference_line(ax, 1.0, "median", "-")
    _scale(ax, drawn_rows)
    words = [_rank_in_words(row, behind[_key(row)]) for row in rows]
    values_at_right(ax, words)
    ax.set(xlabel="time to train over the published median", ylabel="")
    reading = (
        "A dot is one published result at the same count, the band their middle half; the square is the compared "
        "time with its two one-sided 95 % bounds, coloured as it stands. Left is faster."
    )
    caption = "; ".join(
        f"{label.replace(chr(10), ' ')}: {ratio_words(row['ratio'])} of the median"
        f" ({span_of_ratios(row['ratio_low'], row['ratio_high']) or 'no interval'}), {said}"
        for label, row, said in zip(labels, rows, words, strict=True)
    )
    data = FigureData(("tables/comparison.csv", "tables/references.csv"), COLUMNS, drawn_rows)
    published_n = n_words((len(behind[_key(row)]) for row in rows), "result").removeprefix("n = ")
    on = f"{n_words((row['measured_n'] for row in rows), 'run')} Published: {published_n}"
    return Drawing(figure, "Among the published results", reading, caption, data, on)


def _behind(study: StudyTables) -> dict[tuple[Any, ...], list[Row]]:
    """The published results behind each comparison at its own count, fastest first; an interpolation has none."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for result in sorted(study.references, key=lambda r: (r["minutes"], r["submitter"], r["system"])):
        found.setdefault(_key(result, "for_"), []).append(result)
    return found


def _key(row: Row, prefix: str = "") -> tuple[Any, ...]:
    """Subject, benchmark and count; of a published result those of the subject that it stands behind."""
    subject = (row[f"{prefix}{name}"] for name in SUBJECT)
    return (*subject, row["benchmark"], row["round"], row["accelerators"])


def _label(study: StudyTables, row: Row) -> str:
    who = row["submitter"] if row["subject"] != "training" else case_label(study.cases[row["case_id"]])
    return f"{row['benchmark']}, {int(row['accelerators'])} {MULTIPLY} {row['accelerator_family']}\n{who}"


def _own(row: Row) -> Row:
    return picked([row], COLUMNS)[0] | {
        "mark": "compared", "minutes": row["measured_minutes"], "over_median": row["ratio"],
        "low_over_median": row["ratio_low"], "high_over_median": row["ratio_high"],
    }  # fmt: skip


def _published(row: Row, result: Row) -> Row:
    return picked([result], COLUMNS)[0] | {
        "mark": "published", "over_median": result["minutes"] / row["reference_minutes"],
    }  # fmt: skip


def _draw_row(ax: Axes, place: int, row: Row, published: Sequence[Row]) -> None:
    middle = row["reference_minutes"]
    if row["reference_low_quartile"] is not None and row["reference_high_quartile"] is not None:
        ends = (row["reference_low_quartile"] / middle, row["reference_high_quartile"] / middle)
        ax.hlines(place - OFFSET, *ends, color=GRID, linewidth=9, alpha=0.35)
    over = [result["minutes"] / middle for result in published]
    ax.plot(over, [place - OFFSET] * len(over), "o", color=REFERENCE, alpha=0.7, markeredgewidth=0)
    colour = OF_STANDING[row["standing"]]
    if row["ratio_low"] is not None:
        ax.hlines(place + OFFSET, row["ratio_low"], row["ratio_high"], color=colour, linewidth=2)
    ax.plot(row["ratio"], place + OFFSET, "s", color=colour, markersize=7, markeredgewidth=0)


def _scale(ax: Axes, rows: Sequence[Row]) -> None:
    """Logarithmic where times differ by much; bounds may run off the edge, points never."""
    over = [row["over_median"] for row in rows] + [1.0]
    low, high = min(over) / 1.1, max(over) * 1.1
    if high / low > 8:
        ax.set_xscale("log")
    ax.set_xlim(low, high)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: format_figure(x, 3)))


def _rank_in_words(row: Row, published: Sequence[Row]) -> str:
    faster = sum(result["minutes"] < row["measured_minutes"] for result in published)
    return f"{faster} of {len(published)} are faster"
