"""What a survey's tables amount to, in sentences: every finding is counted in the rows that it is about."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.analysis.survey.rounds import MEDIANS
from seatrial.report.survey_cells import times, whole
from seatrial.report.survey_tables import Row
from seatrial.report.table import count

SAME_ACCELERATORS = "What rounds changed on the same accelerators"
MOVED = 0.05
"""Medians that change by less than this have stayed where they were."""


def size_in_words(spread: Sequence[Row]) -> str:
    """In how many benchmarks the results lie closer together per accelerator than in time, and in which not.

    `spread`: rows of tables/survey_spread.csv; those without both ratios say nothing, without any: ''.
    """
    both = [row for row in spread if row["ratio"] is not None and row["chip_ratio"] is not None]
    if not both:
        return ""
    not_closer = [row for row in both if row["chip_ratio"] >= row["ratio"]]
    words = (
        f"Per accelerator the results lie closer together than in time in {len(both) - len(not_closer)} of "
        f"{count(len(both), 'benchmark')}"
    )
    named = ", ".join(f"{r['benchmark']} ({times(r['ratio'])} and {times(r['chip_ratio'])})" for r in not_closer)
    return f"{words}, not in {named}." if named else f"{words}."


def changes_in_words(rounds: Sequence[Row]) -> str:
    """How many medians fell, stayed and rose from one round to the next, and how much of them was carried over.

    `rounds`: rows of tables/survey_rounds.csv.
    """
    followed = [row for row in rounds if row["basis"] == MEDIANS]
    if not followed:
        return "No family and count has a median in two consecutive rounds."
    fell = sum(row["ratio"] <= 1 - MOVED for row in followed)
    rose = sum(row["ratio"] >= 1 + MOVED for row in followed)
    later = sum(whole(row["to_results"]) for row in followed)
    carried = sum(whole(row["carried_over"]) for row in followed)
    limit = f"{100 * MOVED:g} %"
    return (
        f"Of {count(len(followed), 'median')} that can be followed from one round to the next, {fell} fell by "
        f"{limit} or more, {rose} rose by as much and {len(followed) - fell - rose} stayed within it. Of the "
        f"{later} later results {carried} are earlier ones entered again unchanged. Only benchmark, accelerator "
        "family and count are held: software, hosts, networks and rules may each have changed."
    )


def bends_in_words(scaling: Sequence[Row]) -> str:
    """In how many fits time falls more slowly between the largest two counts than between the smallest two, and how
    far results lie off their lines. `scaling`: rows of tables/survey_scaling.csv; without any: ''."""
    if not scaling:
        return ""
    bent = [row for row in scaling if row["first_exponent"] is not None and row["last_exponent"] is not None]
    flatter = sum(row["last_exponent"] > row["first_exponent"] for row in bent)
    worst = max(scaling, key=lambda row: row["worst_factor"])
    counted = (
        f"Of {count(len(bent), 'fit')} over three counts or more, {flatter} flatten: their medians fall more "
        "slowly from the second largest count to the largest than from the smallest to the next. "
        if bent
        else "No fit has three counts or more, to tell whether it bends. "
    )
    return (
        f"{counted}The result furthest off its line is a factor of {worst['worst_factor']:.2f} away "
        f"({worst['benchmark']} on {worst['accelerator_family']} in {worst['round']})."
    )
