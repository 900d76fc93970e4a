"""Loads: with what probability a token's choices include each expert, iteration by iteration.

A load is an array `inclusion` [iterations, experts] whose rows sum to top_k and exceed 1 nowhere: a token chooses
top_k different experts. A Dirichlet-multinomial's concentration is calibrated numerically, because what is asked is
the Gini of *counts*, to which chance adds when tokens are few.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.config.probe.moe_alltoall import AdversarialLoad, UniformLoad, ZipfLoad

if TYPE_CHECKING:
    import numpy as np

GINI_TOLERANCE = 0.01
"""How far the realised Gini, the mean over the iterations, may lie from what was asked."""
POPULARITY, ORDERS = 1, 2
"""Streams of random numbers that all ranks share, beside those of each rank's tokens."""
LEAST_CONCENTRATION, MOST_CONCENTRATION = 1e-2, 1e7
NOISE_DRAWS = 20_000
"""Normal numbers that stand for the chance of counts while a concentration is sought."""


def gini(counts: np.ndarray) -> np.ndarray:
    """Gini coefficient of `counts` [..., n] along the last axis: sum of (2i - n - 1) x_i / (n sum x), ascending."""
    import numpy as np

    n = counts.shape[-1]
    ascending = np.sort(counts, axis=-1).astype(np.float64)
    return np.asarray((ascending @ (2.0 * np.arange(1, n + 1) - n - 1)) / (n * ascending.sum(axis=-1)))


def gini_floor(tokens: int, top_k: int, experts: int) -> float:
    """Gini of the experts' counts that chance alone gives where all are equally likely; `tokens` of all ranks.

    Counts of N tokens that choose k different of E experts have a variance of differences of 2 N k (E - k) /
    (E (E - 1)); the mean absolute difference of normal values is sqrt(2/pi) times its root, and the Gini of a
    sample (E - 1) / E times that over twice the mean count N k / E.
    """
    if experts == top_k or experts == 1:
        return 0.0
    variance = 2 * tokens * top_k * (experts - top_k) / (experts * (experts - 1))
    return math.sqrt(2 / math.pi * variance) * (experts - 1) / (2 * tokens * top_k)


def least_tokens(target: float, top_k: int, experts: int) -> int:
    """Tokens of all ranks from which on the floor is not above `target`: it falls with the root of tokens."""
    return max(1, math.ceil((gini_floor(1, top_k, experts) / target) ** 2))


def inclusion_of(popularity: np.ndarray, top_k: int) -> np.ndarray:
    """Probabilities that a token's choices include each expert, proportional to `popularity` [..., experts].

    At most 1 each, `top_k` together: what an expert that every token chooses cannot take goes to the others.
    """
    import numpy as np

    likely = np.maximum(popularity, popularity.max(axis=-1, keepdims=True) * 1e-12)
    full = np.zeros(likely.shape, dtype=bool)
    while True:
        room = top_k - full.sum(axis=-1, keepdims=True)
        free = np.where(full, 0.0, likely)
        shares = free * room / np.maximum(free.sum(axis=-1, keepdims=True), np.finfo(float).tiny)
        over = ~full & (shares > 1)
        if not over.any():
            return np.where(full, 1.0, shares)
        full |= over


def plain_inclusion(
    load: UniformLoad | ZipfLoad | AdversarialLoad, top_k: int, experts: int, iterations: int, seed: int
) -> np.ndarray:
    """Inclusion [iterations, experts] of the loads that need no calibration."""
    import numpy as np

    if isinstance(load, UniformLoad):
        return np.full((iterations, experts), top_k / experts)
    generator = np.random.default_rng([seed, ORDERS])
    places = generator.permuted(np.tile(np.arange(experts), (iterations, 1)), axis=1)
    if isinstance(load, ZipfLoad):
        return inclusion_of((1.0 + places) ** -load.exponent, top_k)
    return np.where(places == 0, load.share, (top_k - load.share) / (experts - 1))


@dataclass(frozen=True)
class Dirichlet:
    """Dirichlet draws by inversion: the same random numbers give draws that move with the concentration."""

    top_k: int
    quantiles: np.ndarray
    """[iterations, experts], uniform."""
    noise: np.ndarray
    """[several, iterations, experts], standard normal."""

    @classmethod
    def drawn(cls, top_k: int, experts: int, iterations: int, seed: int) -> Dirichlet:
        import numpy as np

        generator = np.random.default_rng([seed, POPULARITY])
        several = max(1, math.ceil(NOISE_DRAWS / (iterations * experts)))
        quantiles = generator.random((iterations, experts))
        return cls(top_k, quantiles, generator.standard_normal((several, iterations, experts)))

    def inclusion(self, concentration: float) -> np.ndarray:
        """[iterations, experts]: gamma variates by their inverse distribution, as popularity."""
        from scipy.special import gammaincinv

        return inclusion_of(gammaincinv(concentration, self.quantiles), self.top_k)

    def expected_gini(self, concentration: float, tokens: int) -> float:
        """About the mean Gini of the counts of `tokens` tokens of all ranks: chance as a normal variate."""
        import numpy as np

        likely = self.inclusion(concentration)
        spread = np.sqrt(tokens * likely * (1 - likely)) * self.noise
        return float(gini(np.maximum(tokens * likely + spread, 0)).mean())

    def calibrated(self, target: float, tokens: int) -> float:
        """The concentration whose expected Gini is `target`; the nearest there is where none has it."""
        from scipy.optimize import brentq

        def off(log: float) -> float:
            return self.expected_gini(math.exp(log), tokens) - target

        low, high = math.log(LEAST_CONCENTRATION), math.log(MOST_CONCENTRATION)
        if off(high) >= 0:
            return MOST_CONCENTRATION
        if off(low) <= 0:
            return LEAST_CONCENTRATION
        return math.exp(brentq(off, low, high, xtol=1e-4))
