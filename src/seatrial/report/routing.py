"""The page's section on routing: how evenly experts are chosen, and what sharing them between ranks costs."""

from __future__ import annotations

import json

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator, PercentFormatter

from seatrial.analysis.tables import rows_of
from seatrial.report.axes import WHOLE
from seatrial.report.case_links import case_cell
from seatrial.report.drawing import Drawing
from seatrial.report.figure_data import MEASUREMENTS, FigureData, basis, n_words, picked
from seatrial.report.palette import GRID, SERIES
from seatrial.report.step_time import share_span, share_words
from seatrial.report.study_tables import Row, StudyTables, case_label
from seatrial.report.table import NUMBER, TEXT, Cell, Table, count, span, table
from seatrial.units import format_figure

PANELS = {
    "productive_fraction": "productive fraction",
    "mfu": "model FLOPs utilisation",
    "all_to_all_share": "all-to-all, share of step time",
}
SHOWN_OTHERWISE = ("workload.experts", "workload.parallelism")
"""Axes that the figure's own axis and the ranks' layout in its legend show."""
LAYOUT = ("dp", "fsdp", "tp", "ep")
FILE = "tables/routing.csv"
MOST_PANELS, PER_LINE = 6, 3
MOST_LAYERS = len(SERIES)
BAND = 0.28
"""How strongly an interval is drawn."""


def routing_table(study: StudyTables) -> Table:
    """Routing and its cost, a row per case."""
    columns = [
        ("Mixture", TEXT),
        ("Experts", NUMBER),
        ("Busiest expert", NUMBER),
        ("Gini", NUMBER),
        ("Busiest rank", NUMBER),
        ("Dropped", NUMBER),
        ("All-to-all", NUMBER),
        ("Productive fraction", NUMBER),
    ]
    caption = (
        "Tokens of the busiest expert and rank over the mean one's, within a step; under them the same over whole "
        "stretches. All-to-all: share of step time, waiting included. Medians over layers, stretches, repeats"
    )
    return table("routing", caption, columns, [_cells(study, row) for row in study.routing], FILE)


def _cells(study: StudyTables, row: Row) -> list[Cell]:
    layout = ", ".join(f"{name} {int(row[name])}" for name in LAYOUT)
    shared = f", {int(row['shared_experts'])} shared" if row["shared_experts"] else ""
    one = row["ep"] == 1
    why = "" if row["measured"] else "not measured"
    exchange = share_span(row["all_to_all_share_low"], row["all_to_all_share_high"]) or why
    interval = span(row["imbalance_low"], row["imbalance_high"])
    over = f"{format_figure(row['imbalance_of_stretches'], 3)} over stretches" if row["measured"] else why
    gini = f"{format_figure(row['gini_of_stretches'], 3)} over stretches" if row["measured"] else why
    return [
        case_cell(study, row["case_id"], layout),
        Cell(f"{int(row['experts'])}", f"top {int(row['top_k'])}{shared}"),
        Cell(format_figure(row["imbalance"], 3), f"{interval}; {over}" if interval else over),
        Cell(format_figure(row["gini"], 3), gini),
        Cell(format_figure(row["rank_imbalance"], 3), "not shared" if one else why),
        Cell(share_words(row["dropped_share"]), why if row["drops"] else "dropless"),
        Cell(share_words(row["all_to_all_share"]), "not shared" if one else exchange),
        Cell(
            share_words(row["productive_fraction"]),
            share_span(row["productive_fraction_low"], row["productive_fraction_high"]) or why,
        ),
    ]


def routing(study: StudyTables) -> Drawing | None:
    """Utilisation and all-to-all's share against the number of experts, a line per layout of ranks."""
    mfu = {row["case_id"]: row["mfu"] for row in study.step_time}
    rows = [row | {"mfu": mfu.get(row["case_id"])} for row in study.routing if row["measured"]]
    if len({row["experts"] for row in rows}) < 2:
        return None
    panels = {name: words for name, words in PANELS.items() if any(row[name] is not None for row in rows)}
    lines = _lines(study, rows)
    figure = Figure(figsize=(WHOLE, 3.3), layout="constrained")
    axes = figure.subplots(1, max(2, len(panels)), squeeze=False)[0]
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    for ax, (name, words) in zip(axes, panels.items(), strict=False):
        _line_panel(ax, lines, name)
        ax.set(xlabel="experts in each layer", title=words, ylim=(-0.02, 1.02))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=2)
    caption = "; ".join(
        f"{label}, {_experts(study, row)}: "
        + ", ".join(f"{words} {share_words(row[name])}" for name, words in panels.items() if row[name] is not None)
        for label, of_line in lines.items()
        for row in of_line
    )
    of_mfu = ["tables/step_time.csv"] if "mfu" in panels else []
    reading = "A point is the median over repeats, the upright band its interval."
    reading += " Model FLOPs utilisation has none." if of_mfu else ""
    shown = [name for panel in panels for name in (panel, f"{panel}_low", f"{panel}_high")]
    columns = ("line", "case_id", "experts", *shown, "interval_method", "repeats", "measured")
    drawn_rows = [row for label, of_line in lines.items() for row in picked(of_line, columns, line=label)]
    data = FigureData((FILE, *of_mfu), columns, drawn_rows)
    title = "Utilisation and all-to-all, by number of experts"
    return Drawing(figure, title, reading, caption, data, basis(rows, "measured"))


