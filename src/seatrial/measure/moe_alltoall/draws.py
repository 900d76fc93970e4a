"""Draws: which experts every token of a rank chooses, iteration by iteration, the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.config.probe.moe_alltoall import GiniLoad, MoeAlltoall, ReplayLoad
from seatrial.errors import Unsupported
from seatrial.measure.moe_alltoall.loads import (
    GINI_TOLERANCE,
    Dirichlet,
    gini,
    gini_floor,
    least_tokens,
    plain_inclusion,
)

if TYPE_CHECKING:
    import numpy as np

TOKENS = 3
"""Stream of random numbers of each rank's tokens."""
UNIT = 1 << 40
"""Inclusion probabilities are whole multiples of 1 / UNIT, so that their sums are exact."""
AT_ONCE = 1 << 20
"""Random numbers of one piece of work."""
CORRECTIONS = 6
CLOSE_ENOUGH = GINI_TOLERANCE / 4


@dataclass(frozen=True)
class Drawn:
    """What one rank's tokens choose in every iteration."""

    choices: list[np.ndarray]
    """Of each iteration [tokens, top_k], int32: numbers of experts, -1 where a token chooses no more."""
    by_token: bool
    """Whether which experts a token chooses *together* is part of the load; a replayed matrix does not say that."""


def draw(
    workload: MoeAlltoall, ranks: int, rank: int, seed: int, total: Callable[[np.ndarray], np.ndarray]
) -> Drawn:
    """The choices of `rank`; `total` sums an array of whole numbers over all ranks.

    Every rank calls it. Raises Unsupported where chance alone keeps the Gini from what was asked.
    """
    load, tokens = workload.load, workload.tokens
    if isinstance(load, ReplayLoad) or tokens is None:
        raise ValueError("a replayed load is read, not drawn")
    shape = (workload.top_k, workload.experts, workload.iterations, seed)
    if not isinstance(load, GiniLoad):
        return Drawn(_choices(plain_inclusion(load, *shape), tokens, workload.top_k, rank, seed), True)
    dirichlet = Dirichlet.drawn(*shape)
    aim, realised = load.target, 0.0
    for _ in range(CORRECTIONS):
        inclusion = dirichlet.inclusion(dirichlet.calibrated(aim, tokens * ranks))
        choices = _choices(inclusion, tokens, workload.top_k, rank, seed)
        realised = float(gini(total(expert_counts(choices, workload.experts))).mean())
        if abs(realised - load.target) <= CLOSE_ENOUGH:
            break
        aim += load.target - realised
    if abs(realised - load.target) > GINI_TOLERANCE:
        raise Unsupported(_unattained(workload, load.target, realised, tokens * ranks))
    return Drawn(choices, True)


def choose(inclusion: np.ndarray, tokens: int, top_k: int, generator: np.random.Generator) -> np.ndarray:
    """[tokens, top_k] different experts for each token, each with its probability in `inclusion` [experts].

    Systematic sampling in an order of the experts that is drawn for each token (Madow 1949): the probabilities are
    exact, and equal ones give simple random sampling. Rows are not sorted.
    """
    import numpy as np

    units = _units(inclusion, top_k)
    at_once = max(1, AT_ONCE // len(units))
    found = np.empty((tokens, top_k), dtype=np.int32)
    for first in range(0, tokens, at_once):
        count = min(at_once, tokens - first)
        order = generator.random((count, len(units)), dtype=np.float32).argsort(axis=1)
        start = generator.integers(1, UNIT, size=(count, 1), endpoint=True)
        steps = (np.cumsum(units[order], axis=1) - start) // UNIT
        chosen = np.diff(steps, axis=1, prepend=-1) > 0
        found[first : first + count] = order[chosen].reshape(count, top_k)
    return found


def expert_counts(choices: list[np.ndarray], experts: int) -> np.ndarray:
    """[iterations, experts]: choices of each expert."""
    import numpy as np

    return np.stack([np.bincount(of[of >= 0].ravel(), minlength=experts) for of in choices])


def _choices(inclusion: np.ndarray, tokens: int, top_k: int, rank: int, seed: int) -> list[np.ndarray]:
    import numpy as np

    return [
        choose(likely, tokens, top_k, np.random.default_rng([seed, TOKENS, iteration, rank]))
        for iteration, likely in enumerate(inclusion)
    ]


def _units(inclusion: np.ndarray, top_k: int) -> np.ndarray:
    """`inclusion` in whole units that sum to top_k exactly, none above 1."""
    import numpy as np

    units = np.round(inclusion * UNIT).astype(np.int64)
    missing = top_k * UNIT - int(units.sum())
    place = units.argmin() if missing > 0 else np.where(units < UNIT, units, -1).argmax()
    units[place] += missing
    return units


def _unattained(workload: MoeAlltoall, target: float, realised: float, tokens: int) -> str:
    floor = gini_floor(tokens, workload.top_k, workload.experts)
    needed = least_tokens(target, workload.top_k, workload.experts)
    return (
        f"{tokens} tokens of top_k {workload.top_k} over {workload.experts} experts came to a Gini of "
        f"{realised:.3f} in the mean over {workload.iterations} iterations, not to {target:g}: chance alone gives "
        f"{floor:.3f}. Raise tokens (to {needed} of all ranks or more) or iterations"
    )
