"""The page's section on checkpoints: how fast they reach storage, and what that means for a training."""

from __future__ import annotations

from functools import partial

from seatrial.analysis.checkpointing import HOUR
from seatrial.analysis.probes import checkpoint as measured
from seatrial.analysis.probes import checkpoint_interval as reckoned
from seatrial.config.probe import Checkpoint
from seatrial.report.axes import WHOLE, reference_line, rows_figure, values_at_right
from seatrial.report.case_links import case_cell
from seatrial.report.drawing import Drawing, drawn
from seatrial.report.figure_data import FigureData, basis, picked
from seatrial.report.palette import INCONCLUSIVE, REFERENCE, SERIES, SLOWER
from seatrial.report.probes.section import ProbeSection
from seatrial.report.step_time import share_span, share_words
from seatrial.report.study_tables import Row, StudyTables, case_label
from seatrial.report.table import NUMBER, PROSE, TEXT, Cell, Table, count, span, table
from seatrial.units import GB, TERA, format_figure, format_minutes

REACHED = {
    "storage": "storage",
    "page_cache": "page cache only",
    "memory_file_system": "memory",
    "unknown": "not known",
}
COLOURS = {"storage": SERIES[0], "page_cache": INCONCLUSIVE, "memory_file_system": SLOWER, "unknown": REFERENCE}
STANDING = {"within": "within {}", "beyond": "beyond {}", "inconclusive": "not told apart from {}"}
UNHELD = "not held against {}"
MOST_ROWS = 40
CLIP = 2.0
FILES = "tables/checkpoint"
DRAWN = (
    "label", "case_id", "direction", "gbps", "gbps_low", "gbps_high", "interval_method", "ceiling_gbps", "reached",
    "measured",
)  # fmt: skip
NOT_SEEN = (
    "What a write or read reached is what this machine's counters of the device or mount saw of its bytes. A cache "
    "behind the device (of a host below a virtual disk, of a controller, of a server) is beyond what they can see."
)
PROOF = (
    "No counter that an ordinary process may read tells the bytes of WEKA, GPFS, BeeGFS, Ceph or FUSE; those of "
    "Lustre's clients (osc statistics) are root's. What would prove such a figure: a run as root on Lustre, where "
    "the probe reads them, or the file system's own client counters from before and after, which it does not read. "
    "With read_from: next_node nodes read what others wrote, which no cache of their own can hold: such a read "
    "keeps its name here, but is no copy in the reader's memory."
)
RECKONED = (
    "The interval between checkpoints that loses least is reckoned after Young and after Daly from the time of one "
    "checkpoint, all of which is taken to hold up the training; what is written beside a training holds it up less."
)


def section(study: StudyTables) -> ProbeSection | None:
    """None where the study has no checkpoint case. Raises UnreadableFile where analyse has not run."""
    if not any(case.workload.kind == "checkpoint" for case in study.cases.values()):
        return None
    rows = study.probe_rows("checkpoint", measured.COLUMNS, ("note", "place", "file_system", "ceiling_basis"))
    intervals = study.probe_rows("checkpoint_interval", reckoned.COLUMNS, ("note", "model", "failure_source"))
    figure = drawn("checkpoint", partial(_bandwidths, study, rows))
    return ProbeSection(
        name="checkpoint",
        title="Checkpoints",
        short="Checkpoints",
        words=[*_words(rows), NOT_SEEN, RECKONED],
        figures=[figure] if figure is not None else [],
        tables=[_bandwidth_table(study, rows), _interval_table(study, intervals)],
    )


def _words(rows: list[Row]) -> list[str]:
    """What of it was no storage, first."""
    found = []
    for reached in ("page_cache", "memory_file_system", "unknown"):
        of_kind = [row for row in rows if row["reached"] == reached]
        if of_kind:
            what = count(len(of_kind), "row")
            found.append(f"No figure of storage: {what} with {REACHED[reached]} as what was reached.")
            if reached == "unknown":
                found.append(PROOF)
    return found


