"""The page's section on the all-to-all of experts: what an uneven load costs, in latency and in bytes."""

from __future__ import annotations

from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from seatrial.analysis.probes import moe_alltoall as measured
from seatrial.analysis.probes import moe_alltoall_slope as slopes
from seatrial.case import Case
from seatrial.report.axes import WHOLE
from seatrial.report.case_links import with_records
from seatrial.report.drawing import Drawing, drawn
from seatrial.report.figure_data import FigureData, basis, picked
from seatrial.report.palette import SERIES
from seatrial.report.probes.section import ProbeSection
from seatrial.report.step_time import share_words
from seatrial.report.study_tables import Row, StudyTables
from seatrial.report.table import NUMBER, PROSE, TEXT, Cell, Table, count, span, table
from seatrial.units import format_figure

MS = 1e3
MB = 1e6
DIRECTIONS = ("dispatch", "combine")
DRAWN = (
    "line", "case_id", "direction", "load", "imbalance", "p50_s", "p50_s_low", "p50_s_high", "p99_s",
    "interval_method", "measured",
)  # fmt: skip
OFF = 0.01
"""A realised Gini that lies further from what was asked is marked."""
MOST_LINES = len(SERIES)
READING = (
    "Dispatch brings tokens to the ranks that hold their experts, combine brings the outputs back. Every iteration "
    "draws its load anew; its time is the slowest rank's. The exchange of counts before it is timed apart."
)
BANDWIDTHS = (
    "Logical counts what stays on its own rank too, as DeepEP does, and may exceed any NIC. Wire leaves it out, of "
    "the busiest rank. Balanced is the mean rank's wire bytes over the same time: wire over balanced is skew, no "
    "fault of the fabric."
)


LAYER = (
    "p50 and p99 are the transfer's alone. The layer's time has what lies around it too: packing, counts and "
    "dispatch, or combine and the weighted sum. Dispatchers do these parts in different places, so that they "
    "compare on the layer's time alone."
)


def section(study: StudyTables) -> ProbeSection | None:
    """None where the study has no case of it. Raises UnreadableFile where analyse has not run."""
    if not _cases(study):
        return None
    rows = study.probe_rows("moe_alltoall", measured.COLUMNS, ("load", "note", "ceiling_basis", "interval_method"))
    fitted = study.probe_rows("moe_alltoall_slope", slopes.COLUMNS, ("load", "group", "note"))
    figure = drawn("moe_alltoall", partial(_latency, study, rows))
    return ProbeSection(
        name="moe-alltoall",
        title="All-to-all of experts",
        short="All-to-all of experts",
        words=[READING, BANDWIDTHS, LAYER],
        figures=[figure] if figure is not None else [],
        tables=[_latency_table(study, rows), _slope_table(study, fitted)],
        details=[("Bytes and bandwidths", _bytes_table(study, rows))],
    )


def _latency_table(study: StudyTables, rows: list[Row]) -> Table:
    columns = [
        ("Load", TEXT),
        ("Gini of experts", NUMBER),
        ("Busiest rank", NUMBER),
        ("p50, ms", NUMBER),
        ("p99, ms", NUMBER),
        ("Layer p50, ms", NUMBER),
        ("Wire, GB/s", NUMBER),
        ("Of the ceiling", NUMBER),
    ]
    caption = (
        "Gini: the mean over iterations. Busiest rank: rows it receives over the mean rank's. Under p50 and p99 "
        "their 95 % intervals over all iterations; of fewer than 368 p99 has no upper end"
    )
    cells = [_latency_cells(study, row) for row in rows]
    return table("moe-alltoall", caption, columns, cells, "tables/moe_alltoall.csv")


def _latency_cells(study: StudyTables, row: Row) -> list[Cell]:
    head = with_records(study, row["case_id"], Cell(_name(study, row), _shape(row)))
    if not row["iterations"]:
        return [head, Cell("-", "not measured"), *[Cell("-")] * 6]
    note = row["note"] or row["ceiling_basis"] or "no ceiling known"
    return [
        head,
        _gini_cell(row),
        Cell(format_figure(row["imbalance"], 3), f"99 of 100 below {format_figure(row['imbalance_p99'], 3)}"),
        Cell(_ms(row["p50_s"]), _ends(row, "p50_s")),
        Cell(_ms(row["p99_s"]), _ends(row, "p99_s")),
        Cell(_ms(row["layer_p50_s"]), _ends(row, "layer_p50_s")),
        Cell(format_figure(row["wire_gbps"], 3), f"balanced {format_figure(row['balanced_gbps'], 3)}"),
        Cell(share_words(row["fraction_of_ceiling"]), note),
    ]


