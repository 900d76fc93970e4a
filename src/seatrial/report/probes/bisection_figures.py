"""The figures on bisection: cuts against the ceiling, and the pairs as a map of who talks to whom."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from seatrial.report.axes import WHOLE, rows_figure, values_at_right
from seatrial.report.drawing import Drawing
from seatrial.report.figure_data import MEASUREMENTS, FigureData, basis, n_words, picked
from seatrial.report.palette import INK, SERIES, SLOWER
from seatrial.report.study_tables import Row, StudyTables, case_label
from seatrial.report.table import count, ratio_words
from seatrial.units import format_figure

Cut = tuple[str, int, str]
"""Case, scale and name."""
CUTS = (
    "mark", "label", "case_id", "scale", "cut", "gbps", "low_gbps", "high_gbps", "interval_method", "full_gbps",
    "n", "over",
)  # fmt: skip
PAIRS = ("panel", "case_id", "scope", "how", "pair", "first", "second", "median_gbps", "slow")
MOST_ROWS = 40
MOST_PANELS = 4
MOST_ENDS = 32
"""Ends of a map; with more pairs are drawn as dots in order."""
MOST_DOTS = 2000
"""Of more pairs that are not slow every n-th is drawn: in order they make the same curve."""
MOST_NUMBERED = 12
"""Ends up to which a map's cells have room for numbers."""
PALEST, FULLEST = 0.06, 0.5
"""How strongly a cell is filled: numbers stand on it."""


def draw_cuts(study: StudyTables, rows: Sequence[Row]) -> Drawing | None:
    """Every cut with its interval, a dot for each of its matchings, and full bisection where it is known."""
    rows = [row for row in rows if row["n"]][:MOST_ROWS]
    if not rows:
        return None
    several = len({row["case_id"] for row in rows}) > 1
    labels = [_cut_label(study, row, several) for row in rows]
    figure, ax = rows_figure(len(rows), labels, WHOLE)
    dots = _medians(study)
    for place, row in enumerate(rows):
        if row["low_gbps"] is not None:
            ax.hlines(place, row["low_gbps"], row["high_gbps"], color=SERIES[0], linewidth=7, alpha=0.28)
        found = dots.get((row["case_id"], row["scale"], row["cut"]), [])
        ax.plot(found, [place] * len(found), "o", color=SERIES[0], alpha=0.55, markeredgewidth=0)
        ax.vlines(row["median_gbps"], place - 0.22, place + 0.22, color=SERIES[0], linewidth=2.4)
        if row["full_gbps"] is not None:
            ax.vlines(row["full_gbps"], place - 0.32, place + 0.32, color=SERIES[1], linewidth=2.4)
    words = [_cut_words(row) for row in rows]
    values_at_right(ax, words)
    ax.set_xlim(left=0)
    ax.set(xlabel="GB/s across the cut, one way", ylabel="")
    full = any(row["full_gbps"] is not None for row in rows)
    line = "The other bar is full bisection." if full else "No links are declared, so full bisection is not known."
    reading = f"A dot is one matching of one repeat, the bar the median, the band its interval. {line}"
    caption = "; ".join(f"{label}: {word}".replace("\n", " ") for label, word in zip(labels, words, strict=True))
    data = FigureData(("tables/bisection.csv", MEASUREMENTS), CUTS, list(_drawn_cuts(rows, labels, dots)))
    return Drawing(figure, "What crosses each cut", reading, caption, data, _counted(rows))


def _counted(rows: Sequence[Row]) -> str:
    """What n is, and how intervals are made: of some rows n counts matchings or repeats, of others iterations."""
    overs = list(dict.fromkeys(row["over"] for row in rows if row["n"]))
    of_each = [n_words((r["n"] for r in rows if r["over"] == over), over.removesuffix("s")) for over in overs]
    return " ".join([*of_each, basis(rows, "")]).strip()


def _drawn_cuts(rows: Sequence[Row], labels: Sequence[str], dots: dict[Cut, list[float]]) -> Iterator[Row]:
    """Each cut's median with its interval and full bisection, and each of its matchings."""
    for row, label in zip(rows, labels, strict=True):
        same = {"label": label.replace("\n", " ")} | picked([row], CUTS[2:5])[0]
        yield same | {"mark": "median", "gbps": row["median_gbps"]} | picked([row], CUTS[6:])[0]
        for gbps in dots.get((row["case_id"], row["scale"], row["cut"]), []):
            yield same | {"mark": "matching", "gbps": gbps}


def _cut_label(study: StudyTables, row: Row, several: bool) -> str:
    unit = "rank" if row["hosts"] == 1 else "host"
    name = "every matching" if row["every"] else " = ".join([row["cut"], *(row["also"] or "").split()])
    where = f"{name.replace('_', ' ')}, {count(int(row['scale']), unit)}"
    return f"{case_label(study.cases[row['case_id']])}\n{where}" if several else where


def _cut_words(row: Row) -> str:
    words = f"{format_figure(row['median_gbps'], 3)} GB/s"
    return words if row["ratio"] is None else f"{words}, {ratio_words(row['ratio'])} of full"


