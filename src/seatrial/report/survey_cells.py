"""What the survey's tables have in common: links to results, hardware, rounds and ratios in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from seatrial.report.survey_tables import Row, SurveyTables
from seatrial.report.table import MULTIPLY, Link, ratio_words

MOST_LINKS = 14
"""Results that a cell links to unfolded."""


def anchor(number: int) -> str:
    """The id of a result's row on the page."""
    return f"result-{number}"


def link(survey: SurveyTables, number: float, named: bool = False) -> Link:
    """A link to a result, with its citation on hovering; `named`: with the submitter beside it."""
    result = survey.result[whole(number)]
    after = str(result["submitter"]) if named else ""
    return Link(f"#{whole(number)}", anchor(whole(number)), result["citation"], after)


def links(survey: SurveyTables, numbers: str | float | None, named: bool = False) -> tuple[list[Link], list[Link]]:
    """Links to the results behind a figure: those that are shown, and those that are folded.

    A figure that is one result's alone has submitter and system beside it.
    """
    found = [link(survey, int(n), named) for n in str(numbers or "").split()]
    if len(found) == 1:
        result = survey.result[int(str(numbers))]
        found = [replace(found[0], after=f"{result['submitter']}, {result['system']}")]
    return found[:MOST_LINKS], found[MOST_LINKS:]


def of_rounds(rows: Sequence[Row], rounds: Iterable[str]) -> list[Row]:
    """The rows of these rounds, round by round."""
    return [row for round_ in rounds for row in rows if row["round"] == round_]


def round_words(row: Row) -> str:
    """A row's round, and whether the table holds only a part of it."""
    return f"{row['round']} (in part)" if row["partial"] else str(row["round"])


def hardware(family: str | None, accelerators: float | None) -> str:
    """A count and a family: eight B200."""
    n = whole(accelerators)
    # kept on one line: a count without its family reads as another figure
    return f"{n}\u00a0{MULTIPLY}\u00a0{family}" if n else "no accelerators"


def submitters_words(row: Row) -> str:
    """'3 submitters'."""
    n = whole(row["submitters"])
    return f"{n} submitter{'' if n == 1 else 's'}"


def times(value: float | None) -> str:
    """A ratio with the sign of multiplication."""
    return "-" if value is None else f"{ratio_words(value)} {MULTIPLY}"


def change(ratio: float) -> str:
    """A ratio as a change: '-13.4 %'."""
    return f"{100 * (ratio - 1):+.1f} %"


def whole(value: float | None) -> int:
    """A count as a table holds it: where a column has gaps its counts are floats."""
    return int(value or 0)