def _bandwidth_table(study: StudyTables, rows: list[Row]) -> Table:
    columns = [
        ("Checkpoint", TEXT),
        ("Reached", TEXT),
        ("GB/s", NUMBER),
        ("Seconds", NUMBER),
        ("Slowest rank, GB/s", NUMBER),
        ("Of the ceiling", NUMBER),
        ("What the counters say", PROSE),
    ]
    caption = (
        "All ranks' bytes over the slowest rank's time; medians over repeats. Bytes go from and to host memory, "
        "and what is read is compared with what was written"
    )
    cells = [_bandwidth_cells(study, row) for row in rows]
    return table("checkpoint", caption, columns, cells, f"{FILES}.csv")


def _bandwidth_cells(study: StudyTables, row: Row) -> list[Cell]:
    layout = f"{_size(row['checkpoint_bytes'])}, {row['format']}, {count(int(row['ranks']), 'rank')}"
    label = f"{case_label(study.cases[row['case_id']])}, {row['direction']}"
    head = case_cell(study, row["case_id"], layout, label)
    if row["reached"] is None:
        return [head, *[Cell("-")] * 5, Cell(row["note"] or "")]
    interval = span(row["gbps_low"], row["gbps_high"])
    if interval and row["measured"] == 1:
        interval += ", of its iterations"
    slowest, fastest = row["slowest_rank_gbps"], row["fastest_rank_gbps"]
    return [
        head,
        Cell(REACHED[row["reached"]], row["file_system"] or ""),
        Cell(format_figure(row["gbps"], 3), interval),
        Cell(format_figure(row["seconds"], 3)),
        Cell(format_figure(slowest, 3), f"fastest {format_figure(fastest, 3)}" if fastest is not None else ""),
        Cell(share_words(row["fraction_of_ceiling"]), row["ceiling_basis"] or "none declared"),
        Cell(row["note"] or ""),
    ]


def _interval_table(study: StudyTables, rows: list[Row]) -> Table:
    columns = [
        ("Model", TEXT),
        ("One checkpoint", NUMBER),
        ("Interval", NUMBER),
        ("Standing still", NUMBER),
        ("Lost in all", NUMBER),
        ("GB/s required", NUMBER),
        ("Note", PROSE),
    ]
    sources = dict.fromkeys(row["failure_source"] for row in rows if row["failure_source"])
    schedules = [case.workload.schedule for case in study.cases.values() if isinstance(case.workload, Checkpoint)]
    bounds = dict.fromkeys(bound.source for each in schedules for bound in (each.extrapolation, each.scale))
    caption = (
        "Standing still: time of a checkpoint over the interval. Lost in all: the same, what a failure makes do "
        "again, and of a restart the reading of the checkpoint alone. Required: for the overhead that is allowed. "
        f"Failures: {'; '.join(sources) or 'not known'}. Bounds of extrapolation: {'; '.join(bounds)}"
    )
    return table(
        "checkpoint-interval",
        caption,
        columns,
        [_interval_cells(study, row) for row in rows],
        f"{FILES}_interval.csv",
    )


def _interval_cells(study: StudyTables, row: Row) -> list[Cell]:
    where = "stall of a training" if row["checkpoint_bytes"] is None else _size(row["checkpoint_bytes"])
    extrapolated = ", extrapolated" if row["extrapolated"] else ""
    head = Cell(row["model"], f"{where}{extrapolated}; {case_label(study.cases[row['case_id']])}")
    note = Cell("; ".join(words for words in (_standing(row), row["note"], _failures(row)) if words))
    if row["seconds"] is None:
        return [head, *[Cell("-")] * 5, note]
    required = row["required_gbps"]
    one = Cell(_seconds(row["seconds"]), _between(row))
    measured_words = f"measured {format_figure(row['write_gbps'], 3)}" if row["write_gbps"] is not None else ""
    needed = Cell(format_figure(required, 3), measured_words if required is not None else "")
    if row["interval_seconds"] is None:
        return [head, one, *[Cell("-")] * 3, needed, note]
    return [
        head,
        one,
        Cell(
            _seconds(row["interval_seconds"]),
            f"{row['interval_basis']}; Daly {_seconds(row['daly_seconds'])}",
        ),
        Cell(share_words(row["blocking_share"]), share_span(row["blocking_share_low"], row["blocking_share_high"])),
        Cell(share_words(row["waste"]), share_span(row["waste_low"], row["waste_high"])),
        needed,
        note,
    ]


