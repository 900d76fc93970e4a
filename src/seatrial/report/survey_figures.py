"""The figures of a survey: how far results lie apart, what rounds changed, how time scales."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from seatrial.analysis.survey.rounds import MEDIANS
from seatrial.reference.published import COLUMNS
from seatrial.reference.scaling import find_scaling
from seatrial.report.axes import WHOLE, reference_line, rows_figure, values_at_right
from seatrial.report.drawing import Drawing, Drawn, drawn
from seatrial.report.figure_data import FigureData, picked
from seatrial.report.palette import INK, REFERENCE, SERIES
from seatrial.report.scaling_figure import scaling_figure
from seatrial.report.survey_cells import hardware
from seatrial.report.survey_citation import cite_rounds
from seatrial.report.survey_tables import Row, SurveyTables
from seatrial.report.survey_words import MOVED, SAME_ACCELERATORS, size_in_words
from seatrial.report.table import MULTIPLY, ratio_words
from seatrial.units import format_figure

SPREAD = (
    "round", "benchmark", "submitter", "system", "accelerator_family", "accelerators", "minutes", "chip_minutes",
)  # fmt: skip
OFFSET = 0.17
"""Of a row's two lines from its middle."""


def draw_survey(survey: SurveyTables | None) -> list[Drawn]:
    """The figures of a survey for which there is something to draw."""
    if survey is None:
        return []
    found = (
        drawn("survey_spread", lambda: spread(survey)),
        drawn("survey_rounds", lambda: rounds(survey)),
        drawn("survey_scaling", lambda: scaling(survey)),
    )
    return [figure for figure in found if figure is not None]


def spread(survey: SurveyTables) -> Drawing | None:
    """Every result of the newest whole round by benchmark, over the fastest: in time, and in chip-minutes."""
    rows = [r for r in survey.spread if r["round"] == survey.newest and r["ratio"] is not None]
    if not rows:
        return None
    rows.sort(key=lambda r: -r["ratio"])
    names = [f"{row['benchmark']}\n{int(row['results'])} results" for row in rows]
    figure, ax = rows_figure(len(rows), names, WHOLE)
    results: list[Row] = []
    for place, row in enumerate(rows):
        mine = [r for r in survey.results if (r["round"], r["benchmark"]) == (row["round"], row["benchmark"])]
        _strip(ax, place - OFFSET, [r["minutes"] for r in mine], SERIES[0])
        _strip(ax, place + OFFSET, [r["chip_minutes"] for r in mine if r["chip_minutes"]], SERIES[1])
        results += mine
    ax.set_xscale("log")
    ax.set_xlim(0.9, 1.15 * max(max(row["ratio"], row["chip_ratio"] or 1) for row in rows))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: format_figure(x, 3)))
    reference_line(ax, 10.0, f"10 {MULTIPLY}", "--")
    words = [f"{ratio_words(r['ratio'])} {MULTIPLY}\n{_or_dash(r['chip_ratio'])}" for r in rows]
    values_at_right(ax, words)
    ax.set(xlabel="times the least of the benchmark", ylabel="")
    for colour, label in ((SERIES[0], "time to train"), (SERIES[1], "time \u00d7 accelerators")):
        ax.scatter([], [], s=30, color=colour, label=label)
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.12), ncols=2)
    caption = "; ".join(
        f"{r['benchmark']}: {ratio_words(r['ratio'])} times in time, {_or_dash(r['chip_ratio'])} per accelerator"
        for r in rows
    )
    data = FigureData(("tables/survey_results.csv", "tables/survey_spread.csv"), SPREAD, picked(results, SPREAD))
    reading = f"A dot is one published result. {size_in_words(rows)} {cite_rounds(survey, [survey.newest])}"
    return Drawing(figure, f"Fastest to slowest by benchmark, {survey.newest}", reading, caption, data)


def _or_dash(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio_words(ratio)} {MULTIPLY}"


def _strip(ax: Axes, place: float, values: Sequence[float], colour: str) -> None:
    """All values over the least one, on one line."""
    if not values:
        return
    over = [value / min(values) for value in values]
    ax.hlines(place, 1, max(over), color=colour, linewidth=1.6, alpha=0.35)
    ax.scatter(over, [place] * len(over), s=22, color=colour, alpha=0.6, linewidth=0, zorder=3)


@dataclass(frozen=True)
class Chain:
    """The medians of one benchmark, family and count over consecutive rounds, the first one as 1."""

    name: str
    rounds: tuple[str, ...]
    values: tuple[float, ...]

    @property
    def moved(self) -> bool:
        return max(abs(value - 1) for value in self.values) >= MOVED


