"""Intervals: known values, coverage that holds at small n, and what is never given."""

from __future__ import annotations

import math
from statistics import mean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.analysis.statistics import (
    expected_range,
    median_bound,
    median_interval,
    olympic_mean,
    order_bound,
    reached_interval,
    reached_lower_bound,
    reached_median,
    spread_from_range,
)

positive = st.floats(min_value=1e-6, max_value=1e6)
samples = st.lists(positive, min_size=2, max_size=30)


@pytest.mark.parametrize(
    ("n", "ranks", "method"),
    [
        (5, (1, 5), "order statistics 93.75 %"),
        (6, (1, 6), "order statistics 96.88 %"),
        (8, (1, 8), "order statistics 99.22 %"),
        (10, (2, 9), "order statistics 97.85 %"),
        (20, (6, 15), "order statistics 95.86 %"),
    ],
)
def test_order_statistics_are_the_textbook_ranks(n, ranks, method):
    values = [float(i) for i in range(1, n + 1)]
    assert median_interval(values[::-1]) == (*(float(r) for r in ranks), method)


def test_log_t_is_the_t_interval_of_the_logs():
    # by hand: logs 0, ln 2, ln 4: mean ln 2, sd ln 2, t(0.975, 2) = 4.30265
    low, high, method = median_interval([1.0, 2.0, 4.0])
    half = 4.302652729911275 * math.log(2) / math.sqrt(3)
    assert low == pytest.approx(2 * math.exp(-half))
    assert high == pytest.approx(2 * math.exp(half))
    assert method == "log-t 95 %"


def test_one_value_has_no_interval_and_no_bound():
    assert median_interval([3.0]) == (None, None, "none (n < 2)")
    assert median_bound([3.0], "upper").value is None
    assert median_interval([]).low is None


def test_values_that_are_not_finite_are_refused():
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="not finite"):
            median_interval([1.0, bad])


def test_a_bound_that_order_statistics_cannot_reach_falls_back_and_says_so():
    assert median_bound([1.0, 2.0, 3.0, 4.0, 5.0], "upper", 0.95) == (5.0, "order statistics 96.88 %")
    assert median_bound([1.0, 2.0, 3.0, 4.0, 5.0], "upper", 0.99).method == "log-t 99 %"
    assert order_bound([1.0, 2.0, 3.0, 4.0, 5.0], "upper", 0.99).value is None


@given(samples, st.sampled_from(["lower", "upper"]), st.sampled_from([0.9, 0.95, 0.99]))
def test_a_bound_of_few_values_never_lies_inside_them(values, side, confidence):
    few = values[:4]
    found = median_bound(few, side, confidence)
    if found.value is not None:
        assert found.value <= min(few) * (1 + 1e-9) if side == "lower" else found.value >= max(few) * (1 - 1e-9)


def test_a_bound_that_was_widened_to_a_value_says_so():
    assert median_bound([1.0, 9.0, 9.0, 9.0], "lower") == (1.0, "log-t 95 %, widened to the least value")
    assert median_bound([1.0, 1.0, 1.0, 9.0], "upper") == (9.0, "log-t 95 %, widened to the largest value")
    assert median_bound([1.0, 9.0, 9.0], "lower").method == "log-t 95 %"


@given(samples)
def test_the_interval_holds_the_median_and_scales_with_the_unit(values):
    low, high, _ = median_interval(values)
    slack = 1 + 1e-9
    assert low / slack <= np.median(values) <= high * slack
    scaled = median_interval([60 * v for v in values])
    assert scaled.low == pytest.approx(60 * low)
    assert scaled.method == median_interval(values).method


@given(samples)
def test_bounds_do_not_depend_on_the_order_and_stay_on_their_side(values):
    upper, lower = median_bound(values, "upper").value, median_bound(values, "lower").value
    assert lower <= upper
    assert median_bound(values[::-1], "upper").value == upper


@given(samples)
def test_more_confidence_never_narrows_a_bound_of_order_statistics(values):
    loose, tight = (order_bound(values, "upper", c).value for c in (0.9, 0.99))
    if tight is not None:
        assert tight >= loose