def _standing(row: Row) -> str:
    """How the time that a training stands still is to the overhead that is allowed; nothing where there is none."""
    if row["interval_seconds"] is None:
        return ""
    words = UNHELD if row["standing"] is None else STANDING[row["standing"]]
    return words.format(share_words(row["overhead"]))


def _failures(row: Row) -> str:
    """How often the job fails that the figures are of."""
    if row["hours_between_failures"] is None:
        return ""
    accelerators = int(row["accelerators"])
    who = f"{accelerators:,} {'accelerator' if accelerators == 1 else 'accelerators'} ({row['accelerators_basis']})"
    return f"{format_figure(row['hours_between_failures'], 3)} h between failures of {who}"


def _bandwidths(study: StudyTables, rows: list[Row]) -> Drawing | None:
    """GB/s of each row with its interval, coloured by what was reached, the declared rate as a line."""
    shown = [row for row in rows if row["gbps"] is not None][:MOST_ROWS]
    if not shown:
        return None
    labels = [f"{case_label(study.cases[row['case_id']])}, {row['direction']}" for row in shown]
    figure, ax = rows_figure(len(shown), labels, WHOLE)
    for place, row in enumerate(shown):
        colour = COLOURS[row["reached"]]
        if row["gbps_low"] is not None and row["gbps_high"] is not None:
            ax.hlines(place, row["gbps_low"], row["gbps_high"], color=colour, linewidth=2)
        ax.plot(row["gbps"], place, "o" if row["reached"] == "storage" else "D", color=colour)
    ceilings = {row["ceiling_gbps"] for row in shown if row["ceiling_gbps"] is not None}
    for value in sorted(ceilings):
        reference_line(ax, value, f"declared {format_figure(value, 3)}", "--")
    ax.set_xlim(0, _right_end(shown))
    ax.set_xlabel("GB/s")
    words = [f"{format_figure(row['gbps'], 3)} {REACHED[row['reached']]}" for row in shown]
    values_at_right(ax, words)
    caption = "; ".join(f"{label}: {said}" for label, said in zip(labels, words, strict=True))
    reading = (
        "A point is the median, the bar its interval; one that runs off the edge ends where the table says. "
        "Diamonds reached no storage that was seen."
    )
    drawn_rows = [picked([row], DRAWN, label=label)[0] for row, label in zip(shown, labels, strict=True)]
    data = FigureData((f"{FILES}.csv",), DRAWN, drawn_rows)
    return Drawing(figure, "Checkpoints, GB/s of all ranks", reading, caption, data, basis(shown, "measured"))


def _right_end(shown: list[Row]) -> float:
    """Room for all points and ceilings, and for intervals that are not out of all proportion."""
    points = [row["gbps"] for row in shown] + [row["ceiling_gbps"] for row in shown if row["ceiling_gbps"]]
    widest = max(points)
    ends = [row["gbps_high"] for row in shown if row["gbps_high"] is not None]
    return 1.06 * max([widest, *(end for end in ends if end <= CLIP * widest)])


def _between(row: Row) -> str:
    """The interval of one checkpoint's time."""
    low, high = row["seconds_low"], row["seconds_high"]
    return "" if low is None or high is None else f"{_seconds(low)} to {_seconds(high)}"


def _seconds(seconds: float) -> str:
    return f"{format_figure(seconds, 3)} s" if seconds < HOUR / 30 else format_minutes(seconds / 60)


def _size(size: float) -> str:
    return f"{format_figure(size / TERA, 3)} TB" if size >= TERA else f"{format_figure(size / GB, 3)} GB"