def chains(rows: Sequence[Row]) -> list[Chain]:
    """The chains of medians in the rounds table; a gap of a round starts a new chain."""
    open_chains: dict[tuple[str, str, int], list[Row]] = {}
    found: list[list[Row]] = []
    for row in rows:
        if row["basis"] != MEDIANS:
            continue
        key = (row["benchmark"], row["accelerator_family"], int(row["accelerators"]))
        chain = open_chains.get(key)
        if chain is None or chain[-1]["to_round"] != row["from_round"]:
            chain = open_chains[key] = []
            found.append(chain)
        chain.append(row)
    return [_chain(links) for links in found]


def _chain(links: Sequence[Row]) -> Chain:
    first = links[0]
    values = [1.0]
    for row in links:
        values.append(values[-1] * row["ratio"])
    on = hardware(first["accelerator_family"], first["accelerators"])
    name = f"{first['benchmark']}, {on}"
    return Chain(name, (first["from_round"], *(row["to_round"] for row in links)), tuple(values))


def rounds(survey: SurveyTables) -> Drawing | None:
    """The median of every family and count over the rounds, the first one as 1: a row for each that moved."""
    lines = chains(survey.rounds)
    if not lines:
        return None
    moved = sorted((c for c in lines if c.moved), key=lambda c: c.values[-1])
    still = [c for c in lines if not c.moved]
    names = [c.name.replace(", ", "\n", 1) for c in moved]
    names += [f"{len(still)} others\nwithin {100 * MOVED:g} %"] if still else []
    figure, ax = rows_figure(len(names), names, WHOLE)
    for place, chain in enumerate(moved):
        _walk(ax, place, chain)
    rest = [value for chain in still for value in chain.values[1:]]
    ax.scatter(rest, [len(moved)] * len(rest), s=22, color=REFERENCE, alpha=0.6, linewidth=0, zorder=3)
    values = [value for chain in lines for value in chain.values]
    margin = 0.07 * (max(values) - min(values))
    ax.set_xlim(min(values) - margin, max(values) + margin)
    reference_line(ax, 1.0, "first round", "--")
    values_at_right(ax, [f"{c.values[-1]:.2f}" for c in moved] + [_span(rest)] * bool(still))
    ax.set(xlabel="median time, that of the first round as 1", ylabel="")
    reading = "A row is one benchmark on one family and count, a dot its median in a round. Left is faster."
    reading += f" {cite_rounds(survey, [round_ for chain in lines for round_ in chain.rounds])}"
    caption = "; ".join(f"{c.name}: {_path(c)}" for c in moved)
    caption += f"; {len(still)} others stay within {100 * MOVED:g} %" if still else ""
    drawn_rows = [
        {"chain": chain.name, "round": round_, "over_first_round": value}
        for chain in (*moved, *still)
        for round_, value in zip(chain.rounds, chain.values, strict=True)
    ]
    data = FigureData(("tables/survey_rounds.csv",), ("chain", "round", "over_first_round"), drawn_rows)
    return Drawing(figure, SAME_ACCELERATORS, reading, caption, data)


def _walk(ax: Axes, place: int, chain: Chain) -> None:
    """One chain from round to round along its row: the first round's name beside its dot, clear of the line at 1,
    the others' below and above in turn."""
    ax.plot(chain.values, [place] * len(chain.values), color=SERIES[0], marker="o", markersize=6, alpha=0.85)
    sides = (((0, -6), "center", "top"), ((0, 6), "center", "bottom"))
    for i, (round_, value) in enumerate(zip(chain.rounds, chain.values, strict=True)):
        offset, across, along = ((7, 0), "left", "center") if i == 0 else sides[(i - 1) % 2]
        ax.annotate(
            round_, (value, place), offset, textcoords="offset points", ha=across, va=along, color=INK, size=8.5
        )


def _path(chain: Chain) -> str:
    return ", ".join(f"{r} {v:.2f}" for r, v in zip(chain.rounds, chain.values, strict=True))


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


def scaling(survey: SurveyTables) -> Drawing | None:
    """Time against count of the newest whole round's benchmark with the most results."""
    results = [row for row in survey.results if row["round"] == survey.newest and row["accelerators"]]
    counts = Counter(row["benchmark"] for row in results)
    if not counts:
        return None
    benchmark = min(counts, key=lambda name: (-counts[name], name))
    table = pd.DataFrame([_as_published(row) for row in results], columns=list(COLUMNS))
    found = scaling_figure(find_scaling(benchmark, survey.newest, table=table))
    cited = cite_rounds(survey, [survey.newest])
    return None if found is None else replace(found, reading=f"{found.reading} {cited}")


def _as_published(row: Row) -> Row:
    """A row of the survey's results as one of the table that fits are made from; its number tells twins apart."""
    known = {name: row.get(name) for name in COLUMNS}
    return known | {"accelerators": int(row["accelerators"]), "system_id": str(int(row["number"]))}
