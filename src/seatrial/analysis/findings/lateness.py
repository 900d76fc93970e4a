"""Who is late: from each rank's own time of every step, without waiting, to the place that keeps others waiting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from seatrial.analysis.findings.observed import Estimate, RankTime
from seatrial.analysis.findings.resampling import Array, Quantities
from seatrial.analysis.order import row_medians
from seatrial.analysis.statistics.screening import robust_z
from seatrial.analysis.statistics.series import block_bootstrap_interval

TOTAL, RANDOM, PERSISTENT = "late_total", "late_random", "late_persistent"
FEWEST_FOR_Z = 3
MOST_VALUES = 2000
"""Of a longer series every k-th value is taken for the interval of its median."""
SHARED = 0.5
"""A host is the place where its other ranks are slow by at least this much of what its slowest rank is."""
Place = tuple[str, int | None]
"""A host with all of its ranks, or one rank: its host and which of the host's ranks it is."""


@dataclass(frozen=True)
class Late:
    """Seconds of lateness by step for each run, and the slowest place, or the slow ones where there are several."""

    by_run: Sequence[Mapping[str, Array]]
    slow: tuple[Place, ...]
    ranks: tuple[int, ...]
    places: int
    over_median: Estimate | None
    z: float | None
    slowest_in: float | None

    def named(self) -> dict[str, Any]:
        """What an observed Lateness says of the place, or of the places together."""
        hosts = tuple(dict.fromkeys(host for host, _ in self.slow))
        by_rank = self.slow[0][1] is not None
        words = (f"rank {rank} of {host}" for rank, (host, _) in zip(self.ranks, self.slow, strict=False))
        return {
            "place": ", ".join(words if by_rank else hosts),
            "host": hosts[0] if len(hosts) == 1 else None,
            "hosts": hosts,
            "slow_places": len(self.slow),
            "ranks": self.ranks,
            "places": self.places,
            "over_median": self.over_median,
            "robust_z": self.z,
            "slowest_in": self.slowest_in,
        }


def late_ranks(runs: Sequence[tuple[Array | None, Sequence[str]]], slower: float) -> Late | None:
    """Lateness of runs, each [steps, ranks] of own times with the hosts of the ranks; None without own times.

    Places are compared by their median own time of a step over that of all ranks. A host is one place; where but
    one of its ranks is slow, or all are on one host, ranks are. Slow places are over 1 + `slower` times the fastest
    half; where several are, they are judged together: beside each other none would stand out.
    """
    known = [(own, tuple(hosts)) for own, hosts in runs if own is not None and own.shape[1] > 1]
    if len(known) < len(runs) or not known:
        return None
    slowness = _slowness(known)
    hosts = {host for host, _ in slowness}
    by_host: dict[Place, float] = {
        (host, None): float(np.median([s for (h, _), s in slowness.items() if h == host])) for host in hosts
    }
    slowest = max(slowness, key=lambda rank: slowness[rank])
    above = slowness[slowest] - 1
    siblings = [s for rank, s in slowness.items() if rank[0] == slowest[0] and rank != slowest]
    whole_host = len(hosts) > 1 and (not siblings or float(np.median(siblings)) - 1 >= SHARED * above)
    compared: Mapping[Place, float] = by_host if whole_host else slowness
    slow = _slow_places(compared, (slowest[0], None) if whole_host else slowest, slower)
    ratios, last = _against_others(known, slow)
    newest = known[-1][1] if _ranks_of(known[-1][1], slow) else known[0][1]
    return Late(
        by_run=[_by_step(own, hosts, slowness, slow) for own, hosts in known],
        slow=slow,
        ranks=tuple(rank for place in slow for rank in _ranks_of(newest, [place])),
        places=len(compared),
        over_median=_median_ratio(ratios),
        z=_distance(compared, slow),
        slowest_in=float(np.mean(last)) if len(last) else None,
    )