def _gini_cell(row: Row) -> Cell:
    asked = row["gini_asked"]
    if asked is None:
        return Cell(format_figure(row["gini"], 3))
    if asked == 0:
        return Cell(format_figure(row["gini"], 3), "by chance alone")
    off = abs(row["gini"] - asked) > OFF
    words = f"asked {format_figure(asked, 3)}"
    return Cell(format_figure(row["gini"], 3), f"{words}: off by more than {OFF:g}" if off else words)


def _ends(row: Row, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if low is not None and high is None:
        return f"at least {_ms(low)}; {count(int(row['iterations']), 'iteration')} give it no upper end"
    return span(MS * low, MS * high) if low is not None and high is not None else ""


def _bytes_table(study: StudyTables, rows: list[Row]) -> Table:
    columns = [
        ("Load", TEXT),
        ("Logical, MB", NUMBER),
        ("Wire, MB", NUMBER),
        ("Once to each rank, MB", NUMBER),
        ("Between nodes, MB", NUMBER),
        ("Once to each node, MB", NUMBER),
        ("Logical, GB/s", NUMBER),
        ("Wire of all ranks, GB/s", NUMBER),
        ("Balanced, GB/s", NUMBER),
        ("Counts, ms", NUMBER),
    ]
    caption = (
        "Bytes of all ranks in one iteration, scales, numbers and weights included: a row for every choice, "
        "without what stays on its rank, and what would be sent if a token went once to each rank or node. Medians"
    )
    cells = [_bytes_cells(study, row) for row in rows if row["iterations"]]
    return table("moe-alltoall-bytes", caption, columns, cells, "tables/moe_alltoall.csv")


def _bytes_cells(study: StudyTables, row: Row) -> list[Cell]:
    def megabytes(scope: str) -> Cell:
        value = row[f"bytes_{scope}"]
        return Cell("-") if value is None else Cell(format_figure(value / MB, 3))

    return [
        Cell(_name(study, row), _shape(row)),
        megabytes("logical"),
        megabytes("wire"),
        Cell(megabytes("rank_deduplicated").text, _reach(row, "ranks")),
        megabytes("between_nodes"),
        Cell(megabytes("node_deduplicated").text, _reach(row, "nodes")),
        Cell(format_figure(row["logical_gbps"], 3)),
        Cell(format_figure(row["wire_all_ranks_gbps"], 3)),
        Cell(format_figure(row["balanced_gbps"], 3)),
        Cell(_ms(row["counts_p50_s"])),
    ]


def _reach(row: Row, what: str) -> str:
    """How many of them a token reaches, and how many it would if choices were uniform."""
    value, uniform = row[f"{what}_per_token"], row[f"{what}_per_token_uniform"]
    if value is None:
        return "not known of counts alone"
    if what == "nodes" and uniform == 1:
        return "all on one node"
    expected = f"; uniform {format_figure(uniform, 3)}" if uniform is not None else ""
    return f"{format_figure(value, 3)} {what} per token{expected}"


def _slope_table(study: StudyTables, rows: list[Row]) -> Table:
    columns = [
        ("Over", TEXT),
        ("Direction", TEXT),
        ("Slope", NUMBER),
        ("Imbalance", NUMBER),
        ("Points", NUMBER),
        ("Method", PROSE),
    ]
    caption = (
        "Slope of ln latency over ln imbalance of ranks: 0, imbalance costs nothing; 1, latency follows the "
        "busiest rank. Over the loads of a sweep, and over the iterations of one case, which differ by chance"
    )
    ordered = sorted(rows, key=lambda row: row["scope"] != "loads")
    cells = [_slope_cells(study, row) for row in ordered]
    return table("moe-alltoall-slope", caption, columns, cells, "tables/moe_alltoall_slope.csv")


def _slope_cells(study: StudyTables, row: Row) -> list[Cell]:
    if row["scope"] == "loads":
        head = Cell(f"loads of {row['group']}", row["load"])
    else:
        head = Cell("iterations", ", ".join([row["load"], *_others(study, row)]))
    return [
        head,
        Cell(row["direction"]),
        Cell(
            "not known" if row["slope"] is None else format_figure(row["slope"], 3),
            span(row["slope_low"], row["slope_high"]),
        ),
        Cell(span(row["imbalance_low"], row["imbalance_high"]) or "-"),
        Cell(str(int(row["points"]))),
        Cell(row["method"] or "-", row["note"] or ""),
    ]


def _latency(study: StudyTables, rows: list[Row]) -> Drawing | None:
    """p50 and p99 against the imbalance of ranks, a line for cases that differ in the load alone."""
    known = [row for row in rows if row["iterations"] and row["imbalance"] is not None]
    if len({row["case_id"] for row in known}) < 2:
        return None
    lines = _lines(study, known)
    left_out = len(lines) - MOST_LINES
    lines = dict(list(lines.items())[:MOST_LINES])
    figure = Figure(figsize=(WHOLE, 3.4), layout="constrained")
    for ax, direction in zip(figure.subplots(1, 2, sharey=True), DIRECTIONS, strict=True):
        _panel(ax, lines, direction)
        ax.set(title=direction, xlabel="rows of the busiest rank over the mean rank's")
    first = figure.axes[0]
    first.set_ylabel("ms")
    handles, labels = first.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=2)
    words = [
        f"{_name(study, row)}: imbalance {format_figure(row['imbalance'], 3)}, p50 {_ms(row['p50_s'])} ms, p99 "
        f"{_ms(row['p99_s'])} ms"
        for row in known
    ]
    more = f"; {count(left_out, 'more line')} not drawn" if left_out > 0 else ""
    reading = (
        "A point is a load; solid p50, dashed p99; the band is p50's 95 % interval. Both axes are logarithmic."
    )
    drawn_rows = [row for name, of_line in lines.items() for row in picked(of_line, DRAWN, line=name)]
    data = FigureData(("tables/moe_alltoall.csv",), DRAWN, drawn_rows)
    title, on = "Latency of the experts' all-to-all, by imbalance", basis(drawn_rows, "measured")
    return Drawing(figure, title, reading, "; ".join(words) + more, data, on)


