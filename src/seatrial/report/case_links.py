"""From a case on the page to the records that it rests on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from seatrial.report.study_tables import StudyTables, case_label
from seatrial.report.table import Cell, Link

MOST_SHOWN = 6
MOST_FOLDED = 60
"""More records than this are left to tables/repeats.csv."""
MISSING = "missing"
"""The outcome of a repeat that left no record."""


def record_links(study: StudyTables, case_ids: Iterable[str]) -> list[Link]:
    """A link to the record of every repeat of these cases that left one, in the order of the plan."""
    found = []
    for case_id in case_ids:
        for row in study.repeats_of.get(case_id, ()):
            if row["outcome"] != MISSING:
                path = study.paths.record(case_id, int(row["repeat"])).relative_to(study.paths.root)
                found.append(Link(f"record\u00a0{int(row['repeat'])}", file=str(path)))
    return found


def case_cell(study: StudyTables, case_id: str, under: str = "", text: str | None = None) -> Cell:
    """The first cell of a case's row: its label or `text`, and links to its records."""
    case = study.cases[case_id]
    return with_records(study, case_id, Cell(case_label(case) if text is None else text, under))


def with_records(study: StudyTables, case_id: str, cell: Cell) -> Cell:
    """The cell with links to a case's records; of many the first ones are shown and the others folded."""
    links = record_links(study, [case_id])
    shown, folded = links[:MOST_SHOWN], links[MOST_SHOWN : MOST_SHOWN + MOST_FOLDED]
    return replace(cell, links=shown, folded=folded, swept=bool(study.cases[case_id].axes))
