"""How far results lie apart, and where a like-for-like median exists."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.report.survey_cells import (
    hardware,
    link,
    links,
    of_rounds,
    round_words,
    times,
    whole,
)
from seatrial.report.survey_citation import cite_rounds, cite_table
from seatrial.report.survey_tables import Row, SurveyTables
from seatrial.report.table import NUMBER, PROSE, TEXT, WHO, Cell, Table, count, span, table
from seatrial.units import format_figure


def spread_table(survey: SurveyTables, rounds: Sequence[str], name: str) -> Table:
    """Fastest against slowest by benchmark: raw, per accelerator, and among equals."""
    rows = []
    for row in of_rounds(survey.spread, rounds):
        rows.append(
            [
                Cell(row["benchmark"], f"{round_words(row)}, {count(whole(row['results']), 'result')}"),
                _end(survey, row, "fastest", "minutes", "min"),
                _end(survey, row, "slowest", "minutes", "min"),
                Cell(times(row["ratio"])),
                _end(survey, row, "least_chip", "chip_minutes", "chip-min"),
                _end(survey, row, "most_chip", "chip_minutes", "chip-min"),
                Cell(times(row["chip_ratio"])),
                _among_equals(survey, row),
            ]
        )
    columns = [
        ("Benchmark", TEXT),
        ("Fastest", WHO),
        ("Slowest", WHO),
        ("Ratio", NUMBER),
        ("Least per accelerator", WHO),
        ("Most per accelerator", WHO),
        ("Ratio per accelerator", NUMBER),
        ("Widest among equals", PROSE),
    ]
    caption = (
        "Fastest against slowest; the same in chip-minutes (accelerators times minutes); and the widest ratio "
        "among results of one accelerator family and count"
    )
    return table(name, caption, columns, rows, "tables/survey_spread.csv", cite_table(survey, rounds))


def _end(survey: SurveyTables, row: Row, end: str, figure: str, unit: str) -> Cell:
    value = row[f"{end}_{figure}"]
    if value is None:
        return Cell("-", "no result with accelerators")
    on = hardware(row[f"{end}_accelerator_family"], row[f"{end}_accelerators"])
    under = f"{row[f'{end}_submitter']}, {row[f'{end}_system']}, {on}"
    return Cell(f"{format_figure(value)} {unit}", under, links=[link(survey, row[f"{end}_result"])])


def _among_equals(survey: SurveyTables, row: Row) -> Cell:
    if row["widest_ratio"] is None:
        return Cell("-", "no two results are equals")
    on = hardware(row["widest_fastest_accelerator_family"], row["widest_fastest_accelerators"])
    ends = ("widest_fastest", "widest_slowest")
    who = " against ".join(
        f"{row[f'{end}_submitter']}, {row[f'{end}_system']}, {format_figure(row[f'{end}_minutes'])} min"
        for end in ends
    )
    behind = [link(survey, row[f"{end}_result"]) for end in ends]
    under = f"{on}, n\u00a0=\u00a0{whole(row['widest_results'])}: {who}"
    return Cell(times(row["widest_ratio"]), under, links=behind)


def coverage_table(survey: SurveyTables) -> Table:
    """How many results have a like-for-like median, by round."""
    rows = []
    for row in reversed(survey.coverage):
        share = 100 * row["results_with_median"] / row["results"] if row["results"] else 0
        rows.append(
            [
                Cell(row["round"], "in part, not a random one" if row["partial"] else ""),
                Cell(str(whole(row["results"]))),
                Cell(str(whole(row["groups"]))),
                Cell(str(whole(row["groups_of_two"]))),
                Cell(str(whole(row["groups_of_three"]))),
                Cell(str(whole(row["groups_with_median"]))),
                Cell(str(whole(row["results_with_median"])), f"{share:.0f} %"),
            ]
        )
    columns = [
        ("Round", TEXT),
        ("Results", NUMBER),
        ("Groups of equals", NUMBER),
        ("of two or more", NUMBER),
        ("of three or more", NUMBER),
        ("with a median", NUMBER),
        ("Results inside these", NUMBER),
    ]
    caption = (
        "Groups of one benchmark, accelerator family and count, and those with a median: three results or more by "
        "three submitters or more"
    )
    return table(
        "survey-coverage",
        caption,
        columns,
        rows,
        "tables/survey_coverage.csv",
        cite_rounds(survey, survey.surveyed_rounds),
    )


def medians_table(survey: SurveyTables, rounds: Sequence[str], name: str) -> Table:
    """The like-for-like medians with their spread."""
    rows = []
    for row in of_rounds(survey.medians, rounds):
        behind, folded = links(survey, row["result_numbers"], named=True)
        rows.append(
            [
                Cell(row["benchmark"], round_words(row)),
                Cell(hardware(row["accelerator_family"], row["accelerators"])),
                Cell(f"{format_figure(row['median_minutes'])} min"),
                Cell(span(row["low_quartile_minutes"], row["high_quartile_minutes"], 4)),
                Cell(span(row["fastest_minutes"], row["slowest_minutes"], 4), f"{times(row['ratio'])} apart"),
                Cell(f"{whole(row['results'])}", f"{whole(row['submitters'])} submitters"),
                Cell("", links=behind, folded=folded),
            ]
        )
    columns = [
        ("Benchmark", TEXT),
        ("Hardware", TEXT),
        ("Median", NUMBER),
        ("Middle half, min", NUMBER),
        ("All, min", NUMBER),
        ("Results", NUMBER),
        ("Which", TEXT),
    ]
    caption = "Like-for-like medians: benchmark, round, accelerator family and count all the same"
    return table(name, caption, columns, rows, "tables/survey_medians.csv", cite_table(survey, rounds))
