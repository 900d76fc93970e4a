"""How the uncertainty of the inputs becomes that of the result: seeded Monte Carlo.

Every input is drawn on its own, around its value as the median:

- a stated range: evenly from low to value in half of the draws, evenly from value to high in the other half;
- a measured 95 % interval: two halves of a normal distribution whose 2.5 and 97.5 % quantiles are low and high, on
  a logarithmic scale where low is above 0;
- an exact input: its value in every draw.

The result's value is the model at the inputs' values; its interval is from the 2.5 to the 97.5 % quantile of the
draws (GUM Supplement 1, JCGM 101:2008). Inputs count as independent of one another.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.analysis.decisions.decision import Figure, Input

Draws = npt.NDArray[np.float64]
Model = Callable[[Mapping[str, Draws]], Draws]
"""From arrays of equal length by input name to an array of results; must work element by element."""

DRAWS = 20_000
Z_95 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""


def propagate(
    model: Model,
    inputs: Sequence[Input],
    seed: int,
    draws: int = DRAWS,
    *,
    name: str,
    unit: str,
    resampled: Mapping[str, Draws] | None = None,
) -> Figure:
    """`model` at the values of `inputs`, with a 95 % interval by Monte Carlo.

    `resampled` are draws that replace those of the inputs named (a bootstrap of measured repeats), `draws` of each.
    An end of the interval is None where the model is not finite there, and the method says in how many draws.
    Raises ValueError where two inputs have one name or the model returns what is not a number.
    """
    value = _one(model(_values(inputs)))
    ranged = [one for one in inputs if not one.is_exact]
    if not ranged and not resampled:
        return Figure(name, value, None, None, unit, "no interval: no input has a range")
    results = np.asarray(model(draw(inputs, seed, draws) | dict(resampled or {})), dtype=float)
    if results.shape != (draws,):
        raise ValueError(f"{name}: a model of {draws} draws returned an array of shape {results.shape}")
    if np.isnan(results).any():
        raise ValueError(f"{name}: the model returned what is not a number")
    # quantiles that are draws: no arithmetic with infinities
    low, high = (float(q) for q in np.quantile(results, [0.025, 0.975], method="inverted_cdf"))
    method = f"Monte Carlo 95 %, {draws:,} draws, seed {seed}, inputs independent"
    endless = int(np.isinf(results).sum())
    if endless:
        method += f"; no finite figure in {endless / draws:.1%} of them"
    return Figure(name, value, _finite(low), _finite(high), unit, method)


def draw(inputs: Sequence[Input], seed: int, draws: int = DRAWS) -> dict[str, Draws]:
    """`draws` values of every input, by name. An input's draws depend on `seed` and its name alone.

    Raises ValueError where two inputs have one name.
    """
    _values(inputs)
    return {one.name: _drawn(one, seed, draws) for one in inputs}


def taken_by(model: Model, inputs: Sequence[Input]) -> list[Input]:
    """Those of `inputs` that `model` asks for: only their ranges make its interval.

    Raises ValueError where two inputs have one name.
    """
    values = _Recording(_values(inputs))
    model(values)
    return [one for one in inputs if one.name in values.taken]


class _Recording(dict[str, Draws]):
    """Values that remember which of them were asked for."""

    def __init__(self, values: Mapping[str, Draws]) -> None:
        super().__init__(values)
        self.taken: set[str] = set()

    def __getitem__(self, name: str) -> Draws:
        self.taken.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.taken.add(name)
        return super().get(name, default)


@lru_cache(maxsize=64)
def _drawn(one: Input, seed: int, draws: int) -> Draws:
    """Kept for the next figure of the same inputs, and so not to be written to."""
    found = _draw(one, seed, draws)
    found.flags.writeable = False
    return found


def _draw(one: Input, seed: int, draws: int) -> Draws:
    if one.is_exact:
        return np.full(draws, one.value)
    random = np.random.default_rng([seed, zlib.crc32(one.name.encode())])
    low, high = one.ends
    if not one.measured:
        share = random.random(draws)
        below, above = one.value - low, high - one.value
        return np.where(share < 0.5, low + 2 * share * below, one.value + (2 * share - 1) * above)
    score = random.standard_normal(draws) / Z_95
    if low > 0:
        steps = np.where(score < 0, np.log(one.value / low), np.log(high / one.value))
        return np.asarray(one.value * np.exp(score * steps))
    return np.asarray(one.value + score * np.where(score < 0, one.value - low, high - one.value))


def _values(inputs: Sequence[Input]) -> dict[str, Draws]:
    names = [one.name for one in inputs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"inputs need different names; twice: {', '.join(twice)}")
    return {one.name: np.array([one.value]) for one in inputs}


def _one(result: Draws) -> float | None:
    (value,) = np.asarray(result, dtype=float)
    if np.isnan(value):
        raise ValueError("the model returned what is not a number at the inputs' values")
    return _finite(float(value))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
