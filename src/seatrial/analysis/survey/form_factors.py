"""The same chip on NVLink and as PCIe cards: time against time at the same benchmark, round and count.

The links need not be all that differs: forms have clocks, power limits and memory of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from seatrial.analysis.survey.results import Like, Row, Surveyed, by_like, numbers, submitters

COLUMNS = (
    "round",
    "partial",
    "benchmark",
    "accelerators",
    "linked_family",
    "linked_minutes",
    "linked_results",
    "linked_submitters",
    "card_family",
    "card_minutes",
    "card_results",
    "card_submitters",
    "ratio",
    "linked_result_numbers",
    "card_result_numbers",
)


def form_factor_rows(results: Sequence[Surveyed], pairs: Iterable[tuple[str, str]]) -> list[Row]:
    """tables/survey_form_factors.csv: `ratio` is the cards' median time over the linked ones', whatever their n.

    `pairs` are (linked, card) families; a row per pair, round, benchmark and count that both have.
    """
    groups = by_like(results)
    rows: list[Row] = []
    for linked, card in dict.fromkeys(pairs):
        for like, group in groups.items():
            other = groups.get(like._replace(family=card))
            if like.family == linked and other:
                rows.append(_row(like, group, card, other))
    return rows


def _row(like: Like, linked: list[Surveyed], card: str, cards: list[Surveyed]) -> Row:
    linked_minutes, card_minutes = median(s.minutes for s in linked), median(s.minutes for s in cards)
    return {
        "round": like.round,
        "partial": linked[0].partial,
        "benchmark": like.benchmark,
        "accelerators": like.accelerators,
        "linked_family": like.family,
        "linked_minutes": linked_minutes,
        "linked_results": len(linked),
        "linked_submitters": submitters(linked),
        "card_family": card,
        "card_minutes": card_minutes,
        "card_results": len(cards),
        "card_submitters": submitters(cards),
        "ratio": card_minutes / linked_minutes,
        "linked_result_numbers": numbers(linked),
        "card_result_numbers": numbers(cards),
    }
