"""The page's section on windows: tokens to retrieval beside tokens to loss, and what they show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from seatrial.analysis import emergence
from seatrial.analysis.emergence import LOSS, RETRIEVAL, Finding, findings, windows_of
from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.analysis.survival import Curve, Reach, kaplan_meier
from seatrial.analysis.tables import read_csv, rows_of
from seatrial.paths import StudyPaths
from seatrial.report.axes import WHOLE
from seatrial.report.drawing import Drawing, Drawn, drawn
from seatrial.report.figure_data import FigureData, basis
from seatrial.report.palette import SERIES
from seatrial.report.study_tables import Row
from seatrial.report.table import NUMBER, PROSE, TEXT, Cell, Table, count, table
from seatrial.units import format_figure

NAMES = {RETRIEVAL: "retrieval accuracy", LOSS: "evaluation loss"}
STANDINGS = {"shown": "Shown", "contradicted": "Contradicted", "not_known": "Not yet known"}
MILLION = 1e6
DRAWN = ("case_id", "quality_metric", "window", "mark", "tokens", "share")


@dataclass(frozen=True)
class EmergenceTables:
    """Rows of emergence.csv and emergence_runs.csv."""

    windows: list[Row]
    runs: list[Row]


@dataclass(frozen=True)
class Section:
    """What the page says of windows."""

    findings: Sequence[tuple[str, str, str]]
    """Which cases, how the claim stands, why."""
    table: Table
    figures: Sequence[str]
    """Names of the figures, in the findings' order."""


def read_emergence(paths: StudyPaths) -> EmergenceTables | None:
    """Both tables, or None where the study sweeps no window.

    Raises UnreadableFile where it does and the analysis has not run.
    """
    if not windows_of(read_cases(paths, read_plan(paths))):
        return None
    text = ("other_axes", "multiplier_words", "multiplier_method", "interval_method")
    windows = read_csv(paths.emergence, emergence.COLUMNS, text)
    runs = read_csv(paths.emergence_runs, emergence.RUN_COLUMNS, text[:1])
    return EmergenceTables(rows_of(windows), rows_of(runs))


def emergence_section(tables: EmergenceTables | None) -> Section | None:
    """The section, or None where no window is swept."""
    if tables is None:
        return None
    found = findings(tables.windows)
    said = [(_which(f, found), STANDINGS[f.standing], f.words) for f in found]
    return Section(said, _table(tables.windows), [_figure_name(place) for place in range(len(found))])


def draw_emergence(tables: EmergenceTables | None) -> list[Drawn]:
    """A figure for each group of cases that differ in the window alone."""
    if tables is None:
        return []
    figures = []
    for place, finding in enumerate(findings(tables.windows)):
        drawing = drawn(_figure_name(place), lambda finding=finding: _curves(tables, finding))  # type: ignore[misc]
        figures += [drawing] if drawing is not None else []
    return figures


def _figure_name(place: int) -> str:
    return f"emergence_{place + 1}" if place else "emergence"


def _which(finding: Finding, found: Sequence[Finding]) -> str:
    """Names a group where there are several."""
    axes = ", ".join(f"{name.rpartition('.')[2]} {value}" for name, value in json.loads(finding.other_axes).items())
    return f"{finding.experiment}, {axes}" if axes else finding.experiment if len(found) > 1 else ""


def _table(rows: Sequence[Row]) -> Table:
    columns = [
        ("Window", TEXT),
        ("Quality", TEXT),
        ("Reached it", NUMBER),
        ("Tokens, median", NUMBER),
        ("Steps, median", NUMBER),
        ("Times the smallest window's", PROSE),
        ("Log-rank p", NUMBER),
    ]
    caption = (
        "Tokens to retrieval and to loss. A run that has not reached it, or diverged, counts as not before its "
        "budget, one that broke off for another reason as not before its last evaluation (Kaplan-Meier); under "
        "each median its interval, from the evaluation before"
    )
    return table("emergence", caption, columns, [_cells(row) for row in rows], "tables/emergence.csv")


def _cells(row: Row) -> list[Cell]:
    left_out = f"{row['left_out']} more without an evaluation" if row["left_out"] else ""
    axes = "" if row["other_axes"] == "{}" else f", {row['other_axes']}"
    how = "Monte Carlo" if "Monte Carlo" in (row["multiplier_method"] or "") else "exact"
    exact = "" if row["exact_p"] is None else f"{how} {format_figure(row['exact_p'], 2)}"
    interval = _interval(row)
    median = _millions(row["median_tokens"]) if row["median_tokens"] is not None else _not_reached(row)
    is_reference = row["multiplier_words"] == "the reference"
    return [
        Cell(format_figure(row["window"]), f"{row['experiment']}{axes}"),
        Cell(NAMES[row["quality_metric"]], f"target {format_figure(row['quality_target'])}"),
        Cell(f"{int(row['reached'])} of {int(row['runs'])}", left_out),
        Cell(median, f"{interval} ({row['interval_method']})" if interval else row["interval_method"]),
        Cell(format_figure(row["median_steps"])),
        Cell(row["multiplier_words"], "" if is_reference else row["multiplier_method"]),
        Cell("-" if row["logrank_p"] is None else format_figure(row["logrank_p"], 2), exact),
    ]


