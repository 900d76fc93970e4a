"""The page's section on step time: what a training's time is spent on, how much of the peak it uses, its energy."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from seatrial.analysis.step_time import PARTS
from seatrial.report.axes import WHOLE, rows_figure, values_at_right
from seatrial.report.case_links import case_cell
from seatrial.report.drawing import Drawing
from seatrial.report.figure_data import FigureData, basis, picked
from seatrial.report.palette import REFERENCE, SERIES
from seatrial.report.study_tables import Row, StudyTables, case_label
from seatrial.report.table import MULTIPLY, NUMBER, TEXT, Cell, Table, count, ratio_words, table
from seatrial.units import format_figure

MOST_ROWS = 40
NAMES = {
    "compute": "compute",
    "communication": "exposed communication",
    "data_wait": "data wait",
    "checkpoint_stall": "checkpoint stall",
    "other": "other",
}
COLOURS = dict(zip(PARTS, (*SERIES[:4], REFERENCE), strict=True))
SMALLEST_SHARE = 1e-4
FILE = "tables/step_time.csv"


def step_time_table(study: StudyTables) -> Table:
    """Shares of the run by what they were spent on, a row per training case."""
    columns = [("Training", TEXT), *((NAMES[part].capitalize(), NUMBER) for part in PARTS)]
    columns.append(("Productive fraction", NUMBER))
    caption = (
        "Shares of all steps and of the checkpoints that the training stood still for, the mean over ranks; "
        "medians over completed repeats. The productive fraction is compute's share from pause to pause"
    )
    return table("step-time", caption, columns, [_split_cells(study, row) for row in study.step_time], FILE)


def _split_cells(study: StudyTables, row: Row) -> list[Cell]:
    split = row["compute_share"] is not None
    measured = f"{row['measured']} of {count(row['repeats'], 'repeat')}" if split else row["split_note"]
    cells = [case_cell(study, row["case_id"], measured or "")]
    for part in PARTS:
        value = row[f"{part}_share"]
        under = ""
        if part == "checkpoint_stall" and value is None and split:
            under = "no checkpoints"
        if part == "communication":
            under = _about_communication(study, row, split)
        cells.append(Cell(share_words(value), under))
    interval = share_span(row["productive_low"], row["productive_high"])
    productive = row["productive_fraction"]
    return [*cells, Cell(share_words(productive), interval and f"{interval} ({row['interval_method']})")]


def _about_communication(study: StudyTables, row: Row, split: bool) -> str:
    """What exposed communication does not tell: on accelerators only a profile sees what is hidden in a step."""
    if row["profiled_exposed_share"] is not None:
        return f"{share_words(row['profiled_exposed_share'])} by profile"
    if not split:
        return ""
    if study.cases[row["case_id"]].target.device != "cpu" and row["ranks"] > 1:
        return "not profiled"
    return "one rank" if row["ranks"] == 1 else ""


def utilisation_table(study: StudyTables) -> Table:
    """Use of the peak, stragglers, energy and power, a row per training case."""
    columns = [
        ("Training", TEXT),
        ("MFU", TEXT),
        ("HFU", NUMBER),
        ("Model FLOPs", NUMBER),
        ("Slowest rank", NUMBER),
        ("Energy of a run", NUMBER),
        ("Power", NUMBER),
    ]
    caption = (
        "Use of the peak (model and hardware FLOPs utilisation), the slowest rank's own step time over the median "
        "rank's, and energy while the training clock ran; medians over completed repeats"
    )
    return table("utilisation", caption, columns, [_use_cells(study, row) for row in study.step_time], FILE)


def _use_cells(study: StudyTables, row: Row) -> list[Cell]:
    where = f"{row['target']}, {count(row['ranks'], 'rank')}"
    cpu = study.cases[row["case_id"]].target.device == "cpu"
    rate = row["model_tflops_per_second"]
    return [
        case_cell(study, row["case_id"], where),
        Cell(share_words(row["mfu"]), row["utilisation_note"] or ""),
        Cell(share_words(row["hfu"])),
        Cell(f"{format_figure(rate, 3)} TFLOP/s" if rate is not None else "-", _each(cpu) if rate else ""),
        _slowest(row),
        _energy(row),
        _power(row),
    ]


def _each(cpu: bool) -> str:
    return "each rank" if cpu else "each accelerator"


def _slowest(row: Row) -> Cell:
    if row["slowest_over_median"] is None:
        return Cell("-", "one rank" if row["ranks"] == 1 else "not measured")
    which = row["slowest_rank"]
    rank = "not always the same" if which is None else f"rank {int(which)}"
    return Cell(f"{ratio_words(row['slowest_over_median'])} {MULTIPLY}", rank)


def _energy(row: Row) -> Cell:
    """Accelerators first; processors are the whole host's, and never added to them."""
    if row["accelerator_joules"] is not None:
        processors = "" if row["cpu_joules"] is None else f", {energy_words(row['cpu_joules'])} of processors"
        return Cell(energy_words(row["accelerator_joules"]), f"all accelerators{processors}")
    if row["cpu_joules"] is not None:
        return Cell(energy_words(row["cpu_joules"]), "processors of all hosts")
    return Cell("-", row["energy_note"] or "")


