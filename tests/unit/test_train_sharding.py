"""Parameters that two ranks share: what they hold of gradients, and that they learn what one rank learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from gloo_ranks import layout, on_ranks
from small_training import Points, workload
from test_train_llm_parallel import ADAPTERS, small, trained

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


def halves(rank: int, size: int, folder: str) -> list[tuple[list[float], set[tuple[str, str]]]]:
    """The losses of a language model in bfloat16, dense and with adapters, and the dtypes of a layer's weights: as
    the rank keeps them, and whole while it computes."""
    return [half(rank, size, Path(folder) / name, lora) for name, lora in (("dense", None), ("lora", ADAPTERS))]


def half(rank: int, size: int, folder: Path, lora: Any) -> tuple[list[float], set[tuple[str, str]]]:
    found: set[tuple[str, str]] = set()
    right = Learner.train_step

    def train_step(self: Learner, step: int) -> torch.Tensor:
        if step == 0:
            for name, module in self.objective.model.named_modules():
                if name.endswith(("up_proj", "lora_A.default")):
                    kept = str(next(p for n, p in module.named_parameters() if n.endswith("weight")).dtype)
                    module.register_forward_pre_hook(
                        lambda used, _, kept=kept: found.add((kept, str(used.weight.dtype)))
                    )
        return right(self, step)

    Learner.train_step = train_step  # type: ignore[method-assign]
    try:
        losses = trained(rank, size, folder, small(size, lora=lora, dtype="bfloat16", parallelism={"fsdp": size}))
    finally:
        Learner.train_step = right  # type: ignore[method-assign]
    return losses, found


def test_weights_are_sent_in_bfloat16_kept_in_float32_and_learn_what_one_rank_learns(tmp_path: Path) -> None:
    long, short = "torch.float32", "torch.bfloat16"
    alone = halves(0, 1, str(tmp_path / "alone"))
    for dense, adapted in on_ranks(halves, 2, str(tmp_path)):
        assert dense[1] == {(long, short)}
        assert adapted[1] == {(short, short), (long, short)}, "frozen weights are bfloat16, adapters float32"
        for (losses, _), (expected, _) in zip((dense, adapted), alone, strict=True):
            assert expected[-1] < expected[0] - 0.02, "nothing was learnt, so that nothing was compared"
            assert losses == pytest.approx(expected, rel=2e-3)
