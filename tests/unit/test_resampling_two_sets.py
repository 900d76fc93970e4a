"""Whether two sets of repeats differ: tests that hold at small n, intervals that agree, what cannot be shown."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from seatrial.analysis.statistics import compare_paired, compare_unpaired

VALUES = st.lists(st.floats(0.1, 10.0), min_size=4, max_size=8)
STUDIES = 300


def times(draw: np.random.Generator, n: int, spread: float = 0.05) -> np.ndarray:
    return np.exp(spread * draw.normal(size=n))


@pytest.mark.parametrize(("n", "m", "smallest"), [(3, 3, 0.1), (4, 4, 2 / 70), (3, 5, 2 / 56), (5, 5, 2 / 252)])
def test_smallest_p_of_two_sets_is_known_before_measuring(n, m, smallest):
    found = compare_unpaired([1 + 0.01 * i for i in range(n)], [2 + 0.01 * i for i in range(m)])
    assert found.smallest_p == pytest.approx(smallest)
    if smallest <= 0.05:
        assert found.p == pytest.approx(smallest)
        assert found.low > 1
    else:
        assert found.p is None and not found.can_be_shown
        assert "cannot show it" in found.method and "Welch log-t" in found.method


@pytest.mark.parametrize("n", [2, 3])
def test_a_few_equal_values_have_no_interval(n):
    """Two equal repeats a side do not tell that there is no spread; nor do ratios equal but for rounding."""
    base = [10.0, 12.0, 15.0][:n]
    for found in (
        compare_paired([12.0] * n, [12.0] * n),
        compare_paired(base, [1.1 * b for b in base]),
        compare_unpaired([12.0] * n, [12.0] * n),
        compare_unpaired([12.0] * n, base),
        compare_unpaired(base, [12.0] * n),
    ):
        assert (found.low, found.high, found.p) == (None, None, None)
        assert found.method.startswith("none (log-t needs a spread")


@pytest.mark.parametrize("n", [1, 2, 5, 6, 8])
def test_smallest_p_of_pairs_is_known_before_measuring(n):
    base = [1.0 + 0.1 * i for i in range(n)]
    found = compare_paired(base, [b * (1.5 + 0.01 * i) for i, b in enumerate(base)])
    assert found.smallest_p == 2.0 ** (1 - n)
    assert (found.p is None) == (n < 6)
    if n >= 6:
        assert found.p == found.smallest_p
    assert (found.low is None) == (n < 2)


def test_too_few_is_never_no_difference():
    """Far apart, equal, or one value: without a p that could be small there is none, above all none of 1."""
    for other in ([9.0, 9.1], [1.0, 1.1], [1.0]):
        assert compare_unpaired([1.0, 1.1], other).p is None
    assert compare_paired([1.0, 1.0], [1.0, 1.0]).p is None
    assert compare_unpaired([], [1.0]).ratio is None


def test_pairs_see_through_drift_that_hides_the_difference_from_unpaired_tests():
    drift = [1.0, 1.3, 0.8, 1.6, 0.7, 1.1, 1.4, 0.9]
    other = [d * (1.05 + 0.001 * i) for i, d in enumerate(drift)]
    paired, unpaired = compare_paired(drift, other), compare_unpaired(drift, other)
    assert paired.p < 0.05 and paired.low > 1.04
    assert unpaired.p > 0.5 and unpaired.low < 1 < unpaired.high


@settings(max_examples=30, deadline=None)
@given(VALUES, VALUES)
def test_unpaired_p_and_interval_agree(base, other):
    """Refused at 5 % exactly where 1 lies outside the interval; an end on 1 is either."""
    found = compare_unpaired(base, other)
    assert found.low <= found.ratio <= found.high
    if found.p > 0.05 + 1e-9:
        assert found.low <= 1 + 1e-9 and found.high >= 1 - 1e-9
    elif len({*base, *other}) == len(base) + len(other):
        assert not found.low < 1 - 1e-9 < 1 + 1e-9 < found.high


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(6, 9), st.floats(-0.08, 0.08))
def test_paired_p_and_interval_agree(number, n, shift):
    logs = shift + 0.05 * np.random.default_rng(number).normal(size=n)
    found = compare_paired([1.0] * n, np.exp(logs))
    assert (found.p <= 0.05) == (found.low > 1 or found.high < 1)
    if n == 6:  # of the 64 signs only all alike can show it: the interval is the least to the most
        assert (found.low, found.high) == pytest.approx((np.exp(logs.min()), np.exp(logs.max())))


@settings(max_examples=30, deadline=None)
@given(VALUES, VALUES, st.floats(0.1, 10.0))
def test_exchanged_sets_give_the_reciprocal_and_a_factor_moves_only_the_ratio(base, other, factor):
    found, turned = compare_unpaired(base, other), compare_unpaired(other, base)
    assert turned.p == pytest.approx(found.p)
    assert (1 / turned.high, 1 / turned.low) == pytest.approx((found.low, found.high))
    moved = compare_unpaired(base, [factor * v for v in other])
    assert moved.ratio == pytest.approx(factor * found.ratio)


def test_p_is_near_those_of_scipy_where_n_is_large():
    draw = np.random.default_rng(4)
    base, other = times(draw, 25), 1.03 * times(draw, 30)
    found = compare_unpaired(base, other).p
    assert found == pytest.approx(stats.brunnermunzel(np.log(base), np.log(other)).pvalue, abs=0.02)
    pairs = compare_paired(base, other[:25])
    assert pairs.p == pytest.approx(stats.wilcoxon(np.log(other[:25] / base)).pvalue)


def hits(compare, sizes, spreads):
    draw = np.random.default_rng(17)
    found = [compare(times(draw, sizes[0], spreads[0]), times(draw, sizes[1], spreads[1])) for _ in range(STUDIES)]
    assert all(f.p is None or f.p > 0 for f in found)
    return sum(f.low <= 1 <= f.high for f in found) / STUDIES


@pytest.mark.parametrize("n", [3, 6, 10])
def test_intervals_of_pairs_hold(n):
    """Fewer than 91 % of 300 has a chance below 1 in 500 for a coverage of 95 %."""
    assert hits(compare_paired, (n, n), (0.05, 0.05)) >= 0.91


@pytest.mark.parametrize(
    ("sizes", "spreads"), [((4, 4), (0.05, 0.05)), ((6, 6), (0.02, 0.1)), ((5, 10), (0.05, 0.15))]
)
def test_intervals_of_two_sets_hold_also_where_their_spreads_differ(sizes, spreads):
    assert hits(compare_unpaired, sizes, spreads) >= 0.91


def test_ties_have_a_p_too():
    assert compare_paired([1.0] * 8, [1.0] * 8).p == 1.0
    assert compare_paired([1.0] * 8, [2.0] * 8).p == pytest.approx(2.0**-7)
    assert compare_unpaired([1.0] * 5, [1.0] * 5).p == 1.0


def test_what_is_no_time_is_refused():
    for compare in (compare_paired, compare_unpaired):
        for wrong in ([1.0, 0.0], [1.0, float("nan")], [1.0, -1.0]):
            with pytest.raises(ValueError, match="not finite and positive"):
                compare([1.0, 2.0], wrong)
    with pytest.raises(ValueError, match="no pairs"):
        compare_paired([1.0, 2.0], [1.0])


@pytest.mark.parametrize("seed", range(4))
def test_p_and_interval_agree_where_values_are_tied(seed):
    draw, held = np.random.default_rng(seed), 0
    base, other = [38.0, 38, 30, 30, 30], [32.0, 44, 44, 42, 38]
    for _ in range(25):
        found = compare_unpaired(base, other)
        assert found.p is not None and found.low is not None and found.high is not None
        assert (found.p <= 0.05) == (not found.low <= 1 <= found.high), (base, other)
        held += found.low <= 1 <= found.high
        base, other = (
            draw.integers(30, 40, 5).astype(float).tolist(),
            draw.integers(32, 44, 5).astype(float).tolist(),
        )
    assert 0 < held < 25


def test_equal_constant_sets_do_not_differ():
    found = compare_unpaired([3.0] * 5, [3.0] * 5)
    assert (found.p, found.low, found.high) == (1.0, 1.0, 1.0)
