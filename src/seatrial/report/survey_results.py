"""Every surveyed result with what MLCommons asks to stand beside it: where the other tables' links lead."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from seatrial.report.survey_cells import anchor, hardware, of_rounds, whole
from seatrial.report.survey_tables import Row, SurveyTables
from seatrial.report.table import NUMBER, PROSE, TEXT, Cell, Table
from seatrial.units import format_figure

WORDS_OF_CONFIDENCE = {
    "official": "scored from the logs as MLCommons does",
    "submitter": "the submitter's own summary",
    "recomputed": "recomputed from a copy of the logs",
}


def results_table(survey: SurveyTables, round_: str) -> Table:
    """Every surveyed result of a round, which the links of the other tables lead to."""
    chosen = of_rounds(survey.results, [round_])
    rows = [
        [
            Cell(f"#{whole(row['number'])} {row['submitter']}", row["system"]),
            Cell(row["benchmark"], hardware(row["accelerator_family"], row["accelerators"])),
            Cell(f"{format_figure(row['minutes'])} min", f"{whole(row['runs'])} runs" if row["runs"] else ""),
            Cell(str(row["source"]), WORDS_OF_CONFIDENCE.get(str(row["confidence"]), str(row["confidence"]))),
        ]
        for row in chosen
    ]
    columns = [
        ("Submitter, system", TEXT),
        ("Benchmark", TEXT),
        ("Score", NUMBER),
        ("Source", PROSE),
    ]
    return Table(
        name=f"survey-results-{round_.replace('.', '-')}",
        caption=_citation_of_round(chosen, round_),
        columns=columns,
        rows=rows,
        total=len(rows),
        file="tables/survey_results.csv",
        anchors=[anchor(whole(row["number"])) for row in chosen],
    )


def _citation_of_round(chosen: Sequence[Row], round_: str) -> str:
    day = chosen[0]["published_on"] if chosen else None
    published = f", published {_day(dt.date.fromisoformat(day))}" if day else ""
    days = sorted({row["retrieved"] for row in chosen if row["retrieved"]})
    retrieved = " to ".join(_day(dt.date.fromisoformat(d)) for d in dict.fromkeys([*days[:1], *days[-1:]]))
    return (
        f"MLPerf\u2122 Training {round_}, closed division{published}; retrieved "
        f"{retrieved or 'on a day that was not recorded'}. Result ids are not in the repositories"
    )


def _day(day: dt.date) -> str:
    return f"{day.day} {day:%B %Y}"