def _lines(study: StudyTables, rows: list[Row]) -> dict[str, list[Row]]:
    """Rows of one layout that differ in the number of experts and what changes with it, smallest first."""
    found: dict[str, list[Row]] = {}
    experiments = {row["experiment"] for row in rows}
    for row in rows:
        following = _following(study, row["experiment"], ("experts",)) | _following(
            study, row["experiment"], LAYOUT
        )
        axes = study.cases[row["case_id"]].axes
        named = {
            name.rpartition(".")[2]: value
            for name, value in axes.items()
            if name.startswith("workload.") and not name.startswith(SHOWN_OTHERWISE) and name not in following
        }
        parts = [row["experiment"]] if len(experiments) > 1 else []
        parts += [f"{name} {int(row[name])}" for name in ("ep", "tp")]
        parts += [f"{name} {int(row[name])}" for name in ("dp", "fsdp") if len({r[name] for r in rows}) > 1]
        parts += [f"{name} {value}" for name, value in named.items()]
        found.setdefault(", ".join(parts), []).append(row)
    return {label: sorted(of_line, key=lambda row: row["experts"]) for label, of_line in found.items()}


def _experts(study: StudyTables, row: Row) -> str:
    """The number of experts, and what else changes with it."""
    with_experts = _following(study, row["experiment"], ("experts",)) - {"workload.experts"}
    axes = study.cases[row["case_id"]].axes
    others = [f"{name.rpartition('.')[2]} {value}" for name, value in axes.items() if name in with_experts]
    words = count(int(row["experts"]), "expert")
    return f"{words} ({', '.join(others)})" if others else words


def _following(study: StudyTables, experiment: str, columns: tuple[str, ...]) -> set[str]:
    """Axes of an experiment whose value the values in `columns` fix, as where they are zipped.

    An axis that has a single value is not among them.
    """
    rows = [row for row in study.routing if row["experiment"] == experiment]
    axes = [study.cases[row["case_id"]].axes for row in rows]
    given = [tuple(row[column] for column in columns) for row in rows]
    found = set()
    for name in {name for of_case in axes for name in of_case}:
        values = [repr(of_case.get(name)) for of_case in axes]
        if len(set(values)) > 1 and len(set(zip(given, values, strict=True))) == len(set(given)):
            found.add(name)
    return found


def _line_panel(ax: Axes, lines: dict[str, list[Row]], name: str) -> None:
    for place, (label, rows) in enumerate(lines.items()):
        known = [row for row in rows if row[name] is not None]
        colour = SERIES[place % len(SERIES)]
        style = ("-", "--", ":")[place // len(SERIES) % 3]
        x = [row["experts"] for row in known]
        ax.plot(x, [row[name] for row in known], style, color=colour, marker="o", label=label)
        for row in known:
            if row.get(f"{name}_low") is not None:
                ends = (row[f"{name}_low"], row[f"{name}_high"])
                ax.vlines(row["experts"], *ends, color=colour, linewidth=5, alpha=BAND)
    experts = sorted({row["experts"] for rows in lines.values() for row in rows})
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_locator(FixedLocator(experts))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: format_figure(x)))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.grid(axis="y")