def _power(row: Row) -> Cell:
    if row["accelerator_watts"] is not None:
        return Cell(f"{format_figure(row['accelerator_watts'], 3)} W", "each accelerator")
    if row["cpu_watts"] is not None:
        return Cell(f"{format_figure(row['cpu_watts'], 3)} W", "processors of a host")
    return Cell("-", row["energy_note"] or "no sensor answered")


def energy_words(joules: float) -> str:
    """Joules in the unit that keeps them short: 950 J, 12.3 kJ, 4.56 MJ."""
    for size, unit in ((1e9, "GJ"), (1e6, "MJ"), (1e3, "kJ")):
        if joules >= size:
            return f"{format_figure(joules / size, 3)} {unit}"
    return f"{format_figure(joules, 3)} J"


def share_words(share: float | None) -> str:
    """A share in percent; '-' for one that was not measured."""
    if share is None or share != share:
        return "-"
    if 0 < share < SMALLEST_SHARE:
        return f"under {format_figure(100 * SMALLEST_SHARE)} %"
    return f"{format_figure(100 * share, 3)} %"


def share_span(low: float | None, high: float | None) -> str:
    """'63.5 to 69.2 %', or nothing where there is no interval."""
    if low is None or high is None:
        return ""
    return f"{format_figure(100 * low, 3)} to {format_figure(100 * high, 3)} %"


def step_time(study: StudyTables) -> Drawing | None:
    """What each case's time was spent on, as parts of a bar."""
    rows = [row for row in study.step_time if row["compute_share"] is not None][:MOST_ROWS]
    if not rows:
        return None
    labels = [case_label(study.cases[row["case_id"]]) for row in rows]
    figure, ax = rows_figure(len(rows), labels, WHOLE)
    left = [0.0] * len(rows)
    for part in PARTS:
        values = [row[f"{part}_share"] for row in rows]
        if all(value is None for value in values):
            continue
        widths = [value or 0.0 for value in values]  # a bar without this part: the table says why
        ax.barh(range(len(rows)), widths, 0.55, left, color=COLOURS[part], label=NAMES[part])
        left = [start + width for start, width in zip(left, widths, strict=True)]
    words = [_productive(row) for row in rows]
    values_at_right(ax, words)
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set(xlabel="share of the time of steps and checkpoints", ylabel="")
    _legend(figure)
    caption = "; ".join(
        f"{label}: "
        + ", ".join(f"{NAMES[p]} {share_words(row[f'{p}_share'])}" for p in PARTS if _has(row, p))
        + f", {_productive(row)}".replace("\n", " ")
        for label, row in zip(labels, rows, strict=True)
    )
    reading = "All of a run's time on the training clock and of its checkpoints; evaluations are not in it."
    shares = tuple(f"{part}_share" for part in PARTS)
    productive = ("productive_fraction", "productive_low", "productive_high", "interval_method")
    columns = ("case_id", "label", *shares, *productive, "repeats", "measured")
    drawn_rows = [picked([row], columns, label=label)[0] for row, label in zip(rows, labels, strict=True)]
    data = FigureData((FILE,), columns, drawn_rows)
    return Drawing(figure, "Where the step time goes", reading, caption, data, basis(rows, "measured"))


def _productive(row: Row) -> str:
    said = f"productive {share_words(row['productive_fraction'])}"
    interval = share_span(row["productive_low"], row["productive_high"])
    return f"{said}\n({interval})" if interval else said


def _has(row: Row, part: str) -> bool:
    return row[f"{part}_share"] is not None


def _legend(figure: Figure) -> None:
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=len(labels))
