"""What published results cost, with the date, age and source of every price."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.analysis.survey.cost import NO_PRICE
from seatrial.report.survey_cells import hardware, link, whole
from seatrial.report.survey_citation import cite_table
from seatrial.report.survey_tables import Row, SurveyTables
from seatrial.report.table import NUMBER, PROSE, TEXT, WHO, Cell, Table, count, table
from seatrial.units import format_figure

DAYS_PER_MONTH = 30.44


def prices_table(survey: SurveyTables) -> Table:
    """The price of an accelerator-hour of every surveyed family; one without a price says so."""
    rows = []
    for row in survey.prices:
        known = row["low"] is not None or row["high"] is not None
        rows.append(
            [
                Cell(row["accelerator_family"], count(whole(row["results"]), "result")),
                Cell(_range(row["low"], row["high"], row["currency"]) if known else "not known"),
                Cell(_dates(row) if known else "-", _age(row) if known else ""),
                Cell(row["source"] or row["note"], row["names"] or ""),
            ]
        )
    columns = [
        ("Family", TEXT),
        ("Accelerator-hour", NUMBER),
        ("Price of", WHO),
        ("Source; who states it", PROSE),
    ]
    caption = "Lowest to highest price of the configuration's targets and accelerators"
    return table("survey-prices", caption, columns, rows, "tables/survey_prices.csv")


def cost_summary_table(survey: SurveyTables, round_: str) -> Table:
    """For every benchmark of a round the priced result of the fewest accelerator-hours beside the fastest one."""
    rows = []
    chosen = [r for r in survey.costs if r["round"] == round_ and r["accelerator_hours"] is not None]
    for benchmark in sorted({row["benchmark"] for row in chosen}):
        same = [row for row in chosen if row["benchmark"] == benchmark]
        priced = [row for row in same if _is_priced(row)]
        fewest = min(priced, key=lambda r: (r["accelerator_hours"], r["result"]), default=None)
        fastest = min(same, key=lambda r: (r["minutes"], r["result"]))
        rows.append([Cell(benchmark, round_), *_with_cost(survey, fewest), *_with_cost(survey, fastest)])
    columns = [
        ("Benchmark", TEXT),
        ("Fewest accelerator-hours with a price", WHO),
        ("One run", NUMBER),
        ("Fastest", WHO),
        ("One run of it", NUMBER),
    ]
    caption = f"Cost of one run in {round_}, and under it of the runs that its score needs, at the prices below"
    return table(
        "survey-cost-summary", caption, columns, rows, "tables/survey_costs.csv", cite_table(survey, [round_])
    )


def _with_cost(survey: SurveyTables, row: Row | None) -> list[Cell]:
    """Who and with what, and the cost: of one run, and of those behind the score."""
    if row is None:
        return [Cell("-", "no family with a price"), Cell("not known")]
    on = hardware(row["accelerator_family"], row["accelerators"])
    figures = f"{format_figure(row['accelerator_hours'], 3)} accelerator-hours"
    under = f"{_who(survey, row)}, {on}, {format_figure(row['minutes'])} min"
    who = Cell(figures, under, links=[link(survey, row["result"])])
    if not _is_priced(row):
        return [who, Cell("not known", NO_PRICE)]
    runs = whole(row["runs"])
    score = f"{runs} runs: {_range(row['score_low'], row['score_high'], row['currency'])}" if runs else ""
    return [who, Cell(_range(row["run_low"], row["run_high"], row["currency"]), score)]


def _who(survey: SurveyTables, row: Row) -> str:
    return f"{row['submitter']}, {survey.result[whole(row['result'])]['system']}"


def _is_priced(row: Row) -> bool:
    return row["run_low"] is not None or row["run_high"] is not None


def costs_table(survey: SurveyTables, round_: str, name: str) -> Table:
    """For every benchmark and family of a round the result of the fewest accelerator-hours, and what it costs."""
    rows = []
    for row in _least(survey, round_):
        runs = whole(row["runs"])
        on = hardware(row["accelerator_family"], row["accelerators"])
        rows.append(
            [
                Cell(row["benchmark"], f"{row['round']}, {row['accelerator_family']}"),
                Cell(_who(survey, row), on, links=[link(survey, row["result"])]),
                Cell(f"{format_figure(row['minutes'])} min"),
                Cell(format_figure(row["accelerator_hours"], 3)),
                Cell(_range(row["run_low"], row["run_high"], row["currency"]), _note(row)),
                Cell(_range(row["score_low"], row["score_high"], row["currency"]), f"{runs} runs" if runs else ""),
            ]
        )
    columns = [
        ("Benchmark", TEXT),
        ("Result", TEXT),
        ("Time", NUMBER),
        ("Accelerator-hours", NUMBER),
        ("One run", NUMBER),
        ("The runs of the score", NUMBER),
    ]
    caption = f"The result of the fewest accelerator-hours by benchmark and family in {round_}, at the prices below"
    return table(name, caption, columns, rows, "tables/survey_costs.csv", cite_table(survey, [round_]))


def _least(survey: SurveyTables, round_: str) -> Sequence[Row]:
    """The rows of the result with the fewest accelerator-hours, one for each currency; fewest first."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in survey.costs:
        if row["round"] == round_ and row["accelerator_hours"] is not None:
            groups.setdefault((row["benchmark"], row["accelerator_family"]), []).append(row)
    found: list[Row] = []
    for rows in groups.values():
        best = min(rows, key=lambda r: (r["accelerator_hours"], r["result"]))["result"]
        found += [row for row in rows if row["result"] == best]
    return sorted(found, key=lambda r: (r["benchmark"], r["accelerator_hours"]))


def _range(low: float | None, high: float | None, currency: str | None) -> str:
    """'12.3 to 45.6 USD'; one end alone says which one it is."""
    if low is None and high is None:
        return "not known"
    if low is None or high is None:
        word, value = ("from", low) if high is None else ("up to", high)
        return f"{word} {_money(value)} {currency}"
    return f"{_money(low)} {currency}" if low == high else f"{_money(low)} to {_money(high)} {currency}"


def _money(value: float | None) -> str:
    assert value is not None
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def _note(row: Row) -> str:
    return str(row["note"]) if row["note"] and not _is_priced(row) else ""


def _dates(row: Row) -> str:
    first, last = row["first_as_of"], row["last_as_of"]
    return first if first == last else f"{first} to {last}"


def _age(row: Row) -> str:
    """The age of the oldest price on the day of the table of results: the same records give the same page."""
    months = int(row["oldest_days"] / DAYS_PER_MONTH)
    if months < 1:
        return "less than a month before the table"
    return f"the oldest {count(months, 'month')} before the table"
