"""Every surveyed result with what MLCommons asks to stand beside it: where the other tables' links lead."""

from __future__ import annotations

from seatrial.report.survey_cells import anchor, hardware, of_rounds, whole
from seatrial.report.survey_citation import cite_rounds, retrieved
from seatrial.report.survey_tables import SurveyTables
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
        caption=f"Every surveyed result of {round_}. Result ids are not in the repositories",
        columns=columns,
        rows=rows,
        total=len(rows),
        file="tables/survey_results.csv",
        citation=f"{cite_rounds(survey, [round_])} Retrieved {retrieved(chosen)}.",
        anchors=[anchor(whole(row["number"])) for row in chosen],
    )