@pytest.mark.parametrize("n", [3, 4, 5, 7, 10])
def test_one_sided_bounds_cover_at_least_their_confidence(n):
    """Log-normal samples of coefficient of variation 10 %: coverage of the true median, 4,000 seeded trials."""
    rng = np.random.default_rng(20260101 + n)
    trials = np.exp(0.1 * rng.standard_normal((4000, n)))
    covered = np.mean([median_bound(list(row), "upper").value >= 1.0 for row in trials])
    assert covered >= 0.94


@pytest.mark.parametrize("n", [2, 3, 4, 6, 11])
def test_two_sided_intervals_cover_what_they_name(n):
    rng = np.random.default_rng(42 + n)
    trials = np.exp(0.05 * rng.standard_normal((3000, n)))
    found = [median_interval(list(row)) for row in trials]
    named = float(found[0].method.split()[-2]) / 100
    assert np.mean([i.low <= 1.0 <= i.high for i in found]) >= named - 0.015


@pytest.mark.parametrize(
    ("values", "never", "median", "interval"),
    [
        ([1.0, 2.0, 4.0], 0, 2.0, median_interval([1.0, 2.0, 4.0])),
        ([4.0, 1.0, 2.0], 2, 4.0, (1.0, None, "order statistics 93.75 %, no upper end; 2 of 5 never reached it")),
        ([1.0, 2.0, 3.0], 1, 2.5, (1.0, None, "order statistics 87.5 %, no upper end; 1 of 4 never reached it")),
        ([5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0], 1, 9.5,
         (6.0, 13.0, "order statistics 97.85 %; 1 of 10 never reached it")),
        ([1.0], 1, None,
         (1.0, None, "order statistics 50 %, no upper end; 1 of 2 never reached it, so there is no median")),
        ([], 3, None, (None, None, "order statistics 75 %; 3 of 3 never reached it, so there is no median")),
        ([], 1, None, (None, None, "none (n < 2); 1 of 1 never reached it, so there is no median")),
        ([], 0, None, (None, None, "none (n < 2)")),
    ],
)  # fmt: skip
def test_runs_that_never_reach_it_stand_at_infinity(values, never, median, interval):
    assert reached_median(values, never) == median
    assert reached_interval(values, never) == interval


def test_the_lower_bound_with_runs_at_infinity_is_that_of_ranks():
    assert reached_lower_bound([30.0, 31.0, 32.0], 2)[:] == (30.0, "order statistics 96.88 %")
    assert reached_lower_bound([30.0], 7).value == math.inf
    assert reached_lower_bound([30.0, 31.0], 1).value is None
    # of runs that reach it in 55 of 100 cases, two or three all miss it by chance: that is no bound at 95 %
    assert [reached_lower_bound([], never).value for never in (1, 2, 3, 4, 5)] == [None] * 4 + [math.inf]
    assert reached_lower_bound([], 5, 0.99).value is None


def test_olympic_mean_is_mlperfs():
    assert olympic_mean([9.0, 1.0, 2.0]) == 2.0
    assert olympic_mean([1.0, 2.0, 3.0, 10.0]) == 2.5
    assert olympic_mean([1.0, 2.0]) is None
    assert olympic_mean([1.0, 2.0], not_converged=1) == 2.0
    assert olympic_mean([1.0, 2.0, 3.0], not_converged=2) is None


@given(st.lists(positive, min_size=3, max_size=20))
def test_olympic_mean_lies_within_the_values_and_ignores_the_extremes(values):
    score = olympic_mean(values)
    assert min(values) * (1 - 1e-12) <= score <= max(values) * (1 + 1e-12)
    ordered = sorted(values)
    assert olympic_mean([*ordered[:-1], ordered[-1] * 1000]) == pytest.approx(mean(ordered[1:-1]))


def test_expected_range_is_tippetts_table():
    assert [round(expected_range(n), 3) for n in (2, 3, 5, 10)] == [1.128, 1.693, 2.326, 3.078]
    assert spread_from_range(1.0, math.exp(0.3078), 10) == pytest.approx(0.1, rel=1e-3)
    assert spread_from_range(1.0, 2.0, 1) is None
