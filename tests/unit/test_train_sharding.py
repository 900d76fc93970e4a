"""Parameters that two ranks share: what they hold of gradients, and that they learn what one rank learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from gloo_ranks import layout, on_ranks
from small_training import Points, workload

from seatrial.config.training import LlmFinetune
from seatrial.train.learner import Learner

STEPS, GLOBAL_BATCH, PARTS = 4, 16, 2


def learnt(rank: int, size: int) -> tuple[list[float], list[bool]]:
    """The loss of the whole evaluation set after some steps, and whether every gradient was there, and cut to this
    rank's part, when the second micro-batch was fetched."""
    torch.manual_seed(1)
    place = layout(rank, size, fsdp=size)
    what: dict[str, Any] = workload(batch_size=GLOBAL_BATCH // size // PARTS, gradient_accumulation=PARTS)
    points = Points(place, dropout=0.0)
    learner = Learner(LlmFinetune.model_validate(what), points, place, seed=3)
    right, between = points.fetch, list[bool]()

    def fetch(positions: torch.Tensor) -> Any:
        gradients = [p.grad for p in learner.parameters]
        between.append(all(g is not None and (size == 1 or hasattr(g, "to_local")) for g in gradients))
        return right(positions)

    points.fetch = fetch  # type: ignore[method-assign]
    losses = []
    for step in range(STEPS):
        learner.train_step(step)
        losses.append(learner.evaluate()["evaluation_loss"])
    return losses, between


def test_gradients_are_reduced_and_cut_at_every_micro_batch_and_their_mean_stays_the_same() -> None:
    alone, _ = learnt(0, 1)
    assert alone[-1] < alone[0]
    for losses, between in on_ranks(learnt, 2):
        assert losses == pytest.approx(alone, rel=1e-5)
        assert between == [False, True] * STEPS, "no rank keeps whole gradients until the last micro-batch"
