"""The table of times to quality: trainings that ran here, and the scores of logs that were handed over."""

from __future__ import annotations

from seatrial.report.case_links import case_cell
from seatrial.report.study_tables import Row, StudyTables, handed_over
from seatrial.report.table import NUMBER, PROSE, TEXT, Cell, Table, count, reached_in_words, span_of_minutes, table
from seatrial.units import format_figure, format_minutes

NEVER = "A repeat that missed its target or diverged counts as never reaching it"
MEDIAN = f"Time to quality: median over the repeats. {NEVER}"
SCORE = (
    "Time to quality. The score of logs handed over is MLCommons': the olympic mean, with a failed run that may be "
    f"as the slowest, times the scaling factor; medians are without the factor. {NEVER}"
)


def time_to_quality_table(study: StudyTables) -> Table:
    """Time to quality, a row per training case; the score first where logs were handed over."""
    scored = any(handed_over(row) for row in study.time_to_quality)
    rows = [_cells(study, row, scored) for row in study.time_to_quality]
    columns = [
        ("Training", TEXT),
        ("Reached it", NUMBER),
        ("Quality target", TEXT),
        *([("Score", NUMBER), ("Score made of", PROSE)] if scored else []),
        ("Median time", NUMBER),
        ("Interval", NUMBER),
        ("Olympic mean", NUMBER),
        ("Samples to quality", NUMBER),
        ("Throughput", NUMBER),
    ]
    return table("time-to-quality", SCORE if scored else MEDIAN, columns, rows, "tables/time_to_quality.csv")


def _cells(study: StudyTables, row: Row, scored: bool) -> list[Cell]:
    where = f"{row['accelerators']} accelerators" if row["accelerators"] else count(row["ranks"], "CPU rank")
    interval = span_of_minutes(row["low_minutes"], row["high_minutes"])
    system = study.stated_systems.get(row["case_id"])
    reached = reached_in_words(row)
    unscaled = "without the factor, " if handed_over(row) else ""
    unverified = f", {unscaled}unverified" if row["median_minutes"] else ""
    score = [
        Cell(format_minutes(row["score_minutes"]), "unverified" if row["score_minutes"] else ""),
        Cell(row["score_note"] or "no logs: it ran here"),
    ]
    return [
        case_cell(study, row["case_id"], f"{system or row['target']}, {where}"),
        Cell(f"{row['converged']} of {row['repeats']}"),
        Cell(f"{row['quality_metric'].replace('_', ' ')} {format_figure(row['quality_target'])}"),
        *(score if scored else []),
        Cell(format_minutes(row["median_minutes"]), f"{reached}{unverified}"),
        Cell(interval or "-", row["interval_method"]),
        Cell(format_minutes(row["olympic_minutes"]), unscaled.rstrip(", ") if row["olympic_minutes"] else ""),
        Cell(format_figure(row["samples_to_quality"])),
        Cell(format_figure(row["throughput"]), row["throughput_unit"] if row["throughput"] else ""),
    ]
