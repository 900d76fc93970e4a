"""What a published result costs at the study's prices: accelerators x hours x the price of an accelerator-hour.

Counted is the time that MLPerf counts, of one run that meets the quality target, and of the runs that a score
needs. Start-up, failed runs, storage and networks are not in it. A family without a price has no cost, not a cost
of 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seatrial.analysis.survey.results import Row, Surveyed
from seatrial.config.survey import FamilyPrice
from seatrial.reference.published import TABLE_DATE
from seatrial.units import parse_month

MINUTES_PER_HOUR = 60.0
NO_PRICE = "no price is known"
NO_ACCELERATORS = "a machine without accelerators has no price of an accelerator-hour"
PRICE_COLUMNS = (
    "accelerator_family",
    "results",
    "low",
    "high",
    "currency",
    "first_as_of",
    "last_as_of",
    "oldest_days",
    "names",
    "source",
    "note",
)
COST_COLUMNS = (
    "result",
    "round",
    "benchmark",
    "submitter",
    "accelerator_family",
    "accelerators",
    "minutes",
    "accelerator_hours",
    "currency",
    "run_low",
    "run_high",
    "runs",
    "score_low",
    "score_high",
    "note",
)


@dataclass(frozen=True)
class FamilyRange:
    """The lowest and the highest price of an accelerator-hour of a family in one currency; None: that end is not
    known."""

    family: str
    currency: str
    low: float | None
    high: float | None
    stated: tuple[FamilyPrice, ...]


def price_ranges(prices: Sequence[FamilyPrice]) -> dict[str, list[FamilyRange]]:
    """By family, a range for each currency."""
    by_currency: dict[tuple[str, str], list[FamilyPrice]] = {}
    for stated in prices:
        by_currency.setdefault((stated.family, stated.price.currency), []).append(stated)
    ranges: dict[str, list[FamilyRange]] = {}
    for (family, currency), found in sorted(by_currency.items()):
        lows = [s.price.low for s in found if s.price.low is not None]
        highs = [s.price.high for s in found if s.price.high is not None]
        ends = min(lows, default=None), max(highs, default=None)
        ranges.setdefault(family, []).append(FamilyRange(family, currency, *ends, tuple(found)))
    return ranges


def price_rows(results: Sequence[Surveyed], ranges: dict[str, list[FamilyRange]]) -> list[Row]:
    """tables/survey_prices.csv: a row per family of the results and currency; `oldest_days` is the age of the
    oldest price on the day of the table of results."""
    counts: dict[str, int] = {}
    for s in results:
        if s.like.accelerators > 0:
            counts[s.like.family] = counts.get(s.like.family, 0) + 1
    rows: list[Row] = []
    for family, n in sorted(counts.items()):
        row: Row = {"accelerator_family": family, "results": n}
        rows += [row | _price_columns(r) for r in ranges.get(family, [])] or [row | {"note": NO_PRICE}]
    return rows


def _price_columns(found: FamilyRange) -> Row:
    dates = sorted((s.price.as_of for s in found.stated), key=parse_month)
    return {
        "low": found.low,
        "high": found.high,
        "currency": found.currency,
        "first_as_of": dates[0],
        "last_as_of": dates[-1],
        "oldest_days": (TABLE_DATE - parse_month(dates[0])).days,
        "names": "; ".join(name for s in found.stated for name in s.names),
        "source": " | ".join(dict.fromkeys(s.price.source for s in found.stated)),
        "note": None if found.low is not None and found.high is not None else "only one end of the range is known",
    }


def cost_rows(results: Sequence[Surveyed], ranges: dict[str, list[FamilyRange]]) -> list[Row]:
    """tables/survey_costs.csv: a row per result and currency, in the results' order.

    `run_low` and `run_high` are what one run costs at both ends of the price range, `score_low` and `score_high`
    the `runs` of the score; empty where price, end or number of runs is not known.
    """
    rows: list[Row] = []
    for s in results:
        hours = None if s.chip_minutes is None else s.chip_minutes / MINUTES_PER_HOUR
        row: Row = {
            "result": s.number,
            "round": s.round,
            "benchmark": s.benchmark,
            "submitter": s.published.submitter,
            "accelerator_family": s.like.family,
            "accelerators": s.like.accelerators,
            "minutes": s.minutes,
            "accelerator_hours": hours,
            "runs": s.published.n_runs,
        }
        if hours is None:
            rows.append(row | {"note": NO_ACCELERATORS})
            continue
        found = ranges.get(s.like.family, [])
        rows += [row | _cost_columns(hours, s.published.n_runs, r) for r in found] or [row | {"note": NO_PRICE}]
    return rows


def _cost_columns(hours: float, runs: int | None, price: FamilyRange) -> Row:
    columns: Row = {"currency": price.currency}
    for end, value in (("low", price.low), ("high", price.high)):
        if value is not None:
            columns[f"run_{end}"] = hours * value
            columns[f"score_{end}"] = hours * value * runs if runs is not None else None
    columns["note"] = None if runs is not None else "the number of runs behind the score is not known"
    return columns
