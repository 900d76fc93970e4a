"""The page's section on collectives: bandwidth by size with its ceiling, latency and bandwidth behind it."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from seatrial.analysis.probes.collective import COLUMNS, FIT_COLUMNS
from seatrial.report.drawing import drawn
from seatrial.report.probes.collective_figures import bandwidth_figure, shown_lines, time_figure
from seatrial.report.probes.collective_unchecked import unchecked_details, unchecked_words
from seatrial.report.probes.section import ProbeSection
from seatrial.report.step_time import share_words
from seatrial.report.study_tables import Row, StudyTables
from seatrial.report.table import NUMBER, PROSE, TEXT, Cell, Table, count, span, table
from seatrial.units import format_bytes, format_figure

KINDS = ("collective", "nccl_tests_logs")
MOST_EXPLAINED = 6
DEFINITIONS = (
    "Bandwidths as nccl-tests defines them: bus bandwidth is size over time, times the operation's factor, so "
    "that operations and numbers of ranks compare."
)
MEASURED = (
    "Where Seatrial measured, an iteration takes as long as its slowest rank, and its result is checked (of a "
    "large message on a CPU at places drawn at random, and whole in the warm-up and once more at the end)."
)
CUT_SHORT = (
    "does not fit into memory at a larger size, and its repeat counts as failed: "
    "what stands here was measured before it"
)
NOTHING = "No repeat measured a size: why is in the table of repeats."
OF_LOGS = "Logs of nccl-tests were not run here: their times are over ranks as they say."
CHECKED = "All results of these runs that stand here were checked."
ALLOWED = "Not checked, but allowed by the study: "


def section(study: StudyTables) -> ProbeSection | None:
    """None where the study has no collective. Raises UnreadableFile where analyse has not run."""
    kinds = {case.workload.kind for case in study.cases.values()}
    if not kinds & set(KINDS):
        return None
    rows = study.probe_rows("collective", COLUMNS, ("line", "note", "ceiling_basis", "ablation"))
    fits = study.probe_rows("collective_fit", FIT_COLUMNS, ("line", "flag", "half_bandwidth_note", "ablation"))
    figures = [
        drawn("collective_bandwidth", partial(bandwidth_figure, rows)),
        drawn("collective_time", partial(time_figure, rows, fits)),
    ]
    return ProbeSection(
        name="collectives",
        title="Collectives by message size",
        short="Collectives",
        words=_words(rows, kinds) + unchecked_words(study),
        figures=[figure for figure in figures if figure is not None],
        tables=[*([_best_table(rows)] if rows else []), *([_fit_table(fits)] if fits else [])],
        details=[*([("Every size", _size_table(rows))] if rows else []), *unchecked_details(study)],
    )


def _words(rows: list[Row], kinds: Collection[str]) -> list[str]:
    found = [DEFINITIONS] if rows else [NOTHING]
    if "collective" in kinds:
        found.append(MEASURED)
    if "nccl_tests_logs" in kinds:
        allowed = list(dict.fromkeys(row["line"] for row in rows if not row["checked"]))
        named = ", ".join(allowed[:MOST_EXPLAINED]) + (", ..." if len(allowed) > MOST_EXPLAINED else "")
        found += [OF_LOGS, *([f"{ALLOWED}{named}." if allowed else CHECKED] if rows else [])]
    short = dict.fromkeys(row["line"] for row in rows if row["cut_short"])
    found += [f"{line} {CUT_SHORT}." for line in short]
    above = [row for row in rows if row["note"]]
    worst = {row["line"]: row for row in sorted(above, key=lambda row: row["fraction_of_ceiling"] or 0)}
    for line, row in list(worst.items())[:MOST_EXPLAINED]:
        found.append(f"{line} at {format_bytes(int(row['size_bytes']))} reads {row['note']}.")
    more = len(worst) - MOST_EXPLAINED
    return [*found, f"{count(more, 'more line')} above the ceiling: in the table."] if more > 0 else found


def _best_table(rows: list[Row]) -> Table:
    """Each line at its best size."""
    columns = [
        ("Collective", TEXT),
        ("Best at", NUMBER),
        ("Bus bandwidth, GB/s", NUMBER),
        ("On each NIC, GB/s", NUMBER),
        ("Of the ceiling", NUMBER),
        ("The ceiling", PROSE),
    ]
    cells = []
    for line in dict.fromkeys(row["line"] for row in rows):
        of_line = [row for row in rows if row["line"] == line and row["bus_bandwidth"] is not None]
        if of_line:
            cells.append(_best_cells(line, max(of_line, key=lambda row: row["bus_bandwidth"])))
    caption = "Collectives at the size of their best bus bandwidth; medians over repeats"
    return table("collectives", caption, columns, cells, "tables/collective.csv")


def _best_cells(line: str, row: Row) -> list[Cell]:
    wire, rate = row["wire_bandwidth"], row["wire_line"]
    under = f"{share_words(wire / rate)} of {format_figure(rate, 3)}" if wire is not None and rate else ""
    known = row["ceiling"] is not None
    basis = f"{format_figure(row['ceiling'], 4)} GB/s: {row['ceiling_basis']}" if known else "no ceiling is known"
    return [
        Cell(line),
        Cell(format_bytes(int(row["size_bytes"]))),
        Cell(format_figure(row["bus_bandwidth"], 3), f"{format_figure(row['algorithm_bandwidth'], 3)} by size"),
        Cell(format_figure(wire, 3), under),
        Cell(share_words(row["fraction_of_ceiling"]) if known else "-"),
        Cell(f"{basis}. {row['note']}" if row["note"] else basis),
    ]


def _fit_table(fits: list[Row]) -> Table:
    columns = [
        ("Collective", TEXT),
        ("Sizes", NUMBER),
        ("Latency", NUMBER),
        ("Bus bandwidth of large messages, GB/s", NUMBER),
        ("Half of it at", NUMBER),
        ("R²", NUMBER),
        ("What speaks against it", PROSE),
    ]
    caption = (
        "Time as latency plus size over bandwidth, in as many pieces as the sizes tell apart: where a library "
        "changes its algorithm, they break"
    )
    return table("collective-fit", caption, columns, [_fit_cells(row) for row in fits], "tables/collective_fit.csv")


def _fit_cells(row: Row) -> list[Cell]:
    pieces, half = int(row["pieces"]), row["half_bandwidth_bytes"]
    of_ceiling = row["fraction_of_ceiling"]
    return [
        Cell(row["line"], f"piece {int(row['piece'])} of {pieces}" if pieces > 1 else ""),
        Cell(f"{_rounded(row['first_bytes'])} to {_rounded(row['last_bytes'])}", count(int(row["sizes"]), "size")),
        Cell(seconds_words(row["latency_seconds"])),
        Cell(
            format_figure(row["bus_bandwidth_limit"], 3),
            f"{share_words(of_ceiling)} of the ceiling" if of_ceiling is not None else "",
        ),
        Cell(_rounded(half) if half is not None else "-", row["half_bandwidth_note"] or ""),
        Cell("-" if row["r_squared"] is None else f"{row['r_squared']:.3f}", _deviation(row["deviation"])),
        Cell(row["flag"] or "nothing"),
    ]


def _deviation(share: float | None) -> str:
    return "" if share is None else f"within {share_words(share)} typically"


def _size_table(rows: list[Row]) -> Table:
    columns = [
        ("Collective", TEXT),
        ("Size", NUMBER),
        ("Time", NUMBER),
        ("By size, GB/s", NUMBER),
        ("Bus, GB/s", NUMBER),
        ("On each NIC, GB/s", NUMBER),
        ("Of the ceiling", NUMBER),
    ]
    shown = set(shown_lines(rows))
    cells = [
        [
            Cell(row["line"], "" if row["line"] in shown else "not drawn"),
            Cell(format_bytes(int(row["size_bytes"]))),
            Cell(seconds_words(row["median_seconds"]), _interval(row)),
            Cell(format_figure(row["algorithm_bandwidth"], 3)),
            Cell(format_figure(row["bus_bandwidth"], 3)),
            Cell(format_figure(row["wire_bandwidth"], 3)),
            Cell("-" if row["fraction_of_ceiling"] is None else share_words(row["fraction_of_ceiling"])),
        ]
        for row in rows
    ]
    caption = "Collectives, every size: median times of the slowest rank with their intervals"
    return table("collective-sizes", caption, columns, cells, "tables/collective.csv")


def _interval(row: Row) -> str:
    if row["low_seconds"] is None:
        return row["interval_method"] or ""
    scale, unit = _unit(row["median_seconds"])
    return f"{span(row['low_seconds'] * scale, row['high_seconds'] * scale)} {unit} ({row['interval_method']})"


def seconds_words(seconds: float | None) -> str:
    """'12.3 µs', '4.5 ms', '1.2 s'; '-' where there is none."""
    if seconds is None:
        return "-"
    scale, unit = _unit(abs(seconds))
    return f"{format_figure(seconds * scale, 3)} {unit}"


def _unit(seconds: float) -> tuple[float, str]:
    if seconds < 1e-3:
        return 1e6, "µs"
    return (1e3, "ms") if seconds < 1 else (1.0, "s")


def _rounded(size: float) -> str:
    """A size in bytes in the nearest binary unit, three figures."""
    for exponent, name in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if size >= 1024**exponent:
            return f"{format_figure(size / 1024**exponent, 3)} {name}"
    return f"{format_figure(size, 3)} B"