def _interval(row: Row) -> str:
    low, high = (None if row[end] is None else _millions(row[end]) for end in ("low_tokens", "high_tokens"))
    if low and high:
        return f"{low} to {high}"
    return f"at least {low}" if low else f"at most {high}" if high else ""


def _not_reached(row: Row) -> str:
    return f"not within {_millions(row['budget_tokens'])}" if row["runs"] else "no run"


def _millions(tokens: float) -> str:
    return f"{format_figure(tokens / MILLION, 3)} M"


def _curves(tables: EmergenceTables, finding: Finding) -> Drawing | None:
    """Share of runs that have reached retrieval, and loss, by tokens: a line per window, a bar at the budget."""
    of_finding = (finding.experiment, finding.other_axes)
    group, medians = (
        [row for row in rows if (row["experiment"], row["other_axes"]) == of_finding]
        for rows in (tables.runs, tables.windows)
    )
    qualities = [name for name in NAMES if any(row["quality_metric"] == name for row in group)]
    if not qualities:
        return None
    figure = Figure(figsize=(WHOLE, 3.3), layout="constrained")
    panels = figure.subplots(1, len(qualities), sharex=True, sharey=True, squeeze=False)[0]
    end = max(row["after_tokens"] if row["by_tokens"] is None else row["by_tokens"] for row in group)
    drawn_rows = []
    for ax, quality in zip(panels, qualities, strict=True):
        drawn_rows += _panel(ax, group, quality, end)
        ax.set(xlabel="training tokens, millions", title=f"{NAMES[quality]} reached")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: format_figure(x, 3)))
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
        ax.grid(axis="y")
    panels[0].set(ylabel="share of runs", ylim=(-0.03, 1.05), xlim=(0, None))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=len(labels))
    reading = (
        "A step up is a run that reached it, by the evaluation that saw it; an upright bar, runs that had not."
    )
    caption = "; ".join(_in_words(row) for row in medians if row["runs"] and row["quality_metric"] in qualities)
    data = FigureData(("tables/emergence_runs.csv", "tables/emergence.csv"), DRAWN, drawn_rows)
    on = f"Shares after Kaplan and Meier. {basis(medians, 'runs', noun='run')}"
    return Drawing(figure, "Retrieval beside loss, by window", reading, caption, data, on)


def _panel(ax: Axes, group: Sequence[Row], quality: str, end: float) -> list[Row]:
    """Draw the windows of one quality; what is drawn."""
    shown: list[Row] = []
    for place, window in enumerate(sorted({row["window"] for row in group})):
        rows = [row for row in group if (row["quality_metric"], row["window"]) == (quality, window)]
        if not rows:
            continue
        reaches = [Reach(row["after_tokens"], row["by_tokens"]) for row in rows]
        colour = SERIES[place % len(SERIES)]
        points = _line(ax, kaplan_meier(reaches), reaches, end, f"window {format_figure(window)}", colour)
        same = {name: rows[0][name] for name in DRAWN[:3]}
        shown += [same | dict(zip(DRAWN[3:], point, strict=True)) for point in points]
    return shown


def _in_words(row: Row) -> str:
    """How many runs of a window reached a quality, and after how many tokens, with the interval."""
    name = f"{NAMES[row['quality_metric']]}, window {format_figure(row['window'])}"
    said = f"{name}: {int(row['reached'])} of {count(int(row['runs']), 'run')}"
    if row["median_tokens"] is None:
        return said
    interval = _interval(row)
    return f"{said}, median {_millions(row['median_tokens'])} tokens" + (f" ({interval})" if interval else "")


def _line(
    ax: Axes, curve: Curve, reaches: Sequence[Reach], end: float, label: str, colour: str
) -> list[tuple[str, float, float]]:
    """1 - Kaplan-Meier from 0 to `end`, and where runs were given up; mark, tokens and share of each point."""
    shares = [0.0, *(1 - share for share in curve.share)]
    tokens = [0.0, *curve.times, end]
    shares.append(shares[-1])
    ax.step([time / MILLION for time in tokens], shares, where="post", color=colour, label=label)
    shown = [("share that reached it", time, share) for time, share in zip(tokens, shares, strict=True)]
    given_up = sorted({reach.after for reach in reaches if reach.by is None})
    for time in given_up:
        share = [s for t, s in zip(tokens, shares, strict=True) if t <= time][-1]
        ax.plot([time / MILLION], [share], marker="|", markersize=11, markeredgewidth=2, color=colour)
        shown.append(("given up", time, share))
    return shown
