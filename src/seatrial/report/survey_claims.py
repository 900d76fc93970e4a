"""Claims held against the published results, and the comparison of form factors that one of them rests on."""

from __future__ import annotations

from seatrial.report.survey_cells import change, links, round_words, whole
from seatrial.report.survey_citation import cite_table
from seatrial.report.survey_tables import SurveyTables
from seatrial.report.table import NUMBER, PROSE, TEXT, Cell, Table, ratio_words, table
from seatrial.units import format_figure

WORDS_OF_VERDICT = {
    "borne_out": "borne out",
    "not_borne_out": "not borne out",
    "contradicted": "contradicted",
    "cannot_be_said": "cannot be said",
}
NOT_ADDRESSED = "not_addressed"


def claims_table(survey: SurveyTables) -> Table:
    """The claims that the data can speak to, with verdict and evidence."""
    rows = []
    for row in survey.claims:
        if row["verdict"] == NOT_ADDRESSED:
            continue
        behind, folded = links(survey, row["result_numbers"])
        rows.append(
            [
                Cell(row["stated"], row["source"]),
                Cell(WORDS_OF_VERDICT[row["verdict"]], kind=f"verdict {row['verdict']}"),
                Cell(row["evidence"], _sentence(row["rule"]), links=behind, folded=folded),
            ]
        )
    cited = {
        survey.result[int(n)]["round"] for row in survey.claims for n in str(row["result_numbers"] or "").split()
    }
    columns = [("Claim", TEXT), ("Verdict", TEXT), ("What the results say", PROSE)]
    caption = "Claims held against the published results. Under each finding the rule that its verdict follows from"
    return table("survey-claims", caption, columns, rows, "tables/survey_claims.csv", cite_table(survey, cited))


def unaddressed_table(survey: SurveyTables) -> Table:
    """The claims that these data cannot speak to."""
    rows = [
        [Cell(row["stated"], row["source"]), Cell(row["evidence"])]
        for row in survey.claims
        if row["verdict"] == NOT_ADDRESSED
    ]
    columns = [("Claim", TEXT), ("Why these data do not address it", PROSE)]
    return table("survey-unaddressed", "Not addressed by these data", columns, rows, "tables/survey_claims.csv")


def form_factors_table(survey: SurveyTables) -> Table:
    """Chips on NVLink against the same chips as PCIe cards."""
    rows = []
    for row in survey.form_factors:
        cells = [Cell(row["benchmark"], f"{round_words(row)}, {whole(row['accelerators'])} accelerators")]
        for side in ("linked", "card"):
            behind, folded = links(survey, row[f"{side}_result_numbers"], named=True)
            under = f"{row[f'{side}_family']}, n = {whole(row[f'{side}_results'])}"
            cells.append(Cell(f"{format_figure(row[f'{side}_minutes'])} min", under, links=behind, folded=folded))
        rows.append([*cells, Cell(ratio_words(row["ratio"]), change(row["ratio"]))])
    columns = [("Benchmark", TEXT), ("On NVLink", TEXT), ("As PCIe cards", TEXT), ("Cards over NVLink", NUMBER)]
    caption = (
        "Medians of both forms at one benchmark, round and count, whatever their n. Clocks, power limits and "
        "memory may differ too: the ratio is not the link's alone"
    )
    cited = cite_table(survey, [row["round"] for row in survey.form_factors])
    return table("survey-form-factors", caption, columns, rows, "tables/survey_form_factors.csv", cited)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
