"""The Frechet distance of two sets of features."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.config.training import Parallelism
from seatrial.errors import MeasurementFailed
from seatrial.train.diffusion.frechet import Moments, frechet_distance, moments_over_ranks
from seatrial.train.layout import Layout
from seatrial.train.phases import Phases
from seatrial.train.ranks import Ranks

CPU = torch.device("cpu")


@st.composite
def features(draw: st.DrawFn, dimension: int = 4) -> torch.Tensor:
    """Features with means and scales apart from each other, some of them correlated."""
    seed = draw(st.integers(0, 10_000))
    count = draw(st.integers(dimension + 1, 60))
    scale = draw(st.floats(0.1, 10.0))
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dimension, dimension, generator=generator, dtype=torch.float64)
    shift = draw(st.floats(-5, 5))
    return scale * torch.randn(count, dimension, generator=generator, dtype=torch.float64) @ mixing + shift


@given(features(), features())
@settings(max_examples=50, deadline=None)
def test_distance_is_the_formula_with_scipys_matrix_root(a: torch.Tensor, b: torch.Tensor) -> None:
    one, other = a.numpy(), b.numpy()
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = scipy.linalg.sqrtm(first @ second).real
    expected = ((one.mean(0) - other.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root)
    assert frechet_distance(Moments.of(a), Moments.of(b)) == pytest.approx(expected, rel=1e-5, abs=1e-5)


@given(features(), features())
@settings(max_examples=30, deadline=None)
def test_distance_is_symmetric_never_negative_and_zero_to_itself(a: torch.Tensor, b: torch.Tensor) -> None:
    one, other = Moments.of(a), Moments.of(b)
    there, back = frechet_distance(one, other), frechet_distance(other, one)
    assert there >= 0 and there == pytest.approx(back, rel=1e-6, abs=1e-6)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-6 * (1 + float(one.covariance.trace())))


def test_distance_of_two_one_dimensional_normals_is_known() -> None:
    """(m1 - m2)^2 + (s1 - s2)^2."""
    one = Moments(9, torch.tensor([1.0]).double(), torch.tensor([[4.0]]).double())
    other = Moments(9, torch.tensor([4.0]).double(), torch.tensor([[25.0]]).double())
    assert frechet_distance(one, other) == pytest.approx(9 + 9)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_features_that_are_not_finite_give_no_finite_distance(value: float) -> None:
    drawn = torch.randn(40, 3, generator=torch.Generator().manual_seed(1))
    broken = torch.where(torch.arange(40)[:, None] == 7, value, drawn)
    assert math.isnan(frechet_distance(Moments.of(broken), Moments.of(drawn)))
    assert math.isnan(frechet_distance(Moments.of(drawn), Moments.of(broken)))


def test_features_that_never_differ_are_no_trouble() -> None:
    """A unit that is off for all images (rectified units do that) has no variance at all."""
    alive = torch.randn(50, 2, generator=torch.Generator().manual_seed(1)).double()
    dead = torch.cat([alive, torch.zeros(50, 1)], dim=1)
    moved = dead + torch.tensor([1.0, 0.0, 0.0])
    assert frechet_distance(Moments.of(dead), Moments.of(moved)) == pytest.approx(1.0)


@pytest.mark.parametrize("count", [1, 3, 4])
def test_too_few_samples_for_the_features_give_no_number(count: int) -> None:
    with pytest.raises(MeasurementFailed, match=f"{count} samples are too few .* 4 features") as caught:
        Moments.of(torch.randn(count, 4))
    assert caught.value.kind == "wrong_result"


def test_moments_are_unbiased_and_the_same_over_one_rank() -> None:
    drawn = torch.randn(40, 3, generator=torch.Generator().manual_seed(1)) + 100.0
    layout = Layout(Ranks(0, 1, CPU), Parallelism(), Phases(CPU))
    for moments in (Moments.of(drawn), moments_over_ranks(drawn, layout)):
        assert moments.count == 40
        torch.testing.assert_close(moments.mean, drawn.double().mean(0))
        torch.testing.assert_close(moments.covariance, drawn.double().T.cov())
