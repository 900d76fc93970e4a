"""What MLCommons asks to stand beside published figures, for whole rounds: division, day and source.

Submitter and system stand with each single result, and the whole citation behind every link to one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from seatrial.analysis.survey.results import round_order
from seatrial.report.survey_tables import Row, SurveyTables

MOST_SOURCES = 4
"""Of a round that are named; files of one's own may have a source for each result."""
EACH = (
    "Each result's submitter, system, source and day of retrieval: on hovering over its number, and where it leads."
)


def cite_rounds(survey: SurveyTables, rounds: Iterable[str]) -> str:
    """'MLPerf Training, closed division: v5.1, published 12 November 2025, from mlcommons/...; ...', newest first.

    '' without rounds.
    """
    wanted = sorted(set(rounds), key=round_order, reverse=True)
    of = {round_: [row for row in survey.results if row["round"] == round_] for round_ in wanted}
    divisions = sorted({str(row["division"]) for rows in of.values() for row in rows})
    if not divisions:
        return ""
    words = "; ".join(_of_round(round_, rows) for round_, rows in of.items() if rows)
    return f"MLPerf\u2122 Training, {' and '.join(divisions)} division: {words}."


def cite_table(survey: SurveyTables, rounds: Iterable[str]) -> str:
    """The same, and where the rest of the citation of a table's results is."""
    cited = cite_rounds(survey, rounds)
    return f"{cited} {EACH}" if cited else ""


def _of_round(round_: str, rows: Sequence[Row]) -> str:
    day = rows[0]["published_on"]
    published = f", published {day_words(day)}" if day else ""
    sources = sorted({str(row["source"]).partition(": ")[0] for row in rows})
    named = " and ".join(sources) if len(sources) <= MOST_SOURCES else f"{len(sources)} sources"
    return f"{round_}{published}, from {named}"


def retrieved(rows: Sequence[Row]) -> str:
    """The days between which rows of tables/survey_results.csv were read from their sources."""
    days = sorted({row["retrieved"] for row in rows if row["retrieved"]})
    return (
        " to ".join(day_words(d) for d in dict.fromkeys([*days[:1], *days[-1:]]))
        or "on a day that was not recorded"
    )


def day_words(day: str) -> str:
    """'2025-11-12' as '12 November 2025'."""
    date = dt.date.fromisoformat(day)
    return f"{date.day} {date:%B %Y}"
