"""The survey's tables from the published results: what a study with `references.survey` gets beside its own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from seatrial.analysis.inputs import read_plan
from seatrial.analysis.survey import claims, cost, form_factors, medians, results, rounds, scaling, spread
from seatrial.analysis.survey.results import Row, round_order
from seatrial.analysis.tables import write_csv
from seatrial.config.study import References
from seatrial.config.survey import FormFactorClaim, Survey
from seatrial.paths import SURVEY_TABLES, StudyPaths
from seatrial.reference.published import load_tables

COLUMNS = {
    "results": results.COLUMNS,
    "spread": spread.COLUMNS,
    "medians": medians.COLUMNS,
    "coverage": medians.COVERAGE_COLUMNS,
    "scaling": scaling.COLUMNS,
    "rounds": rounds.COLUMNS,
    "form_factors": form_factors.COLUMNS,
    "prices": cost.PRICE_COLUMNS,
    "costs": cost.COST_COLUMNS,
    "claims": claims.COLUMNS,
}


def survey(paths: StudyPaths) -> None:
    """Write tables/survey_*.csv where the study has a survey; else nothing.

    Raises UnreadableFile where study.json or a file of `references.tables` is not what it should be.
    """
    references = read_plan(paths).study.references
    if references.survey is None:
        return
    rows = survey_rows(references, references.survey, published_table(references))
    for name in SURVEY_TABLES:
        write_csv(paths.survey(name), COLUMNS[name], rows[name])


def published_table(references: References) -> pd.DataFrame:
    """The shipped results, with those of `references.tables`."""
    return load_tables([Path(name).expanduser() for name in references.tables])


def survey_rows(references: References, wanted: Survey, table: pd.DataFrame) -> dict[str, list[Row]]:
    """The rows of every table of SURVEY_TABLES, by its name, from `table` of published results."""
    order = sorted(wanted.rounds, key=round_order)
    found = results.survey_results(table, order)
    medians_found = medians.find_medians(found)
    ranges = cost.price_ranges(wanted.prices)
    pairs = [
        (pair.linked, pair.card)
        for claim in wanted.claims
        if isinstance(claim, FormFactorClaim)
        for pair in claim.pairs
    ]
    rows = {
        "results": results.result_rows(found),
        "spread": spread.spread_rows(found),
        "medians": medians.median_rows(medians_found),
        "coverage": medians.coverage_rows(found, order),
        "scaling": scaling.scaling_rows(found),
        "rounds": rounds.round_rows(found, medians_found, order),
        "form_factors": form_factors.form_factor_rows(found, pairs),
        "prices": cost.price_rows(found, ranges),
        "costs": cost.cost_rows(found, ranges),
    }
    evidence = claims.Evidence(
        results=found,
        medians=medians_found,
        spread=rows["spread"],
        form_factors=rows["form_factors"],
        slower_than_median=references.slower_than_median,
    )
    return rows | {"claims": claims.claim_rows(wanted.claims, evidence)}
