"""What MLCommons asks of whoever shows MLPerf results: the words for own results and the citation of others'.

The wording follows MLCommons' MLPerf Results Messaging Guidelines (github.com/mlcommons/policies).
"""

from __future__ import annotations

import datetime as dt

from seatrial.reference.names import PUBLISHED_ON
from seatrial.reference.published import TABLE_DATE as TABLE_DATE
from seatrial.reference.published import PublishedResult
from seatrial.reference.table_file import UNVERIFIED as NOT_PUBLISHED

TRADEMARK = (
    "The MLPerf™ name and logo are trademarks of MLCommons Association in the United States and other countries. "
    "All rights reserved. Unauthorized use strictly prohibited. See www.mlcommons.org for more information."
)
UNVERIFIED = "Result not verified by MLCommons Association."
"""Must stand with every own result of an MLPerf benchmark, whose score is called `unverified`."""
UNVERIFIED_BESIDE_VERIFIED = (
    "Unverified results have not been through an MLPerf™ review and may use measurement methodologies and/or "
    "workload implementations that are inconsistent with the MLPerf™ specification for verified results."
)
"""Must stand where an own result is compared with a published one."""
DERIVED = (
    "Medians, quartiles and ratios are derived by Seatrial from published MLPerf™ Training scores. They are not "
    "MLPerf™ scores and are not sanctioned by MLCommons Association."
)
LICENCE = (
    "The published figures were computed from the result logs in MLCommons' result repositories "
    "(Apache License 2.0, MLCommons and submitters)."
)
ORIGIN = {
    "official": "score computed from the published logs, equal to MLCommons' own tool",
    "submitter": "score from the submitter's own summary file",
    "recomputed": "score recomputed from a public copy of the logs",
    "rounded": "rounded figure of a public claim",
    "unverified": UNVERIFIED.rstrip("."),
}


def notice(own_results: bool) -> tuple[str, ...]:
    """The sentences that a page with published results must carry; `own_results`: it shows own ones beside them."""
    own = (UNVERIFIED, UNVERIFIED_BESIDE_VERIFIED) if own_results else ()
    return (*own, DERIVED, LICENCE, TRADEMARK)


def cite(result: PublishedResult, retrieved: dt.date | None = None) -> str:
    """The citation of one published result: submitter, system, benchmark, round, division, score, date and source.

    `retrieved` None: the day that the result's table records. The result repositories do not hold MLCommons' result
    ids, and the citation says so. A result that is not published is cited as unverified, in MLCommons' words.
    """
    if result.confidence == NOT_PUBLISHED:
        hardware = f"{result.accelerators} x {result.accelerator_family}"
        return (
            f"Unverified: {result.submitter}, {result.system} ({hardware}): "
            f"MLPerf™ Training {result.round} {result.benchmark}, {result.minutes:.4g} minutes; "
            f"{ORIGIN[result.confidence]}; scored from logs in {result.source}"
            f"{_retrieved(retrieved or result.retrieved)}."
        )
    return (
        f"{result.submitter}, {result.system} ({result.accelerators} x {result.accelerator_family}): "
        f"MLPerf™ Training {result.round} {result.division.capitalize()} {result.benchmark}, "
        f"{result.minutes:.4g} minutes; {ORIGIN[result.confidence]}; {published_on(result.round)}"
        f"retrieved from {result.source}{_retrieved(retrieved or result.retrieved)}; "
        "result id not in the repository."
    )


def published_on(round_: str) -> str:
    """'published 12 November 2025; ', or nothing of a round whose day Seatrial does not know."""
    published = PUBLISHED_ON.get(round_)
    return f"published {_day(published)}; " if published is not None else ""


def _retrieved(day: dt.date | None) -> str:
    return f" on {_day(day)}" if day is not None else ", day not recorded"


def _day(date: dt.date) -> str:
    return f"{date.day} {date:%B %Y}"
