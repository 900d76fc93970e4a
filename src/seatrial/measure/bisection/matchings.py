"""Who sends to whom: random matchings between halves, structured cuts, tournaments of pairs.

Everything here is arithmetic that each rank does for itself with the same result. An endpoint is a host with its
ranks, or on a single host one rank. Where the number of endpoints is odd, one sits out: with random matchings in
turn, with a structured cut the last of its order.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from seatrial.errors import Unsupported


@dataclass(frozen=True)
class Endpoint:
    """What is on one side of a cut as a whole: a host with its ranks by local rank, or one rank."""

    name: str
    host: str
    ranks: tuple[int, ...]


@dataclass(frozen=True)
class Pair:
    """Two endpoints whose ranks exchange messages: each of `ranks` is one rank of either."""

    first: Endpoint
    second: Endpoint
    ranks: tuple[tuple[int, int], ...]

    @property
    def name(self) -> str:
        return f"{self.first.name}-{self.second.name}"

    @property
    def across_hosts(self) -> bool:
        return self.first.host != self.second.host


@dataclass(frozen=True)
class Matching:
    """Disjoint pairs that send at the same time; `idle` names those who sit out although they are meant."""

    pairs: tuple[Pair, ...]
    idle: tuple[str, ...] = ()

    @property
    def rank_pairs(self) -> frozenset[tuple[int, int]]:
        """Who sends to whom: two matchings with the same are one and the same."""
        return frozenset((min(two), max(two)) for pair in self.pairs for two in pair.ranks)

    @property
    def peer_of(self) -> dict[int, int]:
        """The peer of each rank that sends."""
        both = [pair for p in self.pairs for pair in p.ranks]
        return {rank: peer for a, b in both for rank, peer in ((a, b), (b, a))}


def make_endpoints(host_of_rank: Sequence[str]) -> list[Endpoint]:
    """The hosts in the order of their first rank; of a single host its ranks."""
    hosts: dict[str, list[int]] = {}
    for rank, host in enumerate(host_of_rank):
        hosts.setdefault(host, []).append(rank)
    if len(hosts) < 2:
        return rank_endpoints(host_of_rank)
    return [Endpoint(host, host, tuple(ranks)) for host, ranks in hosts.items()]


def require_equal_hosts(what: str, host_of_rank: Sequence[str]) -> None:
    """Raise Unsupported where hosts have different numbers of ranks; `what` is what cannot be done then."""
    counts = Counter(host_of_rank)
    if len(set(counts.values())) > 1:
        words = ", ".join(f"{host} {count}" for host, count in counts.items())
        raise Unsupported(f"{what} equally many ranks on each host; there are {words}")


def rank_endpoints(host_of_rank: Sequence[str]) -> list[Endpoint]:
    """Every rank as an endpoint of its own, named by its host and its place there: node1:0."""
    places: dict[str, int] = {}
    found = []
    for rank, host in enumerate(host_of_rank):
        place = places.get(host, 0)
        places[host] = place + 1
        found.append(Endpoint(f"{host}:{place}", host, (rank,)))
    return found


def random_matching(endpoints: Sequence[Endpoint], seed: int, number: int, size: int) -> Matching:
    """Matching `number` of a repeat: `size` endpoints, random halves, random pairs between them.

    At full scale with an odd number the endpoint that sits out is each in turn; below it, where `size` is odd, the
    last one drawn.
    """
    source = random.Random(f"{seed}/{size}/{number}")
    if size < len(endpoints):
        chosen = source.sample(list(endpoints), size)
        idle = chosen[size - 1 :] if size % 2 else []
    else:
        idle = [endpoints[number % size]] if size % 2 else []
        chosen = [endpoint for endpoint in endpoints if endpoint not in idle]
        source.shuffle(chosen)
    half = size // 2
    pairs = zip(chosen[:half], chosen[half : 2 * half], strict=True)
    return _matching(pairs, idle)


def number_of_matchings(endpoints: int, size: int) -> int:
    """Different sets of pairs among `size` of so many endpoints, over all halves.

    C(N, 2m) (2m - 1)!! with m = size // 2. Which half an endpoint is in makes no difference: both halves send.
    """
    paired = 2 * (size // 2)
    return math.comb(endpoints, paired) * math.prod(range(1, paired, 2))


def different_matchings(endpoints: Sequence[Endpoint], seed: int, wanted: int, size: int) -> list[Matching]:
    """`wanted` different random matchings of `size` endpoints, or every one where there are no more."""
    if wanted >= number_of_matchings(len(endpoints), size):
        return list(every_matching(endpoints, size))
    found: dict[frozenset[tuple[int, int]], Matching] = {}
    number = 0
    while len(found) < wanted:
        drawn = random_matching(endpoints, seed, number, size)
        found.setdefault(drawn.rank_pairs, drawn)
        number += 1
    return list(found.values())


def every_matching(endpoints: Sequence[Endpoint], size: int) -> Iterator[Matching]:
    """Every set of size // 2 disjoint pairs once; at full scale an endpoint without a pair is one that sits out."""
    for chosen in combinations(endpoints, 2 * (size // 2)):
        idle = [end for end in endpoints if end not in chosen] if size == len(endpoints) else []
        for pairs in _all_pairings(chosen):
            yield _matching(pairs, idle)


def _all_pairings(endpoints: Sequence[Endpoint]) -> Iterator[list[tuple[Endpoint, Endpoint]]]:
    if not endpoints:
        yield []
        return
    first, *others = endpoints
    for place, other in enumerate(others):
        for rest in _all_pairings(others[:place] + others[place + 1 :]):
            yield [(first, other), *rest]


def shifted(endpoints: Sequence[Endpoint]) -> Matching:
    """Endpoint i with i + N/2: the shift by half the number, which a fat tree routes worst."""
    half = len(endpoints) // 2
    return _matching(zip(endpoints[:half], endpoints[half : 2 * half], strict=True), endpoints[2 * half :])


def mirrored(endpoints: Sequence[Endpoint]) -> Matching:
    """First half against second half of the order, the first with the last."""
    half = len(endpoints) // 2
    return _matching(
        zip(endpoints[:half], reversed(endpoints[half : 2 * half]), strict=True), endpoints[2 * half :]
    )


def by_group(endpoints: Sequence[Endpoint], group_of: Mapping[str, str]) -> Matching:
    """Endpoints in the order of their groups (switches, racks), the first half against the second.

    `group_of` names each host's group. Groups of equal size stay whole where their number is even. Raises
    ValueError where all are in one group.
    """
    order: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        order.setdefault(group_of[endpoint.host], []).append(endpoint)
    if len(order) < 2:
        raise ValueError(f"all of them are in {next(iter(order))}")
    return shifted([endpoint for name in sorted(order) for endpoint in order[name]])


def by_rail(endpoints: Sequence[Endpoint]) -> Matching:
    """Lower local ranks of every host against upper ones of the host half their number away.

    Traffic between rails cannot stay below a rail's own switch. With an odd number of ranks on a host the middle
    one sits out. Raises ValueError where a host has one rank or there is one host.
    """
    rails = min(len(endpoint.ranks) for endpoint in endpoints)
    if len({endpoint.host for endpoint in endpoints}) < 2 or rails < 2:
        raise ValueError("rails need two hosts or more with two ranks or more on each")
    half, away = rails // 2, len(endpoints) // 2
    pairs = []
    for place, endpoint in enumerate(endpoints):
        other = endpoints[(place + away) % len(endpoints)]
        ranks = tuple(zip(endpoint.ranks[:half], other.ranks[rails - half : rails], strict=True))
        pairs.append(Pair(endpoint, other, ranks))
    middle = (f"local rank {half} of every host",) if rails % 2 else ()
    return Matching(tuple(pairs), middle)


def tournament(endpoints: Sequence[Endpoint], most: int) -> list[Matching]:
    """Rounds of disjoint pairs in which every pair of endpoints meets once (circle method), `most` of them at most.

    Of more rounds `most` are taken at even distances: each has every endpoint once, so that all are in equally many
    pairs. Hosts send by their first rank. With an odd number one sits out in each round, all in turn.
    """
    seats: list[Endpoint | None] = list(endpoints)
    if len(seats) % 2:
        seats.append(None)
    rounds, half, all_rounds = [], len(seats) // 2, len(seats) - 1
    taken = min(most, all_rounds)
    for number in (i * all_rounds // taken for i in range(taken)):
        turned = [seats[0], *seats[all_rounds + 1 - number :], *seats[1 : all_rounds + 1 - number]]
        facing = list(zip(turned[:half], reversed(turned[half:]), strict=True))
        pairs = [_by_first_ranks(a, b) for a, b in facing if a is not None and b is not None]
        idle = tuple(e.name for pair in facing if None in pair for e in pair if e is not None)
        rounds.append(Matching(tuple(pairs), idle))
    return rounds


def one_by_one(endpoints: Sequence[Endpoint]) -> list[Matching]:
    """Every pair of endpoints, each a matching by itself; hosts send by their first rank."""
    order = list(endpoints)
    return [Matching((_by_first_ranks(a, b),)) for place, a in enumerate(order) for b in order[place + 1 :]]


def _by_first_ranks(a: Endpoint, b: Endpoint) -> Pair:
    """The pair by the first rank of either, the lower rank first whoever comes first in a round."""
    first, second = (a, b) if a.ranks[0] < b.ranks[0] else (b, a)
    return Pair(first, second, ((first.ranks[0], second.ranks[0]),))


def _matching(pairs: Iterable[tuple[Endpoint, Endpoint]], idle: Sequence[Endpoint]) -> Matching:
    made = []
    for a, b in pairs:
        first, second = (a, b) if a.ranks[0] < b.ranks[0] else (b, a)
        made.append(Pair(first, second, tuple(zip(first.ranks, second.ranks, strict=True))))
    return Matching(tuple(made), tuple(endpoint.name for endpoint in idle))
