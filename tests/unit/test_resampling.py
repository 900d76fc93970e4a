"""Series whose values depend on their neighbours: autocorrelation times, and intervals that hold despite it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter
from statsmodels.tsa.stattools import acf

from seatrial.analysis.statistics import (
    autocorrelation,
    block_bootstrap_interval,
    integrated_autocorrelation_time,
    median_interval,
)

TIMES = st.lists(st.floats(0.01, 10.0), min_size=2, max_size=200)


def correlated(draw: np.random.Generator, n: int, rho: float) -> np.ndarray:
    """Positive times with a correlation of `rho` between neighbours and median 1."""
    noise = draw.normal(size=n + 100)
    return np.exp(0.05 * lfilter([math.sqrt(1 - rho * rho)], [1, -rho], noise)[100:])


@settings(max_examples=50, deadline=None)
@given(TIMES)
def test_autocorrelation_is_that_of_statsmodels(times):
    found = autocorrelation(times)
    if len(times) < 3 or max(times) == min(times):
        assert found is None
        return
    if max(times) - min(times) > 1e-6:
        assert found == pytest.approx(acf(times, nlags=len(times) - 1, fft=False), abs=1e-6)


@pytest.mark.parametrize(("rho", "least", "most"), [(0.0, 1.0, 1.3), (0.5, 2.4, 3.6), (0.8, 7.0, 11.0)])
def test_autocorrelation_time_of_a_known_series(rho, least, most):
    """(1 + rho) / (1 - rho) for neighbours that correlate by rho."""
    found = integrated_autocorrelation_time(correlated(np.random.default_rng(5), 20_000, rho))
    assert least <= found <= most


def test_what_alternates_is_not_taken_for_more_than_it_has():
    assert integrated_autocorrelation_time([1.0, 2.0] * 50) == 1.0


def test_what_does_not_vary_has_no_correlation_but_a_median():
    assert autocorrelation([2.0] * 50) is None
    assert integrated_autocorrelation_time([2.0] * 50) is None
    assert block_bootstrap_interval([2.0] * 50)[:2] == (2.0, 2.0)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_interval_holds_where_neighbours_depend_on_each_other(rho):
    """In 150 series: fewer hits than 87 % have a chance below 1 in 2,000 for a coverage of 95 %."""
    draw = np.random.default_rng(11)
    found = [block_bootstrap_interval(correlated(draw, 800, rho), resamples=200) for _ in range(150)]
    there = [i for i in found if i.low is not None]
    assert len(there) > 120
    assert sum(i.low <= 1 <= i.high for i in there) / len(there) >= 0.87


def test_an_interval_blind_to_neighbours_does_not_hold():
    """What the blocks are for: order statistics take 600 correlated steps for 600 independent ones."""
    draw = np.random.default_rng(11)
    found = [median_interval(correlated(draw, 600, 0.8)) for _ in range(200)]
    assert sum(i.low <= 1 <= i.high for i in found) / 200 < 0.75


def test_too_few_blocks_give_no_interval():
    draw = np.random.default_rng(2)
    found = block_bootstrap_interval(correlated(draw, 100, 0.95))
    assert (found.low, found.high) == (None, None)
    assert "fewer than 15" in found.method
    assert block_bootstrap_interval([1.0]).method == "none (n < 2)"


def test_same_seed_same_interval():
    times = correlated(np.random.default_rng(1), 300, 0.3)
    assert block_bootstrap_interval(times) == block_bootstrap_interval(times)
    assert block_bootstrap_interval(times, seed=1) != block_bootstrap_interval(times, seed=2)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.01, 10.0), min_size=60, max_size=120), st.floats(0.1, 10.0))
def test_interval_lies_within_the_series_and_scales_with_it(times, factor):
    found = block_bootstrap_interval(times, block=2, resamples=100)
    assert min(times) <= found.low <= found.high <= max(times)
    scaled = block_bootstrap_interval([t * factor for t in times], block=2, resamples=100)
    assert (scaled.low, scaled.high) == pytest.approx((found.low * factor, found.high * factor))


def test_what_is_not_finite_is_refused():
    for function in (autocorrelation, integrated_autocorrelation_time, block_bootstrap_interval):
        with pytest.raises(ValueError, match="not finite"):
            function([1.0, float("nan"), 2.0])
