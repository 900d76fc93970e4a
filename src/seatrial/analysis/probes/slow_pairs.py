"""Which pairs of a fabric are slow, and whether an end that all of them share is the one to blame.

Compared are logarithms of bandwidths, one for each pair. First ends (hosts or ranks) are looked for whose pairs are
slow as a whole, then single pairs among those that are left. What is called slow is more than 5 % slower than the
typical pair and stands out from the spread of the others. That spread is taken as pairs of a uniform fabric have it
(5 %, weighing as much as two pairs) together with the one seen, so that six pairs are enough.

- Ends: t test of an end's pairs against all others, Bonferroni over the ends; three quarters of its pairs must be
  slow.
- Up to 28 pairs: the k slowest against the spread of the rest for every k up to a third of them; critical values
  by simulation of uniform fabrics with 10 % noise (a fixed seed), Bonferroni over k.
- More pairs: robust z (0.6745 (x - median) / MAD) above 3.5, and Benjamini-Hochberg.

At most one uniform fabric in a hundred has a pair, and one an end, called slow at up to 10 % noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from seatrial.analysis.statistics import benjamini_hochberg
from seatrial.analysis.statistics.distributions import t_above

Ends = tuple[str, str]

SLOWER = 0.05
"""Less slow than this is not worth a visit."""
FALSE_ALARMS = 0.01
"""The share of uniform fabrics of which something is called slow."""
FEWEST_PAIRS = 6
"""Those of four ends; of three pairs none can be told from the others."""
MOST_SIMULATED = 28
"""Pairs of eight ends; with more, their own spread is known well enough."""
USUAL_SPREAD, USUAL_WEIGHT = 0.05, 2.0
NOISE = 0.1
LEAST_Z = 3.5
SIMULATIONS = 40_000
MOST_OF_AN_END = 0.75
MAD_EFFICIENCY = 0.37
"""A MAD tells as much of a normal spread as a standard deviation of 37 % as many values."""


@dataclass(frozen=True)
class Judgement:
    """What is slow, with the probability that a uniform fabric shows it by chance.

    `typical` is the median bandwidth of the pairs not called slow. `untold` says in words why nothing could be
    told, where that is so.
    """

    typical: float | None
    pairs: Mapping[Ends, float] = field(default_factory=dict)
    """Slow pairs that no slow end explains."""
    ends: Mapping[str, float] = field(default_factory=dict)
    rule: str = ""
    untold: str = ""

    def is_slow(self, ends: Ends) -> bool:
        """Whether the pair is slow, by itself or because of one of its ends."""
        return ends in self.pairs or any(end in self.ends for end in ends)

    @property
    def common_end(self) -> str | None:
        """The one end that all slow pairs share, where two pairs or more are slow by themselves."""
        shared = set.intersection(*(set(ends) for ends in self.pairs)) if len(self.pairs) > 1 else set()
        return min(shared) if shared else None


def judge(bandwidths: Mapping[Ends, float]) -> Judgement:
    """What is slow among pairs with these bandwidths (all above 0, in any unit)."""
    if not bandwidths:
        return Judgement(None, untold="no pair was measured")
    if len(bandwidths) < FEWEST_PAIRS:
        words = f"too few pairs ({len(bandwidths)}) to tell a slow one from the others; {FEWEST_PAIRS} are enough"
        return Judgement(float(np.median(list(bandwidths.values()))), untold=words)
    slowness = {pair: -math.log(value) for pair, value in bandwidths.items()}
    ends = _slow_ends(slowness)
    left = {pair: value for pair, value in slowness.items() if not set(pair) & set(ends)}
    pairs: dict[Ends, float] = {}
    rule = "none: too few pairs are left"
    if len(left) >= FEWEST_PAIRS:
        few = len(left) <= MOST_SIMULATED
        pairs = _slowest_of_few(left) if few else _slowest_of_many(left)
        rule = "slowest against the rest, simulated" if few else "robust z, Benjamini-Hochberg"
    usual = [value for pair, value in bandwidths.items() if pair not in pairs and not set(pair) & set(ends)]
    return Judgement(float(np.median(usual)), pairs, ends, rule)


def _slow_ends(slowness: Mapping[Ends, float]) -> dict[str, float]:
    """Ends whose pairs are slow as a whole, the clearest first; each is left out before the next is looked for."""
    left, found = dict(slowness), dict[str, float]()
    names = sorted({end for pair in slowness for end in pair})
    while True:
        tested = {name: p for name in names if name not in found and (p := _end_p(left, name)) is not None}
        clearest = min(tested, key=lambda name: tested[name], default=None)
        if clearest is None or tested[clearest] * len(names) > FALSE_ALARMS:
            return found
        found[clearest] = min(1.0, tested[clearest] * len(names))
        left = {pair: value for pair, value in left.items() if clearest not in pair}


def _end_p(slowness: Mapping[Ends, float], end: str) -> float | None:
    """p of the t test of an end's pairs against all others; None where they are few or not slow as a whole."""
    own = np.array([value for pair, value in slowness.items() if end in pair])
    others = np.array([value for pair, value in slowness.items() if end not in pair])
    if len(own) < 3 or len(others) < 3:
        return None
    margin = -math.log(1 - SLOWER)
    if np.mean(own > np.median(others) + margin) < MOST_OF_AN_END or np.median(own) < np.median(others) + margin:
        return None
    degrees = len(own) + len(others) - 2
    seen = float(((own - own.mean()) ** 2).sum() + ((others - others.mean()) ** 2).sum())
    spread = math.sqrt((USUAL_WEIGHT * USUAL_SPREAD**2 + seen) / (USUAL_WEIGHT + degrees))
    t = (own.mean() - others.mean()) / (spread * math.sqrt(1 / len(own) + 1 / len(others)))
    return float(t_above(float(t), USUAL_WEIGHT + degrees))


