"""What a survey puts on the page: its tables, its sentences, and which rounds are shown first."""

from __future__ import annotations

from dataclasses import dataclass

from seatrial.analysis.survey.results import round_order
from seatrial.report.survey_change import rounds_table, scaling_table
from seatrial.report.survey_claims import claims_table, form_factors_table, unaddressed_table
from seatrial.report.survey_money import cost_summary_table, costs_table, prices_table
from seatrial.report.survey_results import results_table
from seatrial.report.survey_spread import coverage_table, medians_table, spread_table
from seatrial.report.survey_tables import SurveyTables
from seatrial.report.survey_words import SAME_ACCELERATORS, bends_in_words, changes_in_words
from seatrial.report.table import Table


@dataclass(frozen=True)
class SurveySections:
    """The tables of the survey's sections; those of `other` rounds than the newest whole one stand folded."""

    newest: str
    other_rounds: str
    partial_rounds: str
    rounds_title: str
    changes: str
    bends: str
    claims: Table
    unaddressed: Table
    form_factors: Table
    spread: Table
    other_spread: Table
    coverage: Table
    medians: Table
    other_medians: Table
    rounds: Table
    paired_rounds: Table
    scaling: Table
    other_scaling: Table
    prices: Table
    cost_summary: Table
    costs: Table
    results: list[tuple[str, Table]]


def survey_sections(survey: SurveyTables | None) -> SurveySections | None:
    """Everything that the page shows of a survey; None where the study has none."""
    if survey is None:
        return None
    newest_first = sorted(survey.surveyed_rounds, key=round_order, reverse=True)
    others = [r for r in newest_first if r != survey.newest]
    return SurveySections(
        newest=survey.newest,
        other_rounds=", ".join(others),
        partial_rounds=", ".join(survey.partial_rounds),
        rounds_title=SAME_ACCELERATORS,
        changes=changes_in_words(survey.rounds),
        bends=bends_in_words(survey.scaling),
        claims=claims_table(survey),
        unaddressed=unaddressed_table(survey),
        form_factors=form_factors_table(survey),
        spread=spread_table(survey, [survey.newest], "survey-spread"),
        other_spread=spread_table(survey, others, "survey-spread-others"),
        coverage=coverage_table(survey),
        medians=medians_table(survey, [survey.newest], "survey-medians"),
        other_medians=medians_table(survey, others, "survey-medians-others"),
        rounds=rounds_table(survey, True, "survey-rounds"),
        paired_rounds=rounds_table(survey, False, "survey-rounds-paired"),
        scaling=scaling_table(survey, [survey.newest], "survey-scaling"),
        other_scaling=scaling_table(survey, others, "survey-scaling-others"),
        prices=prices_table(survey),
        cost_summary=cost_summary_table(survey, survey.newest),
        costs=costs_table(survey, survey.newest, "survey-costs"),
        results=[(round_, results_table(survey, round_)) for round_ in newest_first],
    )