def expert_imbalance(study: StudyTables) -> Drawing | None:
    """Tokens of the busiest expert over the mean one's by step, a line per layer, a panel per case."""
    chosen = _imbalances(study)
    having = set(chosen["case_id"])
    case_ids = [row["case_id"] for row in study.routing if row["case_id"] in having]
    if not case_ids:
        return None
    more = len(case_ids) - MOST_PANELS
    case_ids = case_ids[:MOST_PANELS]
    across = 2 if len(case_ids) == 4 else min(PER_LINE, len(case_ids))
    down = -(-len(case_ids) // across)
    figure = Figure(figsize=(WHOLE if across > 1 else WHOLE * 0.66, 0.6 + 2.3 * down), layout="constrained")
    axes = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
    layers = _shown_layers(chosen)
    words = []
    for ax, case_id, title in zip(axes, case_ids, _titles(study, case_ids), strict=False):
        last = _imbalance_panel(ax, chosen[chosen["case_id"] == case_id], layers)
        ax.set(xlabel="training step", title=_short(title))
        words.append(f"{case_label(study.cases[case_id])}: {format_figure(last, 3)} at the end")
    for ax in axes[len(case_ids) :]:
        ax.set_visible(False)
    for ax in axes[::across]:
        ax.set_ylabel("busiest over mean expert")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=min(len(labels), 4))
    left_out = f"; {count(more, 'more case')} not drawn" if more > 0 else ""
    reading = "The median over repeats of the mean over the steps of a stretch; 1 is even."
    drawn_rows = chosen[chosen["case_id"].isin(case_ids) & chosen["layer"].isin(layers)]
    columns = ("case_id", "layer", "step", "imbalance")
    data = FigureData((MEASUREMENTS, FILE), columns, rows_of(drawn_rows.rename(columns={"median": "imbalance"})))
    on = n_words(row["measured"] for row in study.routing if row["case_id"] in case_ids)
    return Drawing(figure, "Imbalance of experts while training", reading, "; ".join(words) + left_out, data, on)


def _titles(study: StudyTables, case_ids: list[str]) -> list[str]:
    """Experts, layout, and in what else the cases differ; their labels where that does not tell them apart."""
    cases = [study.cases[case_id] for case_id in case_ids]
    values: dict[str, set[str]] = {}
    for case in cases:
        for name, value in case.axes.items():
            values.setdefault(name, set()).add(repr(value))
    several = len({case.experiment for case in cases}) > 1
    titles = []
    for case in cases:
        following = _following(study, case.experiment, ("experts",)) | _following(study, case.experiment, LAYOUT)
        told = [n for n in case.axes if len(values[n]) > 1 and n not in following]
        told = [n for shown in SHOWN_OTHERWISE for n in case.axes if n.startswith(shown)] + told
        parts = [case.experiment] if several else []
        parts += [f"{name.rpartition('.')[2]} {case.axes[name]}" for name in dict.fromkeys(told)]
        titles.append(", ".join(parts))
    return titles if len(set(titles)) == len(titles) and all(titles) else [case_label(case) for case in cases]


def _short(label: str, longest: int = 40) -> str:
    return label if len(label) <= longest else label[: longest - 3] + "..."


def _imbalances(study: StudyTables) -> pd.DataFrame:
    """Imbalance within steps by case, layer and step: the median over completed repeats."""
    frame = study.measurements
    chosen = frame[(frame["metric"] == "train.expert_imbalance") & (frame["outcome"] == "completed")]
    labels = [json.loads(text) for text in chosen["labels"]]
    known = chosen.assign(
        layer=[found.get("layer") for found in labels],
        step=[found.get("step") for found in labels],
        over=[found.get("over") for found in labels],
    )
    within = known[known["over"] == "step"].dropna(subset=["layer", "step"])
    return within.groupby(["case_id", "layer", "step"], sort=True)["median"].median().reset_index()


def _shown_layers(chosen: pd.DataFrame) -> list[int]:
    """All layers, or as many as there are colours, spread from the first to the last."""
    layers = sorted({int(layer) for layer in chosen["layer"]})
    if len(layers) <= MOST_LAYERS:
        return layers
    last = len(layers) - 1
    return [layers[round(place * last / (MOST_LAYERS - 1))] for place in range(MOST_LAYERS)]


def _imbalance_panel(ax: Axes, of_case: pd.DataFrame, layers: list[int]) -> float:
    """Draw a case's layers; the mean of their last values."""
    last = []
    for layer, colour in zip(layers, SERIES, strict=False):
        line = of_case[of_case["layer"] == layer]
        ax.plot(line["step"], line["median"], color=colour, marker="o", markersize=3, label=f"layer {layer}")
        last += list(line["median"])[-1:]
    ax.axhline(1.0, color=GRID, linewidth=0.8)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.grid(axis="y")
    return float(pd.Series(last).mean())
