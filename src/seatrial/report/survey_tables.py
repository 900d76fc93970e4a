"""The survey's tables, read once for the page, and which of its rounds is shown first."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from seatrial.analysis.survey.results import round_order
from seatrial.analysis.survey.spread import ENDS
from seatrial.analysis.survey.tables import COLUMNS
from seatrial.analysis.tables import read_csv, rows_of
from seatrial.config.survey import Survey
from seatrial.paths import StudyPaths

Row = dict[str, Any]
TEXT_COLUMNS = (
    "result_numbers",
    "from_result_numbers",
    "to_result_numbers",
    "linked_result_numbers",
    "card_result_numbers",
    "system",
    "submitter",
    "first_as_of",
    "last_as_of",
    *(f"{end}_{name}" for end in ENDS for name in ("submitter", "system")),
)
"""Columns that stay text even where every cell of them looks like a number."""


@dataclass(frozen=True)
class SurveyTables:
    """The rows of every table of a survey."""

    settings: Survey
    results: list[Row]
    spread: list[Row]
    medians: list[Row]
    coverage: list[Row]
    scaling: list[Row]
    rounds: list[Row]
    form_factors: list[Row]
    prices: list[Row]
    costs: list[Row]
    claims: list[Row]

    @property
    def surveyed_rounds(self) -> list[str]:
        """Oldest first."""
        return [row["round"] for row in self.coverage]

    @property
    def partial_rounds(self) -> list[str]:
        return [row["round"] for row in self.coverage if row["partial"]]

    @property
    def newest(self) -> str:
        """The newest round of which the table holds all, else the newest one: what the page shows first."""
        whole = [round_ for round_ in self.surveyed_rounds if round_ not in self.partial_rounds]
        return max(whole or self.surveyed_rounds, key=round_order)

    @cached_property
    def result(self) -> dict[int, Row]:
        """The results by their numbers."""
        return {int(row["number"]): row for row in self.results}


def read_survey(paths: StudyPaths, settings: Survey | None) -> SurveyTables | None:
    """The tables of the study's survey; None where it has none.

    Raises UnreadableFile where a table is absent or not what `analyse` writes.
    """
    if settings is None:
        return None
    rows = {
        name: rows_of(read_csv(paths.survey(name), columns, [c for c in TEXT_COLUMNS if c in columns]))
        for name, columns in COLUMNS.items()
    }
    return SurveyTables(settings=settings, **rows)
