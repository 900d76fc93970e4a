"""Which input moves a decision most: one at a time from its low to its high end (a tornado)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from seatrial.analysis.decisions.decision import Decision, Input, Swing
from seatrial.analysis.decisions.propagation import Model
from seatrial.analysis.decisions.words import listed, moved_by

MOST_NAMED = 3
"""How many inputs are named in words."""


def tornado(model: Model, inputs: Sequence[Input]) -> list[Swing]:
    """The swing of `model` for every input that has a range, all others at their values; largest first.

    A swing to where the model is not finite counts as the largest. Equal swings stand in order of their names.
    """
    ranged = [one for one in inputs if not one.is_exact]
    if not ranged:
        return []
    table = {one.name: np.full(2 * len(ranged), one.value) for one in inputs}
    for place, one in enumerate(ranged):
        table[one.name][2 * place], table[one.name][2 * place + 1] = one.ends
    results = np.asarray(model(table), dtype=float)
    swings = [Swing(one.name, *_ends(results, place)) for place, one in enumerate(ranged)]
    return sorted(swings, key=lambda swing: (-size(swing), swing.input))


def size(swing: Swing) -> float:
    """How far the figure moves; infinite where it has no finite value at an end."""
    if swing.at_low is None or swing.at_high is None:
        return float("inf")
    return abs(swing.at_high - swing.at_low)


def moves_most(swings: Sequence[Swing], count: int = MOST_NAMED) -> list[str]:
    """The names of the inputs that move the figure most, fewer where fewer move it at all."""
    return [swing.input for swing in swings if size(swing) > 0][:count]


def in_words(one: Decision) -> str:
    """Which inputs move a decision's first figure most; why that is not known where it is not."""
    if not any(not given.is_exact for given in one.inputs):
        return moved_by([]) if one.inputs else ""
    if not one.swings:
        return "What moves it most is not known, since the figure itself is not."
    return moved_by(moves_most(one.swings)) if moves_most(one.swings) else "No input's range moves it."


def of_each(what: str, swings: Mapping[str, Sequence[Swing]]) -> str:
    """Which inputs move `what` most in each of several cases, by name; those with the same inputs are said once."""
    cases: dict[tuple[str, ...], list[str]] = {}
    for name, found in swings.items():
        if most := moves_most(found):
            cases.setdefault(tuple(most), []).append(name)
    if not cases:
        return f"What moves {what} most is not known."
    said = [f"{listed(most)}{f' ({listed(names)})' if len(cases) > 1 else ''}" for most, names in cases.items()]
    return f"What moves {what} most: {'; '.join(said)}."


def _ends(results: np.ndarray, place: int) -> tuple[float | None, float | None]:
    low, high = (float(result) for result in results[2 * place : 2 * place + 2])
    return (low if np.isfinite(low) else None), (high if np.isfinite(high) else None)
