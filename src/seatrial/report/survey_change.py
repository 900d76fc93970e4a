"""What changed from round to round, and how time scales with the number of accelerators."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.analysis.survey.rounds import MEDIANS
from seatrial.report.survey_cells import (
    change,
    hardware,
    links,
    of_rounds,
    round_words,
    submitters_words,
    times,
    whole,
)
from seatrial.report.survey_citation import cite_rounds, cite_table
from seatrial.report.survey_tables import Row, SurveyTables
from seatrial.report.table import NUMBER, TEXT, WHO, Cell, Table, ratio_words, table
from seatrial.units import format_figure


def rounds_table(survey: SurveyTables, of_medians: bool, name: str) -> Table:
    """What changed from one round to the next on one family and count."""
    shown = [row for row in survey.rounds if (row["basis"] == MEDIANS) == of_medians]
    rows = []
    for row in shown:
        carried = whole(row["carried_over"])
        rows.append(
            [
                Cell(row["benchmark"], hardware(row["accelerator_family"], row["accelerators"])),
                Cell(
                    f"{row['from_round']} to {row['to_round']}",
                    "one of them in part" if row["partial"] else "",
                ),
                _side(survey, row, "from"),
                _side(survey, row, "to"),
                Cell(ratio_words(row["ratio"]), change(row["ratio"])),
                Cell(f"{carried} of {whole(row['to_results'])}" if carried else "none"),
            ]
        )
    columns = [
        ("Benchmark", TEXT),
        ("Rounds", TEXT),
        ("Earlier", WHO),
        ("Later", WHO),
        ("Later over earlier", NUMBER),
        ("Carried over", NUMBER),
    ]
    caption = (
        "Medians of consecutive rounds. Carried over: results entered again unchanged, to the last digit"
        if of_medians
        else "Without a median on both sides: the systems that one submitter listed under one name in both rounds, "
        "what was carried over left out. The ratio is their geometric mean: weaker evidence than a median"
    )
    cited = cite_table(survey, [row[f"{side}_round"] for row in shown for side in ("from", "to")])
    return table(name, caption, columns, rows, "tables/survey_rounds.csv", cited)


def _side(survey: SurveyTables, row: Row, side: str) -> Cell:
    behind, folded = links(survey, row[f"{side}_result_numbers"])
    submitters = whole(row[f"{side}_submitters"])
    under = f"n = {whole(row[f'{side}_results'])}, {submitters} submitter{'' if submitters == 1 else 's'}"
    return Cell(f"{format_figure(row[f'{side}_minutes'])} min", under, links=behind, folded=folded)


def scaling_table(survey: SurveyTables, rounds: Sequence[str], name: str) -> Table:
    """The scaling fits."""
    rows = []
    for row in of_rounds(survey.scaling, rounds):
        least, most = whole(row["least_accelerators"]), whole(row["most_accelerators"])
        r_squared = "-" if row["r_squared"] is None else f"{row['r_squared']:.4f}"
        rows.append(
            [
                Cell(row["benchmark"], f"{round_words(row)}, {row['accelerator_family']}"),
                Cell(f"{least} to {most}", f"{whole(row['counts'])} different counts"),
                Cell(str(whole(row["results"])), submitters_words(row)),
                Cell(f"{row['exponent']:.3f}", f"{100 * 2 ** row['exponent']:.0f} % of the time on twice as many"),
                Cell(r_squared, "two counts only" if row["counts"] == 2 else ""),
                Cell(times(row["worst_factor"])),
            ]
        )
    columns = [
        ("Benchmark", TEXT),
        ("Accelerators", NUMBER),
        ("Results", NUMBER),
        ("Exponent", NUMBER),
        ("R\u00b2", NUMBER),
        ("Furthest off the line", NUMBER),
    ]
    caption = "Fits of log time against log count, by family; an exponent of -1 halves the time on twice as many"
    return table(name, caption, columns, rows, "tables/survey_scaling.csv", cite_rounds(survey, rounds))
