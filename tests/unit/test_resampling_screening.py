"""Which of many stand out: robust z, also without a spread, and false discoveries among many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import median_abs_deviation
from statsmodels.stats.multitest import multipletests

from seatrial.analysis.statistics import benjamini_hochberg, robust_z


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30))
def test_robust_z_is_the_distance_from_the_median_in_scaled_mad(values):
    found = robust_z(values)
    spread = median_abs_deviation(values, scale="normal")
    if spread > 1e-9:
        assert found == pytest.approx([(v - np.median(values)) / spread for v in values], rel=1e-4, abs=1e-9)
    assert all(np.isfinite(found)) and len(found) == len(values)


def test_one_bad_value_does_not_hide_itself_nor_the_second():
    values = [10.0, 10.1, 9.9, 10.05, 9.95, 10.02, 30.0, 31.0]
    found = robust_z(values)
    assert min(found[6:]) > 3.5 > max(map(abs, found[:6]))
    classic = (np.array(values) - np.mean(values)) / np.std(values)
    assert max(classic) < 3.5


def test_without_a_mad_the_mean_deviation_stands_in():
    assert robust_z([5.0] * 9) == [0.0] * 9
    found = robust_z([5.0] * 9 + [6.0])
    assert found[:9] == [0.0] * 9 and found[9] == pytest.approx(10 / np.sqrt(np.pi / 2))
    assert robust_z([5.0] * 9 + [5.0001]) == pytest.approx(found)  # how few differ, not how far


def test_nothing_and_what_is_not_finite():
    assert robust_z([]) == [] and benjamini_hochberg([]) == []
    with pytest.raises(ValueError, match="not finite"):
        robust_z([1.0, float("inf")])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_adjusted_p_is_that_of_statsmodels(p_values):
    assert benjamini_hochberg(p_values) == pytest.approx(list(multipletests(p_values, method="fdr_bh")[1]))


def test_false_discoveries_are_kept_to_their_share():
    """90 healthy, 10 bad, 200 times: at most 5 % of what is accused is healthy on average, nearly all bad are."""
    draw = np.random.default_rng(3)
    wrong, missed = [], []
    for _ in range(200):
        p = np.concatenate([draw.random(90), draw.random(10) * 1e-4])
        accused = np.array(benjamini_hochberg(p)) <= 0.05
        wrong.append(accused[:90].sum() / max(1, accused.sum()))
        missed.append(10 - accused[90:].sum())
    assert np.mean(wrong) <= 0.06 and np.mean(missed) < 0.5


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_what_is_no_p_is_refused(wrong):
    with pytest.raises(ValueError, match="outside 0 to 1"):
        benjamini_hochberg([0.5, wrong])
