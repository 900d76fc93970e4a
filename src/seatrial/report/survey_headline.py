"""What the first screen says of a survey."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from statistics import median

from seatrial.report.headline_figure import Figure
from seatrial.report.survey_cells import whole
from seatrial.report.survey_claims import NOT_ADDRESSED, WORDS_OF_VERDICT
from seatrial.report.survey_tables import SurveyTables
from seatrial.report.table import MULTIPLY, Link, count, ratio_words
from seatrial.units import format_figure


def survey_headline(survey: SurveyTables) -> list[Figure]:
    """How much was surveyed, how far results lie apart, how many have a median, and how the claims fare."""
    figures = [_from(_results(survey), "Results", "results")]
    figures += [_from(figure, "Spread", "spread") for figure in _spread(survey)]
    figures.append(_from(_medians(survey), "Medians", "medians", "coverage"))
    return [*figures, _from(_claims(survey), "Claims", "claims")] if survey.claims else figures


def _from(figure: Figure, words: str, section: str, file: str = "") -> Figure:
    """The figure with its section and its table."""
    name = f"survey_{file or section}.csv"
    return replace(figure, sources=(Link(words, f"survey-{section}"), Link(name, file=f"tables/{name}")))


def _results(survey: SurveyTables) -> Figure:
    rounds = survey.surveyed_rounds
    which = rounds[0] if len(rounds) == 1 else f"{rounds[0]} to {rounds[-1]}"
    partial = f"; {', '.join(survey.partial_rounds)} in part" if survey.partial_rounds else ""
    submitters = len({row["submitter"] for row in survey.results})
    return Figure("Published results", f"{len(survey.results):,}", f"{which}, {submitters} submitters{partial}")


def _spread(survey: SurveyTables) -> list[Figure]:
    rows = [row for row in survey.spread if row["round"] == survey.newest and row["ratio"] is not None]
    if not rows:
        return []
    per_chip = [row["chip_ratio"] for row in rows if row["chip_ratio"] is not None]
    equals = [row["widest_ratio"] for row in rows if row["widest_ratio"] is not None]
    parts = [f"middle of {count(len(rows), 'benchmark')} of {survey.newest}"]
    parts += [f"{ratio_words(median(per_chip))} {MULTIPLY} per accelerator"] if per_chip else []
    parts += [f"{ratio_words(median(equals))} {MULTIPLY} among equals"] if equals else []
    value = format_figure(median(row["ratio"] for row in rows), 3)
    return [Figure("Slowest over fastest", value, "; ".join(parts), unit=MULTIPLY)]


def _medians(survey: SurveyTables) -> Figure:
    row = next(row for row in survey.coverage if row["round"] == survey.newest)
    inside, all_ = whole(row["results_with_median"]), whole(row["results"])
    share = f"{100 * inside / all_:.0f}" if all_ else "0"
    groups = f"{whole(row['groups_with_median'])} of {whole(row['groups'])} groups of equals"
    return Figure(
        "With a like-for-like median", share, f"{inside} of {all_} results of {survey.newest}: {groups}", unit="%"
    )


def _claims(survey: SurveyTables) -> Figure:
    counts = Counter(row["verdict"] for row in survey.claims)
    judged = sum(n for verdict, n in counts.items() if verdict != NOT_ADDRESSED)
    others = [f"{counts[v]} {words}" for v, words in WORDS_OF_VERDICT.items() if v != "borne_out" and counts[v]]
    others += [f"{counts[NOT_ADDRESSED]} not addressed by these data"] if counts[NOT_ADDRESSED] else []
    return Figure("Claims borne out", f"{counts['borne_out']} of {judged}", ", ".join(others) or "no others")
