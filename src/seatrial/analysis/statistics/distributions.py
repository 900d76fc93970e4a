"""Tails and quantiles of the usual distributions, straight from the special functions that `scipy.stats` calls.

`scipy.stats` takes half a second to import, a tenth of what the tables of a large study take, and a hundred times
as long for a call. Where it is needed all the same it is imported in the function that needs it.
"""

from __future__ import annotations

from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[Any]
Floats = NDArray[np.float64]


def t_quantile(share: float, degrees: float) -> float:
    """Which value Student's t with so many degrees of freedom stays below with probability `share`."""
    return float(special.stdtrit(degrees, share))


@overload
def t_above(value: float, degrees: float) -> float: ...
@overload
def t_above(value: Floats, degrees: float) -> Floats: ...
def t_above(value: float | Floats, degrees: float) -> float | Floats:
    """The chance that Student's t exceeds `value`."""
    found: float | Floats = special.stdtr(degrees, -value)
    return found


def normal_quantile(share: float) -> float:
    """Which value a standard normal one stays below with probability `share`."""
    return float(special.ndtri(share))


@overload
def normal_below(value: float) -> float: ...
@overload
def normal_below(value: Floats) -> Floats: ...
def normal_below(value: float | Floats) -> float | Floats:
    """The chance that a standard normal value is at most `value`."""
    found: float | Floats = special.ndtr(value)
    return found


def normal_above(value: float) -> float:
    """The chance that a standard normal value exceeds `value`."""
    return float(special.ndtr(-value))


def binomial_at_most(k: int, n: int, share: float) -> float:
    """The chance that at most `k` of `n` happen, each with probability `share`."""
    return float(binomials_at_most(np.array([k]), n, share)[0])


def binomials_at_most(k: Array, n: Array | int, share: float) -> Floats:
    """`binomial_at_most` of each of `k` (and `n`): by the incomplete beta function (DLMF 8.17.5)."""
    more = np.maximum(n - k, 1)
    inside = special.betaincc(np.maximum(k, 0) + 1.0, more.astype(float), share)
    return np.asarray(np.where(k < 0, 0.0, np.where(k >= n, 1.0, inside)))


def binomial_more_than(k: int, n: int, share: float) -> float:
    """The chance that more than `k`, from 0 to n - 1, of `n` happen, each with probability `share`."""
    return float(special.betainc(k + 1.0, float(n - k), share))


def binomial_quantile(chance: float, n: int, share: float) -> int:
    """The least k for which at most k of n happen with probability `chance` or more."""
    return int(np.searchsorted(binomials_at_most(np.arange(n + 1), n, share), chance))


def beta_quantile(chance: float, a: float, b: float) -> float:
    """Which value a beta(a, b) one stays below with probability `chance`."""
    return float(special.betaincinv(a, b, chance))
