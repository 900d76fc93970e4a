"""The page's section on ablations: how much slower the work is without a feature of the fabric."""

from __future__ import annotations

import json
from functools import partial

from matplotlib.ticker import FuncFormatter, NullLocator

from seatrial.analysis.ablation import COLUMNS
from seatrial.analysis.tables import read_csv, require_cases, rows_of
from seatrial.report.axes import WHOLE, legend_below, new_figure
from seatrial.report.drawing import Drawing, drawn
from seatrial.report.figure_data import FigureData, basis, picked
from seatrial.report.palette import GRID, SERIES
from seatrial.report.probes.section import ProbeSection
from seatrial.report.study_tables import Row, StudyTables, case_label
from seatrial.report.table import NUMBER, PROSE, TEXT, Cell, Table, count, ratio_words, span_of_ratios, table
from seatrial.units import format_bytes, format_figure

STYLES = ("-", "--", "-.")
MOST_LINES = len(SERIES) * len(STYLES)
MOST_TICKS = 8
BAND = 0.28
TOLD = ("target.ablation", "workload.size", "workload.operation", "workload.dtype")
"""Axes that a row's other words tell."""
TOLD_BY_RANKS = ("target.nodes", "target.tasks_per_node")
WORDS = (
    "The same work on the same machine with everything on, and without one feature at a time: cases that differ in "
    "nothing but what is switched off. Above 1 the feature helps.",
    "Whether the library obeyed is not seen here: a variable that it does not know leaves a ratio of 1.",
)
FILE = "tables/ablation.csv"
DRAWN = (
    "line", "ablation", "case_id", "full_case_id", "size_bytes", "slowdown", "slowdown_low", "slowdown_high",
    "interval_method", "full_repeats", "ablated_repeats",
)  # fmt: skip
STANDING = {
    "slower": "slower without",
    "faster": "faster without",
    "inconclusive": "no difference shown",
    "undefined": "not known",
}


def section(study: StudyTables) -> ProbeSection | None:
    """None where nothing is switched off. Raises UnreadableFile where analyse has not run."""
    if all(case.target.ablation is None for case in study.cases.values()):
        return None
    frame = read_csv(study.paths.ablation, COLUMNS, ("full_case_id", "labels", "description", "note", "without"))
    require_cases(study.paths.ablation, frame, study.cases)
    rows = rows_of(frame)
    figure = drawn("ablation", partial(slowdown_figure, study, rows))
    largest = _largest(study, rows)
    return ProbeSection(
        name="ablation",
        title="Without a feature of the fabric",
        short="Ablations",
        words=[*WORDS, *_described(rows)],
        figures=[figure] if figure is not None else [],
        tables=[_table(study, largest, "ablation", "Without a feature; of message sizes the largest")],
        details=[("Every size", _table(study, rows, "ablation-sizes", "Without a feature, at every message size"))]
        if len(rows) > len(largest)
        else [],
    )


def _described(rows: list[Row]) -> list[str]:
    return [f"{name}: {words}." for name, words in {row["ablation"]: row["description"] for row in rows}.items()]


def _line(study: StudyTables, row: Row) -> str:
    """What a row is about but for its message size: the ablation, the work, the labels."""
    case = study.cases[row["case_id"]]
    labels = json.loads(row["labels"]) if row["labels"] else {}
    named = {name: value for name, value in labels.items() if name != "size_bytes"}
    if case.workload.kind in ("collective", "nccl_tests_logs") and {"operation", "ranks"} <= named.keys():
        what = f"{named['operation']} {named.get('dtype', '')}, {named['ranks']} ranks"
        told: tuple[str, ...] = (*TOLD, *TOLD_BY_RANKS)
    else:
        what = ", ".join([row["experiment"], *(f"{name} {value}" for name, value in named.items())])
        told = TOLD
    axes = [f"{name.rpartition('.')[2]} {value}" for name, value in case.axes.items() if not name.startswith(told)]
    return ", ".join([row["ablation"], what, *axes])


