"""The table of own trainings against their reference convergence points."""

from __future__ import annotations

from seatrial.report.case_links import case_cell
from seatrial.report.study_tables import Row, StudyTables
from seatrial.report.table import NUMBER, PROSE, TEXT, Cell, Table, count, table
from seatrial.units import format_figure

STANDINGS = {
    "as_reference": "as the reference",
    "faster": "faster: not the same work",
    "slower": "slower",
    "not_known": "not yet known",
}


def convergence_table(study: StudyTables) -> Table:
    """How many samples trainings needed, beside the runs that are their reference."""
    columns = [
        ("Training", TEXT),
        ("Samples to quality", NUMBER),
        ("Reference", NUMBER),
        ("Accepted", NUMBER),
        ("Standing", TEXT),
        ("Why", PROSE),
    ]
    caption = (
        "Samples to the evaluation that met the target, against reference convergence points: runs of the same "
        "configuration with other seeds, or MLCommons' of the benchmark that a training names. A machine makes "
        "a training faster, not its data fewer"
    )
    rows = [_cells(study, row) for row in study.convergence]
    return table("convergence", caption, columns, rows, "tables/convergence.csv")


def _cells(study: StudyTables, row: Row) -> list[Cell]:
    least, most = row["least_accepted"], row["most_accepted"]
    accepted = "-" if least is None or most is None else f"{_samples(least)} to {_samples(most)}"
    reached = f"{int(row['converged'])} of {count(int(row['repeats']), 'repeat')}"
    return [
        case_cell(study, row["case_id"], row["target"]),
        Cell(_samples(row["own_samples"]), reached),
        Cell(_samples(row["reference_samples"]), count(int(row["reference_n"]), "run")),
        Cell(accepted),
        Cell(STANDINGS[row["standing"]], kind=f"standing {row['standing']}"),
        Cell(row["note"]),
    ]


def _samples(value: float | None) -> str:
    return format_figure(value, 4)
