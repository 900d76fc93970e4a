"""Inputs of different dates, in words: a price of one year beside one of another compares two markets."""

from __future__ import annotations

from collections.abc import Iterable

from seatrial.analysis.decisions.decision import Input
from seatrial.analysis.decisions.words import listed
from seatrial.units import parse_month

MONTHS_APART = 12
"""More than this apart is said: within a year the page calls no dated fact old either (`units.age_in_words`)."""


def apart(inputs: Iterable[Input], beside: Input, name: str) -> list[str]:
    """Which of `inputs` are more than MONTHS_APART months older or newer than `beside`, whose name in words is
    `name`; one sentence, or none. Of a year without a month, the month that is nearest counts ("at least").
    """
    if beside.as_of is None:
        return []
    found: dict[str, list[str]] = {"older": [], "newer": []}
    for one in inputs:
        if one.as_of is None:
            continue
        (low, high), (low_beside, high_beside) = _months(one.as_of), _months(beside.as_of)
        exact = low == high and low_beside == high_beside
        for word, months in (("older", low_beside - high), ("newer", low - high_beside)):
            if months > MONTHS_APART:
                found[word].append(f"{one.name} ({one.as_of}) is {'' if exact else 'at least '}{months} months")
    said = [f"{listed(names)} {word} than {name} ({beside.as_of})" for word, names in found.items() if names]
    return [f"inputs of one date: {'; '.join(said)}, and none of them is brought to one date"] if said else []


def _months(as_of: str) -> tuple[int, int]:
    """The first and the last month that a date can mean, counted from year 0."""
    first = parse_month(as_of)
    month = 12 * first.year + first.month - 1
    return (month, month) if "-" in as_of else (month, month + 11)