def _largest(study: StudyTables, rows: list[Row]) -> list[Row]:
    """Of the rows that differ in the message size alone the one with the largest."""
    found: dict[tuple[str, str | None], Row] = {}
    for row in rows:
        key = (_line(study, row), row["metric"])
        if key not in found or (row["size_bytes"] or 0) >= (found[key]["size_bytes"] or 0):
            found[key] = row
    return list(found.values())


def _table(study: StudyTables, rows: list[Row], name: str, caption: str) -> Table:
    columns = [
        ("Without", TEXT),
        ("Work", TEXT),
        ("Metric", TEXT),
        ("With everything", NUMBER),
        ("Without it", NUMBER),
        ("Times slower", NUMBER),
        ("What that shows", PROSE),
    ]
    return table(name, caption, columns, [_cells(study, row) for row in rows], FILE)


def _cells(study: StudyTables, row: Row) -> list[Cell]:
    size = f"{format_bytes(int(row['size_bytes']))}" if row["size_bytes"] is not None else ""
    interval = span_of_ratios(row["slowdown_low"], row["slowdown_high"]) or row["interval_method"] or ""
    unit = row["unit"] or ""
    return [
        Cell(row["ablation"]),
        Cell(_line(study, row).partition(", ")[2] or case_label(study.cases[row["case_id"]]), size),
        Cell(row["metric"] or "-", "" if unit == "1" else unit),
        Cell(format_figure(row["full"], 3), _repeats(row["full_repeats"])),
        Cell(format_figure(row["ablated"], 3), _repeats(row["ablated_repeats"])),
        Cell(ratio_words(row["slowdown"]), interval),
        Cell(STANDING[row["standing"]], row["note"] or ""),
    ]


def _repeats(n: float | None) -> str:
    return count(int(n), "repeat") if n else "not measured"


def slowdown_figure(study: StudyTables, rows: list[Row]) -> Drawing | None:
    """Times slower against message size, a line for each ablation and collective; None without several sizes."""
    drawable = [row for row in rows if row["size_bytes"] is not None and row["slowdown"] is not None]
    lines: dict[str, list[Row]] = {}
    for row in drawable:
        lines.setdefault(_line(study, row), []).append(row)
    more = len(lines) - MOST_LINES
    lines = dict(list(lines.items())[:MOST_LINES])
    sizes = sorted({row["size_bytes"] for of_line in lines.values() for row in of_line})
    if len(sizes) < 2:
        return None
    figure, ax = new_figure(3.4, WHOLE)
    ax.axhline(1.0, color=GRID, linewidth=1.0)
    words = []
    for place, (line, of_line) in enumerate(lines.items()):
        colour, style = SERIES[place % len(SERIES)], STYLES[place // len(SERIES)]
        x = [row["size_bytes"] for row in of_line]
        ax.plot(x, [row["slowdown"] for row in of_line], style, color=colour, marker="o", markersize=4, label=line)
        for row in of_line:
            if row["slowdown_low"] is not None:
                ends = (row["slowdown_low"], row["slowdown_high"])
                ax.vlines(row["size_bytes"], *ends, color=colour, linewidth=4, alpha=BAND)
        words.append(f"{line}: {ratio_words(of_line[-1]['slowdown'])} at {format_bytes(int(x[-1]))}")
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes[::-1][:: -(-len(sizes) // MOST_TICKS)], minor=False)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: format_bytes(int(x))))
    highest = max(row["slowdown"] for of_line in lines.values() for row in of_line)
    ax.set_ylim(0, 1.1 * max(1.1, highest))
    ax.grid(axis="y")
    ax.set(xlabel="message size as nccl-tests counts it", ylabel="times slower without")
    legend_below(ax)
    left_out = f" {count(more, 'more line')} not drawn." if more > 0 else ""
    reading = f"Above 1 the feature helps; a band is the 95 % interval over repeats.{left_out}"
    drawn_rows = [row for line, of_line in lines.items() for row in picked(of_line, DRAWN, line=line)]
    data = FigureData((FILE,), DRAWN, drawn_rows)
    title, on = "How much slower without a feature, by message size", basis(drawable, "ablated_repeats")
    return Drawing(figure, title, reading, "; ".join(words), data, on)
