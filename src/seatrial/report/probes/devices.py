"""The page's section on devices: products against the peak, and every device beside its fleet."""

from __future__ import annotations

from functools import partial

from seatrial.analysis.probes import devices as measured
from seatrial.analysis.probes import gemm
from seatrial.analysis.probes.devices import ROBUST_Z, SLOWER_BY
from seatrial.report.axes import WHOLE, reference_line, rows_figure, values_at_right
from seatrial.report.case_links import case_cell
from seatrial.report.drawing import Drawing, drawn
from seatrial.report.figure_data import FigureData, basis, picked
from seatrial.report.palette import SERIES, SLOWER
from seatrial.report.probes.section import ProbeSection
from seatrial.report.step_time import share_words
from seatrial.report.study_tables import Row, StudyTables, case_label
from seatrial.report.table import MULTIPLY, NUMBER, PROSE, TEXT, Cell, Table, count, span, table
from seatrial.units import format_figure

MOST_FLEETS, MOST_NAMED, MOST_SHAPES = 30, 6, 20
DRAWN = (
    "case_id", "experiment", "metric", "work", "host", "place", "device", "value", "unit", "fleet_median", "ratio",
    "slow", "measured",
)  # fmt: skip
METRIC_WORDS = {
    "gemm.throughput": "burst",
    "gemm.best_throughput": "best shape",
    "gemm.sustained_throughput": "held",
    "memory.bandwidth": "memory",
    "memory.cached_bandwidth": "memory, perhaps its caches",
    "memory.unproven_bandwidth": "memory, unless its caches",
    "memory.host_bandwidth": "to and from the host",
}
RULE = (
    f"A device is called slow where it lies more than {100 * SLOWER_BY.value:g} % below the median of the devices "
    f"that did the same work, and more than {ROBUST_Z.value:g} robust standard deviations. {SLOWER_BY.source}."
)


def section(study: StudyTables) -> ProbeSection | None:
    """None where the study measures no devices. Raises UnreadableFile where analyse has not run."""
    kinds = {case.workload.kind for case in study.cases.values()}
    if not kinds & {"gemm", "memory"}:
        return None
    products: list[Row] = []
    shapes: list[Row] = []
    if "gemm" in kinds:
        products = study.probe_rows("gemm", gemm.COLUMNS, ("peak_basis", "achievable_basis", "note"))
        shapes = study.probe_rows("gemm_shapes", gemm.SHAPE_COLUMNS, ())
    rows = study.probe_rows("devices", measured.COLUMNS, ("work", "host", "device", "note"))
    fleets = [fleet for fleet in _fleets(rows) if len(fleet) > 1]
    if not products and not fleets:
        return None
    figure = drawn("devices", partial(_dots, study, fleets))
    return ProbeSection(
        name="devices",
        title="Devices",
        short="Devices",
        words=_words(fleets),
        figures=[figure] if figure is not None else [],
        tables=[_product_table(study, products)] if products else [],
        details=[
            *([("Every device", _device_table(study, rows))] if fleets else []),
            *([("Fastest shapes of each search", _shape_table(study, shapes))] if shapes else []),
        ],
    )


def _fleets(rows: list[Row]) -> list[list[Row]]:
    """Rows of devices that did the same work in the same case."""
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["case_id"], row["metric"], row["work"]), []).append(row)
    return list(found.values())


def _words(fleets: list[list[Row]]) -> list[str]:
    """The slow devices first, then the rule."""
    if not fleets:
        return ["One device alone has no fleet to be slow in."]
    slow: dict[str, list[Row]] = {}
    for row in (row for fleet in fleets for row in fleet if row["slow"]):
        slow.setdefault(f"{row['host']}, device {int(row['place'])}", []).append(row)
    said = []
    for name, rows in list(slow.items())[:MOST_NAMED]:
        worst = min(rows, key=lambda row: row["ratio"])
        said.append(
            f"Slow: {name} ({worst['device']}), at {share_words(worst['ratio'])} of its fleet's median in "
            f"{_work(worst)}" + (f" and slow in {count(len(rows) - 1, 'more piece')} of work." if rows[1:] else ".")
        )
    if len(slow) > MOST_NAMED:
        said.append(f"{count(len(slow) - MOST_NAMED, 'more slow device')}: in the table.")
    judged = [fleet for fleet in fleets if fleet[0]["slow"] is not None]
    if not slow and judged:
        said.append("No device is slow beside its fleet.")
    if len(judged) < len(fleets):
        said.append(f"Fewer than {measured.LEAST_DEVICES} devices tell no slow one.")
    return [*said, RULE]


def _work(row: Row) -> str:
    return f"{row['work'].replace(' x ', f' {MULTIPLY} ')}, {METRIC_WORDS[row['metric']]}"


