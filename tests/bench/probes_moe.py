"""Bench of moe_alltoall's loads: the Gini of the experts' tokens against what was asked, for every target."""

from __future__ import annotations

import numpy as np
from measure import Result

from seatrial.config.probe import MoeAlltoall
from seatrial.measure.moe_alltoall.draws import draw, expert_counts
from seatrial.measure.moe_alltoall.loads import GINI_TOLERANCE, gini, gini_floor

TARGETS = (0.05, 0.10, 0.15, 0.24, 0.38)
LAYERS = ((8, 2, 4096), (64, 6, 4096), (256, 8, 8192))
"""Experts, top_k and tokens of all ranks."""
SEEDS = (1, 2, 3)
ITERATIONS = 20


def results() -> list[Result]:
    """A line for each target: how far the furthest realised Gini (the mean over iterations) lies from it."""
    return [_of_target(target) for target in TARGETS]


def _of_target(target: float) -> Result:
    realised = [_realised(target, *layer, seed) for layer in LAYERS for seed in SEEDS]
    furthest = max(realised, key=lambda value: abs(value - target))
    floors = ", ".join(f"{gini_floor(tokens, top_k, experts):.3f}" for experts, top_k, tokens in LAYERS)
    return Result(
        name=f"Gini of {target:g} asked of a load: off by",
        value=abs(furthest - target),
        unit="of Gini",
        bar=GINI_TOLERANCE,
        holds=abs(furthest - target) <= GINI_TOLERANCE,
        samples=realised,
        note=f"{min(realised):.4f} to {max(realised):.4f} with {len(SEEDS)} seeds and "
        f"{', '.join(str(experts) for experts, _, _ in LAYERS)} experts; by chance alone {floors}",
    )


def _realised(target: float, experts: int, top_k: int, tokens: int, seed: int) -> float:
    """The Gini over all ranks; one rank that holds all tokens stands for them."""
    workload = MoeAlltoall.model_validate(
        {
            "kind": "moe_alltoall",
            "tokens": tokens,
            "hidden_size": 16,
            "top_k": top_k,
            "experts": experts,
            "iterations": ITERATIONS,
            "load": {"kind": "gini", "target": target},
        }
    )
    drawn = draw(workload, 1, 0, seed, lambda own: own)
    return float(np.mean(gini(expert_counts(drawn.choices, experts))))
