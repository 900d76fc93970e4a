"""The page's section on the input pipeline: samples per second by workers, against what the training needs."""

from __future__ import annotations

from functools import partial

from matplotlib.ticker import MaxNLocator

from seatrial.analysis.probes import dataload as measured
from seatrial.report.axes import WHOLE, legend_below, new_figure
from seatrial.report.case_links import case_cell
from seatrial.report.drawing import Drawing, drawn
from seatrial.report.figure_data import FigureData, basis, picked
from seatrial.report.palette import REFERENCE, SERIES
from seatrial.report.probes.checkpoint import REACHED
from seatrial.report.probes.section import ProbeSection
from seatrial.report.study_tables import Row, StudyTables
from seatrial.report.table import NUMBER, PROSE, TEXT, Cell, Table, count, ratio_words, span, table
from seatrial.units import format_figure

BAND = 0.2
"""How strongly an interval is drawn."""
DRAWN = (
    "line", "case_id", "workers", "samples_per_second", "samples_per_second_low", "samples_per_second_high",
    "interval_method", "needed_samples_per_second", "needed_basis", "reached", "measured",
)  # fmt: skip
STANDING = {"suffices": "suffices", "too_slow": "too slow", "inconclusive": "inconclusive"}
KINDS = {
    "suffices": "not_slower",
    "suffices_elsewhere": "inconclusive",
    "too_slow": "slower",
    "inconclusive": "inconclusive",
}
READING = (
    "Batches are taken as fast as they come, by all ranks at once, and nobody trains on them: it is the most that "
    "the pipeline gives. What a training needs must stay below it."
)


def section(study: StudyTables) -> ProbeSection | None:
    """None where the study has no dataload case. Raises UnreadableFile where analyse has not run."""
    if not any(case.workload.kind == "dataload" for case in study.cases.values()):
        return None
    text = ("note", "needed_basis", "interval_method", "reached", "standing")
    rows = study.probe_rows("dataload", measured.COLUMNS, text)
    figure = drawn("dataload", partial(_by_workers, study, rows))
    return ProbeSection(
        name="dataload",
        title="Input pipeline",
        short="Input pipeline",
        words=[*_words(study, rows), READING],
        figures=[figure] if figure is not None else [],
        tables=[_table(study, rows)],
    )


def _words(study: StudyTables, rows: list[Row]) -> list[str]:
    """What suffices, and what was no reading of storage."""
    said = []
    for label, line in _lines(study, rows).items():
        judged = [row for row in line if row["standing"] is not None]
        if not judged:
            continue
        need = f"{format_figure(judged[0]['needed_samples_per_second'])} samples/s ({judged[0]['needed_basis']})"
        least = judged[0]["workers_needed"]
        elsewhere = [row for row in judged if row["standing"] == "suffices_elsewhere"]
        if least is not None:
            said.append(f"{label}: {count(int(least), 'worker')} of each rank give the {need} that are needed.")
        elif elsewhere:
            workers = count(int(elsewhere[0]["workers"]), "worker")
            how = measured.SUFFICES_ELSEWHERE[elsewhere[0]["reached"]]
            said.append(f"{label}: {need} are needed; {workers} of each rank: {how}.")
        else:
            most = max(row["samples_per_second"] for row in judged)
            said.append(f"{label}: {need} are needed, and {format_figure(most)} is the most that was reached.")
    others = [row for row in rows if row["reached"] not in (None, "storage")]
    if others:
        places = ", ".join(dict.fromkeys(REACHED[row["reached"]] for row in others))
        said.append(f"No figure of storage in {count(len(others), 'row')}: the bytes came from {places}.")
    return said


