"""In which order the members of a group stand: who is whose neighbour."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from itertools import pairwise

Link = frozenset[int]
"""Two members."""


def number_of_chains(members: int) -> int:
    """How many chains of all members there are before a pair of neighbours comes again; together they have all."""
    return (members + 1) // 2


def chain(members: int, seed: int, number: int) -> list[int]:
    """All members (0, 1, ...) in chain `number` of `number_of_chains`: no two chains share a pair of neighbours.

    The zigzag paths j, j+1, j-1, j+2, ... of Walecki, into which a complete graph of even order falls apart, over
    members shuffled by `seed`. An odd number is one less than an even one: where a path meets the member that is
    not there, its neighbours become neighbours, which another chain may have too.
    """
    shuffled = list(range(members))
    random.Random(f"screen/{seed}").shuffle(shuffled)
    even = members + members % 2
    places = [number]
    for step in range(1, even // 2 + 1):
        places += [number + step, number - step]
    found = [place % even for place in places[:even]]
    return [shuffled[place] for place in found if place < members]


def neighbours(order: Sequence[int]) -> list[Link]:
    """The pairs of neighbours, in order."""
    return [frozenset(pair) for pair in pairwise(order)]


def kept_apart(order: Sequence[int], links: Collection[Link]) -> list[int]:
    """The same members with no pair of `links` as neighbours, by moving the later one of a pair on.

    Where there is no such place, that member is left out.
    """
    found: list[int] = []
    waiting: list[int] = []
    for member in order:
        for candidate in [*waiting, member]:
            if not found or frozenset((found[-1], candidate)) not in links:
                found.append(candidate)
                waiting = [m for m in [*waiting, member] if m != candidate]
                break
        else:
            waiting.append(member)
    return found
