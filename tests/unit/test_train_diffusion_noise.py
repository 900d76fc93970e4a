"""Noise is a function of what it is for, and as good as torch's."""

from __future__ import annotations

import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.train.diffusion.noise import STREAMS, Noise

MANY = torch.arange(2000)


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=20), st.integers(1, 10**6), st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_sample_gets_the_same_noise_in_any_company(numbers: list[int], seed: int, step: int) -> None:
    noise = Noise(seed)
    together = noise.normal("training_noise", step, torch.tensor(numbers), (3, 5))
    for place, number in enumerate(numbers):
        alone = noise.normal("training_noise", step, torch.tensor([number]), (3, 5))
        assert torch.equal(together[place], alone[0])


@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 4)])
def test_normal_numbers_are_normal(shape: tuple[int, ...]) -> None:
    drawn = Noise(1).normal("training_noise", 0, MANY, shape)
    assert drawn.shape == (len(MANY), *shape) and torch.isfinite(drawn).all()
    assert scipy.stats.kstest(drawn.flatten().numpy(), "norm").pvalue > 1e-3


def test_uniform_numbers_are_uniform_and_never_0_or_1() -> None:
    drawn = Noise(1).uniform("training_time", 0, MANY, 50)
    assert drawn.min() > 0 and drawn.max() < 1
    assert scipy.stats.kstest(drawn.flatten().numpy(), "uniform").pvalue > 1e-3


def test_elements_of_a_sample_are_independent_of_each_other() -> None:
    drawn = Noise(1).normal("training_noise", 0, MANY, (64,))
    correlations = drawn.T.corrcoef() - torch.eye(64)
    # Of 2016 pairs over 2000 samples the largest is about 3.7 / sqrt(2000).
    assert correlations.abs().max() < 6 / len(MANY) ** 0.5


def test_seed_step_stream_and_neighbour_each_change_everything() -> None:
    base = Noise(1).normal("training_noise", 5, MANY, (8,)).flatten()
    others = {
        "seed": Noise(2).normal("training_noise", 5, MANY, (8,)),
        "step": Noise(1).normal("training_noise", 6, MANY, (8,)),
        "next sample": Noise(1).normal("training_noise", 5, MANY + 1, (8,)),
        **{s: Noise(1).normal(s, 5, MANY, (8,)) for s in STREAMS if s != "training_noise"},
    }
    for what, other in others.items():
        correlation = torch.stack([base, other.flatten()]).corrcoef()[0, 1]
        assert abs(correlation) < 6 / base.numel() ** 0.5, what
        assert not torch.equal(base, other.flatten()), what


def test_steps_of_one_sample_are_independent_of_each_other() -> None:
    noise, one = Noise(1), torch.tensor([3])
    drawn = torch.cat([noise.normal("training_noise", step, one, (4,)) for step in range(2000)])
    assert scipy.stats.kstest(drawn.flatten().numpy(), "norm").pvalue > 1e-3
    following = torch.stack([drawn[:-1].flatten(), drawn[1:].flatten()]).corrcoef()[0, 1]
    assert abs(following) < 6 / drawn.numel() ** 0.5