def _lines(study: StudyTables, rows: list[Row]) -> dict[str, list[Row]]:
    """Rows that differ in nothing but their workers, fewest first, under a name of what else was swept."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        axes = study.cases[row["case_id"]].axes
        named = [f"{name.rpartition('.')[2]} {value}" for name, value in axes.items() if name != "workload.workers"]
        found.setdefault(", ".join([row["experiment"], *named]), []).append(row)
    return {label: sorted(line, key=lambda row: row["workers"]) for label, line in found.items()}


def _by_workers(study: StudyTables, rows: list[Row]) -> Drawing | None:
    """Samples per second against workers, a line for what else differs, the need as a dashed line."""
    known = [row for row in rows if row["samples_per_second"] is not None]
    if len({row["workers"] for row in known}) < 2:
        return None
    figure, ax = new_figure(3.4, WHOLE)
    lines = _lines(study, known)
    for place, (label, line) in enumerate(lines.items()):
        colour, x = SERIES[place % len(SERIES)], [row["workers"] for row in line]
        ax.plot(x, [row["samples_per_second"] for row in line], "o-", color=colour, label=label)
        low = [row["samples_per_second_low"] or row["samples_per_second"] for row in line]
        high = [row["samples_per_second_high"] or row["samples_per_second"] for row in line]
        ax.fill_between(x, low, high, color=colour, alpha=BAND, linewidth=0)
    needs = sorted({row["needed_samples_per_second"] for row in known} - {None})
    for need in needs:
        ax.axhline(need, color=REFERENCE, linestyle="--", linewidth=1.3)
        ax.annotate(
            f"needed: {format_figure(need)}", (1, need), (-2, 3), ("axes fraction", "data"), "offset points",
            ha="right", color=REFERENCE,
        )  # fmt: skip
    ax.set(xlabel="worker processes of each rank", ylabel="samples/s of all ranks")
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(axis="y")
    legend_below(ax)
    caption = "; ".join(
        f"{label}: " + ", ".join(f"{format_figure(r['samples_per_second'])} at {int(r['workers'])}" for r in line)
        for label, line in lines.items()
    ) + "".join(f"; {format_figure(need)} needed" for need in needs)
    reading = "A point is the median, the band its interval, the dashed line what the training needs."
    drawn_rows = [row for label, line in lines.items() for row in picked(line, DRAWN, line=label)]
    data = FigureData(("tables/dataload.csv",), DRAWN, drawn_rows)
    return Drawing(figure, "Samples per second by workers", reading, caption, data, basis(known, "measured"))


def _table(study: StudyTables, rows: list[Row]) -> Table:
    columns = [
        ("Pipeline", TEXT),
        ("Workers", NUMBER),
        ("Samples/s", NUMBER),
        ("GB/s", NUMBER),
        ("First batch", NUMBER),
        ("Needed over given", NUMBER),
        ("Bytes came from", TEXT),
        ("Note", PROSE),
    ]
    caption = (
        "Samples of all ranks over the slowest rank's time; medians over repeats. Every sample is accounted for; "
        "those of the last batch are compared with what was stored"
    )
    cells = [_cells(study, row) for line in _lines(study, rows).values() for row in line]
    return table("dataload", caption, columns, cells, "tables/dataload.csv")


def _cells(study: StudyTables, row: Row) -> list[Cell]:
    layout = f"{row['source']}, batch {int(row['batch_size'])}, {count(int(row['ranks']), 'rank')}"
    head = [case_cell(study, row["case_id"], layout), Cell(f"{int(row['workers'])}")]
    if row["samples_per_second"] is None:
        return [*head, *[Cell("-")] * 5, Cell(row["note"] or "")]
    interval = span(row["samples_per_second_low"], row["samples_per_second_high"])
    need, standing = row["needed_samples_per_second"], row["standing"]
    share = row["fetched_share"]
    fetched = "" if share is None else f"{format_figure(100 * share, 3)} % of the bytes fetched"
    return [
        *head,
        Cell(
            format_figure(row["samples_per_second"]), f"{interval} ({row['interval_method']})" if interval else ""
        ),
        Cell(format_figure(row["gbps"], 3)),
        Cell(f"{format_figure(row['first_batch_seconds'], 3)} s"),
        Cell(
            ratio_words(row["needed_over_sustained"]),
            f"{_standing_words(row)}, of {format_figure(need)}" if standing else row["needed_basis"],
            KINDS.get(standing or "", ""),
        ),
        Cell(REACHED[row["reached"]], fetched),
        Cell(row["note"] or ""),
    ]


def _standing_words(row: Row) -> str:
    return STANDING.get(row["standing"]) or measured.SUFFICES_ELSEWHERE[row["reached"]]