def _slowest_of_few(slowness: Mapping[Ends, float]) -> dict[Ends, float]:
    """The k slowest pairs, for the largest k at which the fastest of them stands out from all the rest."""
    order = sorted(slowness, key=lambda pair: slowness[pair])
    values = np.array([slowness[pair] for pair in order])
    n, most = len(values), len(values) // 3
    simulated = _uniform_fabrics(n)
    for k in range(most, 0, -1):
        statistic = _standing_out(values[None, :], k)[0]
        at_least = int(np.searchsorted(-simulated[k - 1], -statistic, side="right"))
        p = min(1.0, most * (1 + at_least) / (1 + SIMULATIONS))
        if p <= FALSE_ALARMS and values[n - k] > np.median(values[: n - k]) - math.log(1 - SLOWER):
            return dict.fromkeys(reversed(order[n - k :]), p)
    return {}


def _standing_out(ordered: np.ndarray, k: int) -> np.ndarray:
    """How far the k-th slowest lies above the mean of the rest, over their spread; `ordered`: [fabrics, pairs]."""
    rest = ordered[:, : ordered.shape[1] - k]
    m = rest.shape[1]
    variance = (USUAL_WEIGHT * USUAL_SPREAD**2 + (m - 1) * rest.var(axis=1, ddof=1)) / (USUAL_WEIGHT + m - 1)
    out: np.ndarray = (ordered[:, m] - rest.mean(axis=1)) / np.sqrt(variance * (1 + 1 / m))
    return out


@lru_cache(maxsize=64)
def _uniform_fabrics(n: int) -> list[np.ndarray]:
    """The statistic of simulated uniform fabrics of `n` pairs, largest first, by k from 1."""
    draws = NOISE * np.random.default_rng(n).standard_normal((SIMULATIONS, n))
    draws.sort(axis=1)
    return [np.sort(_standing_out(draws, k))[::-1] for k in range(1, n // 3 + 1)]


def _slowest_of_many(slowness: Mapping[Ends, float]) -> dict[Ends, float]:
    """Pairs with a robust z above LEAST_Z that pass Benjamini-Hochberg at FALSE_ALARMS."""
    order = sorted(slowness, key=lambda pair: slowness[pair], reverse=True)
    values = np.array([slowness[pair] for pair in order])
    above = values - np.median(values)
    degrees = MAD_EFFICIENCY * len(values)
    seen = float(np.median(np.abs(above))) / 0.6745
    spread = math.sqrt((USUAL_WEIGHT * USUAL_SPREAD**2 + degrees * seen**2) / (USUAL_WEIGHT + degrees))
    z = above / spread
    p = t_above(z, USUAL_WEIGHT + degrees)
    passed = np.array(benjamini_hochberg(p.tolist())) <= FALSE_ALARMS
    slow = passed & (z > LEAST_Z) & (above > -math.log(1 - SLOWER))
    return {pair: float(min(1.0, q)) for pair, q, flag in zip(order, p, slow, strict=True) if flag}
