"""Loads: what is asked of the experts' counts is what the draws have, whatever the seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from moe_alltoall_cases import probe

from seatrial.errors import Unsupported
from seatrial.measure.moe_alltoall.draws import choose, draw, expert_counts
from seatrial.measure.moe_alltoall.loads import (
    Dirichlet,
    gini,
    gini_floor,
    inclusion_of,
    least_tokens,
    plain_inclusion,
)
from seatrial.measure.moe_alltoall.volumes import distinct_groups, expected_distinct
from seatrial.train.moe import balance

TARGETS = (0.05, 0.10, 0.15, 0.24, 0.38)


def alone(own: np.ndarray) -> np.ndarray:
    """The sum over all ranks of a rank that has them all."""
    return own


def test_gini_of_known_counts() -> None:
    assert gini(np.array([5, 5, 5, 5])) == 0
    assert gini(np.array([0, 0, 0, 8])) == pytest.approx(0.75)
    assert gini(np.array([1, 2, 3])) == pytest.approx(2 / 9)


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=30).filter(any))
def test_gini_is_that_of_the_training(counts: list[int]) -> None:
    assert float(gini(np.array(counts))) == pytest.approx(float(balance.gini(torch.tensor(counts))))


@settings(max_examples=60)
@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=40), st.data())
def test_inclusion_is_proportional_where_it_can_be(popularity: list[float], data: st.DataObject) -> None:
    top_k = data.draw(st.integers(1, len(popularity)))
    likely, weights = inclusion_of(np.array(popularity), top_k), np.array(popularity)
    assert likely.sum() == pytest.approx(top_k)
    assert (likely <= 1 + 1e-12).all() and (likely > 0).all()
    free = likely < 1 - 1e-9
    if free.any():
        ratios = likely[free] / np.maximum(weights[free], weights.max() * 1e-12)
        assert ratios.max() == pytest.approx(ratios.min())
        # an expert at 1 would have at least that by its popularity
        assert (weights[~free] * ratios.max() >= 1 - 1e-6).all()


@settings(max_examples=60)
@given(st.integers(1, 24), st.integers(1, 200), st.integers(0, 10**6), st.data())
def test_every_token_chooses_different_experts(experts: int, tokens: int, seed: int, data: st.DataObject) -> None:
    top_k = data.draw(st.integers(1, experts))
    generator = np.random.default_rng(seed)
    likely = inclusion_of(generator.gamma(0.3, size=experts) + 1e-9, top_k)
    chosen = choose(likely, tokens, top_k, generator)
    assert chosen.shape == (tokens, top_k)
    assert all(len(set(row)) == top_k for row in chosen.tolist())
    assert chosen.min() >= 0 and chosen.max() < experts


def test_experts_are_chosen_with_their_probabilities() -> None:
    likely, tokens = inclusion_of(np.array([8.0, 2, 2, 1, 0.5, 0.25]), 3), 40_000
    counts = np.bincount(choose(likely, tokens, 3, np.random.default_rng(5)).ravel(), minlength=6)
    assert likely[0] == 1 and counts[0] == tokens
    error = (counts - tokens * likely)[1:] / np.sqrt(tokens * likely * (1 - likely))[1:]
    assert np.abs(error).max() < 4


def test_uniform_choices_of_deepseek_v3_reach_as_many_nodes_as_reckoned() -> None:
    chosen = choose(np.full(256, 8 / 256), 4096, 8, np.random.default_rng(1))
    reached = distinct_groups(chosen, 32)
    assert expected_distinct(8, 256, 8) == pytest.approx(5.295, abs=5e-4)
    assert reached.mean() == pytest.approx(expected_distinct(8, 256, 8), abs=4 * reached.std() / 64)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("tokens", "experts", "top_k", "seed"), [(2048, 8, 2, 3), (1024, 64, 6, 11)])
def test_the_gini_is_within_a_hundredth_of_what_was_asked(
    target: float, tokens: int, experts: int, top_k: int, seed: int
) -> None:
    asked = probe(
        tokens=tokens, experts=experts, top_k=top_k, iterations=12, load={"kind": "gini", "target": target}
    )
    counts = expert_counts(draw(asked, 1, 0, seed, alone).choices, experts)
    assert (counts.sum(axis=1) == tokens * top_k).all()
    assert gini(counts).mean() == pytest.approx(target, abs=0.01)
    assert gini(counts).std() > 0


def test_chance_is_part_of_the_gini_where_tokens_are_few() -> None:
    """With 128 tokens chance alone gives 0.08: the concentration makes up for it."""
    asked = probe(tokens=128, experts=8, top_k=2, iterations=40, load={"kind": "gini", "target": 0.15})
    counts = expert_counts(draw(asked, 1, 0, 5, alone).choices, 8)
    assert gini_floor(128, 2, 8) > 0.07
    assert gini(counts).mean() == pytest.approx(0.15, abs=0.01)
    dirichlet = Dirichlet.drawn(2, 8, 40, 5)
    assert dirichlet.calibrated(0.15, 128) > 1.3 * dirichlet.calibrated(0.15, 10**6)


def test_the_floor_is_the_gini_of_uniform_choices() -> None:
    for tokens, experts, top_k in ((256, 8, 2), (512, 64, 6)):
        asked = probe(tokens=tokens, experts=experts, top_k=top_k, iterations=40)
        counts = expert_counts(draw(asked, 1, 0, 9, alone).choices, experts)
        assert gini(counts).mean() == pytest.approx(gini_floor(tokens, top_k, experts), rel=0.1)
        assert gini_floor(least_tokens(0.05, top_k, experts), top_k, experts) == pytest.approx(0.05, rel=0.02)


def test_a_gini_below_chance_is_one_clear_error() -> None:
    asked = probe(tokens=16, experts=64, top_k=2, load={"kind": "gini", "target": 0.05})
    with pytest.raises(Unsupported, match=r"chance alone gives 0\.\d+\. Raise tokens \(to \d+ of all ranks"):
        draw(asked, 1, 0, 3, alone)


@pytest.mark.parametrize("load", [{"kind": "uniform"}, {"kind": "gini", "target": 0.24}])
def test_a_seed_gives_the_same_draws_again_and_every_iteration_its_own(load: dict[str, object]) -> None:
    asked = probe(load=load, tokens=512)
    first, again = (draw(asked, 1, 0, 3, alone).choices for _ in range(2))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not (first[0] == first[1]).all()
    assert not (first[0] == draw(asked, 1, 0, 4, alone).choices[0]).all()


def test_ranks_draw_tokens_of_their_own_from_a_popularity_that_they_share() -> None:
    asked = probe(tokens=4096, load={"kind": "zipf", "exponent": 1.0})
    one, other = (draw(asked, 2, rank, 3, alone).choices for rank in (0, 1))
    assert not (one[0] == other[0]).all()
    counts = expert_counts(one, 8), expert_counts(other, 8)
    assert (counts[0].argmax(axis=1) == counts[1].argmax(axis=1)).all()
    assert np.abs(counts[0] - counts[1]).max() < 0.1 * 4096


def test_zipf_and_adversarial_give_the_shares_they_name() -> None:
    zipf = plain_inclusion(probe(load={"kind": "zipf", "exponent": 1.0}).load, 1, 8, 5, 3)  # type: ignore[arg-type]
    assert np.sort(zipf, axis=1)[:, ::-1] * (1 / np.arange(1, 9)).sum() == pytest.approx(
        np.tile(1 / np.arange(1, 9), (5, 1))
    )
    adversarial = plain_inclusion(probe(load={"kind": "adversarial", "share": 0.95}).load, 2, 8, 5, 3)  # type: ignore[arg-type]
    assert adversarial.max(axis=1) == pytest.approx([0.95] * 5)
    assert np.sort(adversarial, axis=1)[:, :-1] == pytest.approx(np.full((5, 7), 1.05 / 7))
    assert len({tuple(of.argsort()) for of in zipf}) > 1
