"""A mixture of experts trains the same on every layout of its ranks."""

from __future__ import annotations

from functools import cache
from typing import Any

import moe_cases
import pytest
import torch
from gloo_ranks import on_ranks

VARIANTS: dict[str, dict[str, Any]] = {
    "auxiliary loss": {"shared_experts": 1},
    "bias": {"balancing": moe_cases.BIAS},
    "recomputed, accumulated": {"activation_checkpointing": True, "gradient_accumulation": 2},
}


LAYOUTS: list[tuple[int, dict[str, int], str]] = [
    (2, {"ep": 2}, "auxiliary loss"),
    (2, {"ep": 2}, "bias"),
    (2, {"dp": 2}, "bias"),
    (2, {"tp": 2}, "auxiliary loss"),
    (2, {"fsdp": 2}, "auxiliary loss"),
    (2, {"ep": 2}, "recomputed, accumulated"),
    (2, {"fsdp": 2}, "recomputed, accumulated"),
    (4, {"ep": 2, "tp": 2}, "auxiliary loss"),
    (4, {"ep": 2, "dp": 2}, "bias"),
    (4, {"ep": 2, "fsdp": 2}, "auxiliary loss"),
]


def train(rank: int, size: int, parallelism: dict[str, int], variant: str) -> dict[str, Any]:
    return moe_cases.train_moe(rank, size, parallelism, **VARIANTS[variant])


def train_all(rank: int, size: int) -> list[dict[str, Any]]:
    """Every layout of `size` ranks, and the first of them once more."""
    todo = [rest for ranks, *rest in LAYOUTS if ranks == size]
    return [train(rank, size, *rest) for rest in [*todo, todo[0]]]


@cache
def together(size: int) -> list[list[dict[str, Any]]]:
    """[rank][layout]: starting ranks takes longer than their work, so they are started once."""
    return on_ranks(train_all, size, within=240)


@cache
def alone(variant: str) -> dict[str, Any]:
    return train(0, 1, {}, variant)


@pytest.mark.parametrize(("size", "parallelism", "variant"), LAYOUTS, ids=str)
def test_ranks_together_learn_what_one_learns_alone(size: int, parallelism: dict[str, int], variant: str) -> None:
    expected = alone(variant)
    assert expected["losses"][0] - expected["losses"][-1] > 0.3
    place = [rest for ranks, *rest in LAYOUTS if ranks == size].index([parallelism, variant])
    found = [of_rank[place] for of_rank in together(size)]
    for own in found:
        assert own["samples"] == moe_cases.GLOBAL_BATCH
        torch.testing.assert_close(own["losses"], expected["losses"], rtol=2e-5, atol=1e-6)
        torch.testing.assert_close(own["evaluations"], expected["evaluations"], rtol=2e-5, atol=1e-6)
        torch.testing.assert_close(own["biases"], expected["biases"])
    # Counts are whole numbers of the same tokens on any layout.
    counted = {key: value for key, value in expected["measured"].items() if key[0].startswith("train.expert_")}
    assert len(counted) == 2 * 2 * 2 * 2
    for key, value in counted.items():
        assert found[0]["measured"][key] == pytest.approx(value), key


def test_the_same_seed_on_the_same_ranks_gives_the_same_bits() -> None:
    for of_rank in together(2):
        assert of_rank[0]["losses"] == of_rank[-1]["losses"]
        assert of_rank[0]["evaluations"] == of_rank[-1]["evaluations"]
    assert alone("bias")["losses"] == train(0, 1, {}, "bias")["losses"]
