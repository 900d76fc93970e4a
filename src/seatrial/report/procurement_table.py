"""What every proposed cluster is asked, beside what it has: the rows of procurement.csv, the worst first."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.analysis.decisions.words import rounded
from seatrial.report.study_tables import Row
from seatrial.report.table import MULTIPLY, NUMBER, PROSE, TEXT, Cell, Table, span, table

FILE = "tables/procurement.csv"
QUESTIONS = {
    "bisection": "bisection",
    "all_to_all": "all-to-all",
    "checkpoint": "checkpoint throughput",
    "node_bandwidth": "bandwidth of a node",
    "memory": "memory of an accelerator",
}
KINDS = {"fails": "fail", "not told apart": "inconclusive", "not known": "not_known", "holds": "pass"}
"""How each standing is marked, the worst first."""
COLUMNS = (
    ("Proposal", TEXT),
    ("Question", TEXT),
    ("Standing", TEXT),
    ("Needed over there", NUMBER),
    ("Needed", NUMBER),
    ("There", NUMBER),
    ("From", PROSE),
)


def procurement_table(rows: Sequence[Row]) -> Table:
    """A row for each proposal and question: what fails by most first, what holds last."""
    caption = "What each proposal is asked, what the training needs and what is there: what fails by most first"
    return table("procurement", caption, COLUMNS, [_row(row) for row in sorted(rows, key=_worst)], FILE)


def _worst(row: Row) -> tuple[int, float]:
    return list(KINDS).index(row["standing"]), -(row["ratio"] or 0.0)


def _row(row: Row) -> list[Cell]:
    ranks = f"over {int(row['expert_ranks'])} ranks" if row["expert_ranks"] is not None else ""
    return [
        Cell(row["proposal"].replace("_", " "), f"{int(row['nodes']):,} nodes of {row['target']}"),
        Cell(QUESTIONS[row["question"]], ranks),
        Cell(row["standing"], kind=f"verdict {KINDS[row['standing']]}"),
        _figure(row, "ratio", MULTIPLY),
        _figure(row, "needed", row["unit"]),
        _figure(row, "has", row["unit"]),
        Cell(row["source"] or "-", row["note"] if row["note"] and row["note"] != row["source"] else ""),
    ]


def _figure(row: Row, name: str, unit: str) -> Cell:
    value = row[name]
    if value is None:
        return Cell("-")
    return Cell(f"{rounded(value)} {unit}", span(row[f"{name}_low"], row[f"{name}_high"]))
