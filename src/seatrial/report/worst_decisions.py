"""The order in which few of many decisions are shown: of every kind the worst first."""

from __future__ import annotations

import math
from collections.abc import Sequence

from seatrial.analysis.decisions.cost import KIND as COST
from seatrial.analysis.decisions.decision import Decision
from seatrial.analysis.decisions.finish_date import KIND as FINISH_DATE
from seatrial.analysis.decisions.procurement.decide import KIND as PROCUREMENT

MORE_IS_WORSE = (PROCUREMENT, COST, FINISH_DATE)
"""Kinds whose first figure is the worse the more it is: days and money."""


def worst_first(decisions: Sequence[Decision]) -> list[Decision]:
    """All decisions, those of a kind of `MORE_IS_WORSE` in the places of that kind: not known first, then the most.

    Proposals side by side stay where they are.
    """
    ordered = list(decisions)
    for kind in MORE_IS_WORSE:
        ranked = [(n, one) for n, one in enumerate(decisions) if one.kind == kind and not side_by_side(one)]
        places = [n for n, _ in ranked]
        for place, (_, one) in zip(places, sorted(ranked, key=lambda each: _least_good(each[1])), strict=True):
            ordered[place] = one
    return ordered


def worst_of_each_kind(decisions: Sequence[Decision], most: int) -> list[Decision]:
    """`most` of decisions ordered by `worst_first`, and the first of every kind though there are more kinds."""
    first: dict[str, int] = {}
    for place, one in enumerate(decisions):
        if not side_by_side(one):
            first.setdefault(one.kind, place)
    firsts = list(first.values())
    others = [place for place in range(len(decisions)) if place not in firsts]
    return [decisions[place] for place in sorted([*firsts, *others][: max(most, len(firsts))])]


def side_by_side(one: Decision) -> bool:
    """Whether a decision has no input of its own and sets the proposals of a procurement beside each other."""
    return one.kind == PROCUREMENT and not one.inputs


def _least_good(one: Decision) -> float:
    value = one.figures[0].value if one.figures else None
    return -math.inf if value is None else -value