def _slow_places(compared: Mapping[Place, float], slowest: Place, slower: float) -> tuple[Place, ...]:
    """All over 1 + `slower` times the median of the fastest half, at most half of all; else the slowest alone."""
    fastest = sorted(compared.values())[: -(-len(compared) // 2)]
    bound = (1 + slower) * float(np.median(fastest))
    found = sorted((place for place in compared if compared[place] > bound), key=str)
    return tuple(found) if slowest in found and len(found) <= len(compared) / 2 else (slowest,)


def _distance(compared: Mapping[Place, float], slow: Sequence[Place]) -> float | None:
    """The robust z of the least slow of the slow places among those that are not; None where there are too few."""
    if len(compared) < FEWEST_FOR_Z:
        return None
    others = [ratio for place, ratio in compared.items() if place not in slow]
    return robust_z([*others, min(compared[place] for place in slow)])[-1]


def rank_times(own: Array | None, step: Array, hosts: Sequence[str]) -> tuple[RankTime, ...]:
    """Each rank's median own time, and its wait: what of the longest rank's step is not its own."""
    if own is None:
        return ()
    waits = row_medians(np.maximum(0.0, step[:, None] - own).T).tolist()
    middles = row_medians(own.T).tolist()
    return tuple(
        RankTime(rank, middles[rank], hosts[rank] if rank < len(hosts) else None, waits[rank])
        for rank in range(own.shape[1])
    )


def thinned(series: Array) -> Array:
    """Every k-th value, so that at most MOST_VALUES are left."""
    return series[:: -(-len(series) // MOST_VALUES)]


def _places_of(hosts: Sequence[str], ranks: int) -> list[Place]:
    """Each rank by its host and its place there, which are the same in every run on that host."""
    known = _places(tuple(hosts))
    return [known[rank] if rank < len(known) else ("one host", rank) for rank in range(ranks)]


@lru_cache(maxsize=16)
def _places(hosts: tuple[str, ...]) -> tuple[Place, ...]:
    """The place of every rank that has a host."""
    seen: Counter[str] = Counter()
    places: list[Place] = []
    for host in hosts:
        places.append((host, seen[host]))
        seen[host] += 1
    return tuple(places)


def _slowness(known: Sequence[tuple[Array, Sequence[str]]]) -> dict[Place, float]:
    """Each rank's own time over the median rank's in the same step: the median over steps, the least over runs.

    The least, because a place that was slow in one run alone is not slow by itself.
    """
    found: dict[Place, list[float]] = {}
    for own, hosts in known:
        ratios = row_medians((own / row_medians(own)[:, None]).T)
        for place, ratio in zip(_places_of(hosts, len(ratios)), ratios.tolist(), strict=True):
            found.setdefault(place, []).append(ratio)
    return {place: min(ratios) for place, ratios in sorted(found.items(), key=str)}


def _ranks_of(hosts: Sequence[str], places: Sequence[Place], ranks: int | None = None) -> tuple[int, ...]:
    found = _places_of(hosts, len(hosts) if ranks is None else ranks)
    wanted = set(places)
    return tuple(rank for rank, (host, one) in enumerate(found) if (host, one) in wanted or (host, None) in wanted)


def _by_step(
    own: Array, hosts: Sequence[str], slowness: Mapping[Place, float], slow: Sequence[Place]
) -> dict[str, Array]:
    """Seconds of each step: waiting for the last rank, by chance alone, and because of the slow places."""
    last = own.max(axis=1)
    usual = np.array([slowness[place] for place in _places_of(hosts, own.shape[1])])
    alike = own / usual
    of_slow = list(_ranks_of(hosts, slow, own.shape[1]))
    others = np.delete(own, of_slow, axis=1)
    saved = last - others.max(axis=1) if of_slow and others.shape[1] else np.zeros(len(own))
    return {
        TOTAL: last - own.mean(axis=1),
        RANDOM: alike.max(axis=1) - alike.mean(axis=1),
        PERSISTENT: np.maximum(0.0, saved),
    }


def _against_others(known: Sequence[tuple[Array, Sequence[str]]], slow: Sequence[Place]) -> tuple[Array, Array]:
    """Of every step in which the slow places took part: their time over the others' median, and who was last.

    A place's time is its longest rank's; of several places the median rank's, as the longest of many is longer by
    chance alone.
    """
    ratios, last = [np.empty(0)], [np.empty(0)]
    for own, hosts in known:
        of_slow = list(_ranks_of(hosts, slow, own.shape[1]))
        others = np.delete(own, of_slow, axis=1)
        if of_slow and others.shape[1]:
            longest = own[:, of_slow].max(axis=1)
            time = longest if len(slow) == 1 else row_medians(own[:, of_slow])
            ratios.append(time / row_medians(others))
            last.append((longest >= others.max(axis=1)) * 1.0)
    return np.concatenate(ratios), np.concatenate(last)


def _median_ratio(ratios: Array) -> Estimate | None:
    """The median over steps; the interval of the mean, where the series is too short for the median's."""
    if not len(ratios):
        return None
    middle = float(np.median(ratios))
    found = block_bootstrap_interval(thinned(ratios).tolist())
    if found.low is not None:
        return Estimate(middle, found.low, found.high, found.method, len(ratios))
    mean = Quantities([{"ratio": ratios, "steps": np.ones(len(ratios))}]).share("ratio", ["steps"], cut=False)
    if mean.low is None or mean.high is None:
        return Estimate(middle, method=mean.method, n=len(ratios))
    return Estimate(middle, min(middle, mean.low), max(middle, mean.high), f"{mean.method}, of the mean", mean.n)