def _dots(study: StudyTables, fleets: list[list[Row]]) -> Drawing | None:
    """Each device over its fleet's median, a row of dots for each fleet."""
    shown = fleets[:MOST_FLEETS]
    if not shown:
        return None
    several = len({fleet[0]["experiment"] for fleet in shown}) > 1
    labels = [f"{fleet[0]['experiment']}: {_work(fleet[0])}" if several else _work(fleet[0]) for fleet in shown]
    figure, ax = rows_figure(len(shown), labels, WHOLE)
    # all dots of a kind at once: an artist for each takes a hundred times as long
    for slow, colour, mark in ((False, SERIES[0], "o"), (True, SLOWER, "D")):
        dots = [(row["ratio"], at) for at, fleet in enumerate(shown) for row in fleet if bool(row["slow"]) is slow]
        ratios, places = [ratio for ratio, _ in dots], [place for _, place in dots]
        ax.plot(ratios, places, mark, color=colour, alpha=0.8, markersize=5, zorder=3 if slow else 2)
    reference_line(ax, 1.0, "median", "-")
    reference_line(ax, 1 - SLOWER_BY.value, f"{-100 * SLOWER_BY.value:g} %", "--")
    ax.set_xlabel("device over the median of its fleet")
    words = [f"{format_figure(fleet[0]['fleet_median'], 3)} {fleet[0]['unit']}" for fleet in shown]
    values_at_right(ax, words)
    more = len(fleets) - len(shown)
    caption = "; ".join(
        f"{label}: {count(len(fleet), 'device')}, {format_figure(min(row['ratio'] for row in fleet), 3)} to "
        f"{format_figure(max(row['ratio'] for row in fleet), 3)} of {words[place]}"
        for place, (label, fleet) in enumerate(zip(labels, shown, strict=True))
    ) + (f"; {count(more, 'more fleet')} not drawn" if more > 0 else "")
    reading = "A dot is a device, the median over repeats; a red diamond is a slow one. At the right the median."
    drawn_rows = [row for fleet in shown for row in picked(fleet, DRAWN)]
    data = FigureData(("tables/devices.csv",), DRAWN, drawn_rows)
    return Drawing(figure, "Devices beside their fleets", reading, caption, data, basis(drawn_rows, "measured"))


def _product_table(study: StudyTables, rows: list[Row]) -> Table:
    columns = [
        ("Product", TEXT),
        ("Burst, TFLOP/s", NUMBER),
        ("Slowest device", NUMBER),
        ("Held, TFLOP/s", NUMBER),
        ("Of the peak", NUMBER),
        ("Of what was published", NUMBER),
        ("Note", PROSE),
    ]
    caption = (
        "Matrix products of normally distributed numbers; medians over devices and repeats. Held: without a pause, "
        "for as long as the case says. Published: the best that others reached on this accelerator"
    )
    return table("products", caption, columns, [_product_cells(study, row) for row in rows], "tables/gemm.csv")


def _product_cells(study: StudyTables, row: Row) -> list[Cell]:
    head = case_cell(study, row["case_id"], _shape(row))
    if row["burst_tflops"] is None:
        return [head, *[Cell("-")] * 5, Cell(row["note"] or "")]
    held = row["sustained_tflops"]
    return [
        head,
        Cell(format_figure(row["burst_tflops"], 3), span(row["burst_tflops_low"], row["burst_tflops_high"])),
        Cell(format_figure(row["slowest_device_tflops"], 3), f"of {count(int(row['devices']), 'device')}"),
        Cell(
            format_figure(held, 3) if held is not None else "-",
            f"{share_words(row['sustained_over_burst'])} of the burst" if held is not None else "not asked for",
        ),
        Cell(share_words(row["fraction_of_peak"]), row["peak_basis"] or "none stated"),
        Cell(share_words(row["fraction_of_achievable"]), row["achievable_basis"] or "none stated"),
        Cell(row["note"] or ""),
    ]


def _shape(row: Row) -> str:
    """The best shape of a search; nothing of a single shape, which the label names."""
    if row["shapes"] == 1 or row["m"] is None:
        return ""
    return MULTIPLY.join(f" {int(row[name])} " for name in ("m", "n", "k")).strip()


def _shape_table(study: StudyTables, rows: list[Row]) -> Table:
    """The fastest shapes of each search; the file has all."""
    columns = [
        ("Shape", TEXT),
        ("First pass, TFLOP/s", NUMBER),
        ("Of the fastest", NUMBER),
        ("Again, TFLOP/s", NUMBER),
        ("Best in", NUMBER),
    ]
    by_case: dict[str, list[Row]] = {}
    for row in rows:
        by_case.setdefault(row["case_id"], []).append(row)
    cells = [
        [
            Cell(
                MULTIPLY.join(f" {int(row[name])} " for name in gemm.SHAPE).strip(),
                case_label(study.cases[case_id]),
            ),
            Cell(format_figure(row["coarse_tflops"], 3)),
            Cell(share_words(row["fraction_of_fastest"])),
            Cell(format_figure(row["fine_tflops"], 3)),
            Cell(count(int(row["best_in"]), "repeat") if row["best_in"] else "-"),
        ]
        for case_id, of_case in by_case.items()
        for row in of_case[:MOST_SHAPES]
    ]
    caption = f"The {MOST_SHAPES} fastest of each search, medians over devices and repeats"
    return table("shapes", caption, columns, cells, "tables/gemm_shapes.csv")


def _device_table(study: StudyTables, rows: list[Row]) -> Table:
    columns = [
        ("Device", TEXT),
        ("Work", TEXT),
        ("Median", NUMBER),
        ("Over its fleet's", NUMBER),
        ("Robust z", NUMBER),
        ("Slow", TEXT),
    ]
    caption = "Every device beside the devices that did the same work; slowest first within each fleet"
    cells = [
        [
            Cell(f"{row['host']}, device {int(row['place'])}", str(row["device"])),
            Cell(_work(row), case_label(study.cases[row["case_id"]])),
            Cell(format_figure(row["value"], 3), row["unit"]),
            Cell(share_words(row["ratio"]), f"of {format_figure(row['fleet_median'], 3)}"),
            Cell(format_figure(row["robust_z"], 3)),
            Cell(_slow_words(row), row["note"] or "", "slower" if row["slow"] else ""),
        ]
        for fleet in _fleets(rows)
        for row in sorted(fleet, key=lambda row: row["ratio"])
    ]
    return table("devices", caption, columns, cells, "tables/devices.csv")


def _slow_words(row: Row) -> str:
    if row["slow"] is None:
        return "not told"
    return "slow" if row["slow"] else "no"