def _lines(study: StudyTables, rows: list[Row]) -> dict[str, list[Row]]:
    """Rows of cases that differ in nothing but the load, least imbalance first, by what they have in common."""
    found: dict[str, list[Row]] = {}
    several = len({row["experiment"] for row in rows}) > 1
    for row in rows:
        values = _others(study, row)
        named = [row["experiment"], *values] if several or not values else values
        found.setdefault(", ".join(named), []).append(row)
    return {name: sorted(of_line, key=lambda row: row["imbalance"]) for name, of_line in found.items()}


def _panel(ax: Axes, lines: dict[str, list[Row]], direction: str) -> None:
    for (name, rows), colour in zip(lines.items(), SERIES, strict=False):
        shown = [row for row in rows if row["direction"] == direction]
        x = [row["imbalance"] for row in shown]
        ax.plot(x, [MS * row["p50_s"] for row in shown], "o-", color=colour, label=f"{name}: p50")
        ax.plot(x, [MS * row["p99_s"] for row in shown], "^--", color=colour, label=f"{name}: p99", markersize=4)
        for row in shown:
            ends = (row["p50_s_low"], row["p50_s_high"])
            if None not in ends:
                ax.vlines(row["imbalance"], MS * ends[0], MS * ends[1], color=colour, linewidth=5, alpha=0.28)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: format_figure(value, 3)))
    ax.grid(axis="y")


def _name(study: StudyTables, row: Row) -> str:
    """Load and direction, and in what else the case differs from others of the study."""
    several = len({case.experiment for case in _cases(study)}) > 1
    parts = [row["experiment"]] if several else []
    return ", ".join([*parts, f"{row['load']}, {row['direction']}", *_others(study, row)])


def _others(study: StudyTables, row: Row) -> list[str]:
    """The case's swept values beside its load, where the study's cases differ in them."""
    common = set.intersection(*(set(slopes.other_axes(case)) for case in _cases(study)))
    return [words for words in slopes.other_axes(study.cases[row["case_id"]]) if words not in common]


def _cases(study: StudyTables) -> list[Case]:
    return [case for case in study.cases.values() if case.workload.kind == "moe_alltoall"]


def _shape(row: Row) -> str:
    tokens = "tokens of the file" if row["tokens"] is None else count(int(row["tokens"]), "token")
    return (
        f"{tokens} a rank, top {int(row['top_k'])} of {int(row['experts'])} experts on {int(row['ranks'])} ranks, "
        f"hidden size {int(row['hidden_size'])}, {row['dtype']}, {row['dispatcher']}"
    )


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else format_figure(MS * seconds, 3)