def _medians(study: StudyTables) -> dict[Cut, list[float]]:
    """The median of each matching of each completed repeat, by case, scale and cut."""
    frame = study.measurements
    chosen = frame[(frame["metric"] == "bisection.bandwidth") & (frame["outcome"] == "completed")]
    found: dict[Cut, list[float]] = {}
    for case_id, text, median in zip(chosen["case_id"], chosen["labels"], chosen["median"], strict=True):
        labels = json.loads(text)
        also = str(labels.get("also", "")).split()
        for cut in (labels["cut"], *(["random"] if "random" in also else [])):
            found.setdefault((case_id, labels["scale"], cut), []).append(float(median))
    return found


def draw_pairs(study: StudyTables, rows: Sequence[Row]) -> Drawing | None:
    """Bandwidth of every pair, a panel for each case and way of measuring: a map, or dots where there are many."""
    panels = _panels(study, rows)
    if not panels:
        return None
    shown = dict(list(panels.items())[:MOST_PANELS])
    across = 1 if len(shown) == 1 else 2
    down = -(-len(shown) // across)
    figure = Figure(figsize=(WHOLE * (0.6 if across == 1 else 1), 0.5 + 3.6 * down), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for ax, (title, of_panel) in zip(axes, shown.items(), strict=False):
        ends = list(dict.fromkeys(end for row in of_panel for end in (row["first"], row["second"])))
        if len(ends) <= MOST_ENDS:
            _map(ax, of_panel, ends)
        else:
            _in_order(ax, of_panel)
        ax.set_title(title if len(title) < 60 else title[:57] + "...", fontsize=9)
    for ax in axes[len(shown) :]:
        ax.set_visible(False)
    caption = "; ".join(
        f"{title}: " + ", ".join(f"{row['pair']} {format_figure(row['median_gbps'], 3)}" for row in of_panel[:60])
        for title, of_panel in shown.items()
    )
    left_out = len(panels) - len(shown)
    more = f" {count(left_out, 'more panel')} not drawn." if left_out else ""
    reading = "GB/s one way, medians: the fuller the tone the faster. Slow pairs are in the other colour." + more
    drawn_rows = [row for title, of_panel in shown.items() for row in picked(of_panel, PAIRS, panel=title)]
    data = FigureData(("tables/bisection_pairs.csv",), PAIRS, drawn_rows)
    return Drawing(figure, "Every pair", reading, caption, data, _counted(rows))


def _panels(study: StudyTables, rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The pairs by case, way of measuring and place, under their title; pairs by themselves before matchings."""
    found: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row["how"] == "matching"):
        title = f"{case_label(study.cases[row['case_id']])}: {row['scope']}, {row['how']}"
        found.setdefault(title, []).append(row)
    return found


def _map(ax: Axes, rows: Sequence[Row], ends: Sequence[str]) -> None:
    """A cell for each pair, at both places where it stands in the table of ends."""
    place = {end: i for i, end in enumerate(ends)}
    most = max(row["median_gbps"] for row in rows)
    for row in rows:
        share = row["median_gbps"] / most
        colour = SLOWER if row["slow"] else SERIES[0]
        alpha = FULLEST if row["slow"] else PALEST + (FULLEST - PALEST) * share
        i, j = place[row["first"]], place[row["second"]]
        for x, y in ((i, j), (j, i)):
            ax.add_patch(Rectangle((x - 0.47, y - 0.47), 0.94, 0.94, facecolor=colour, alpha=alpha, linewidth=0))
            if len(ends) <= MOST_NUMBERED:
                text = format_figure(row["median_gbps"], 2)
                ax.text(x, y, text, ha="center", va="center", fontsize=8, color=INK)
    ax.set_xlim(-0.5, len(ends) - 0.5)
    ax.set_ylim(len(ends) - 0.5, -0.5)
    step = max(1, len(ends) // 16)
    ax.set_xticks(range(0, len(ends), step), ends[::step], rotation=90 if len(ends) > 6 else 0)
    ax.set_yticks(range(0, len(ends), step), ends[::step])
    ax.tick_params(length=0)
    ax.set_aspect("equal")
    for side in ax.spines.values():
        side.set_visible(False)


def _in_order(ax: Axes, rows: Sequence[Row]) -> None:
    """Pairs from the slowest to the fastest."""
    ordered = sorted(rows, key=lambda row: row["median_gbps"])
    for slow, colour in ((False, SERIES[0]), (True, SLOWER)):
        chosen = [(x, row["median_gbps"]) for x, row in enumerate(ordered) if bool(row["slow"]) == slow]
        if not slow:
            chosen = chosen[:: -(-len(chosen) // MOST_DOTS) or 1]
        ax.plot([x for x, _ in chosen], [y for _, y in chosen], ".", color=colour, markersize=3)
    ax.set_ylim(bottom=0)
    ax.grid(axis="y")
    ax.set(xlabel="pairs, slowest first", ylabel="GB/s one way")
