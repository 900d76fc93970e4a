"""What hybrid attention makes of a proposal's training: a shorter or longer step, and as many times the steps.

Over the model without it: the one that the planned number of steps holds for, full attention or another window.
"""

from __future__ import annotations

import numpy as np

from seatrial.analysis.decisions.decision import Figure, Input, Swing
from seatrial.analysis.decisions.procurement.projection import TOKENS, Projection
from seatrial.analysis.decisions.procurement.step import Values, step_seconds
from seatrial.analysis.decisions.propagation import Draws, Model, propagate
from seatrial.analysis.decisions.sensitivity import tornado
from seatrial.analysis.decisions.words import SHARE


def hybrid_figures(one: Projection, steps: Input | None) -> list[Figure]:
    """What a step saves, how many times the steps it may take, and with `steps` of them what it comes to."""
    shorter = _shorter(one)
    if shorter is None:
        return []
    found = [
        one.figure(lambda x: 1 - shorter(x), "Saved of a step with hybrid attention", SHARE),
        one.figure(lambda x: 1 / shorter(x), "Times the steps where hybrid attention breaks even", "times"),
    ]
    if steps is None:
        return found
    over = "Training time with hybrid attention over that without"
    found.append(_longer(one, steps, shorter, over, "times"))
    if TOKENS in one.inputs:
        found.append(_longer(one, steps, _days(one), f"{one.leading[0].name}, with hybrid attention", "days"))
    return found


def hybrid_swings(one: Projection, steps: Input | None) -> list[Swing]:
    """What moves how many times as long hybrid attention takes; without `steps`, how many of them it may take."""
    shorter = _shorter(one)
    if shorter is None:
        return []
    if steps is None:
        return tornado(lambda x: 1 / shorter(x), one.taken_by(shorter))
    return tornado(lambda x: x[steps.name] * shorter(x), [*one.taken_by(shorter), steps])


def _longer(one: Projection, steps: Input, model: Model, name: str, unit: str) -> Figure:
    """`steps` times `model`."""

    def whole(x: Values) -> Draws:
        return np.asarray(x[steps.name] * model(x))

    return propagate(whole, [*one.taken_by(model), steps], one.seed, name=name, unit=unit)


def _shorter(one: Projection) -> Model | None:
    """The time of a step with hybrid attention over that without; None where a step has none."""
    plan = one.procurement
    if plan.hybrid is None or one.missing:
        return None
    with_windows, without = (one.work_of(plan.planned, hybrid) for hybrid in (plan.hybrid, plan.hybrid.without))
    return lambda x: np.asarray(step_seconds(with_windows, x) / step_seconds(without, x))


def _days(one: Projection) -> Model:
    """Days of the planned number of steps with hybrid attention, checkpoints in them as in the training time."""
    with_windows = one.work_of(one.procurement.planned, one.procurement.hybrid)
    return lambda x: one.days_of(with_windows, x)
