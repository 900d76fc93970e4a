"""Tails and quantiles by the special functions are those of scipy.stats, and no stage imports that to start."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from seatrial.analysis.order import midranks
from seatrial.analysis.statistics import benjamini_hochberg, distributions

SHARES = st.floats(0.001, 0.999)


@given(SHARES, st.floats(1, 500))
def test_t_and_the_normal_are_scipys(share: float, degrees: float) -> None:
    value = 10 * share
    assert distributions.t_quantile(share, degrees) == stats.t.ppf(share, degrees)
    assert distributions.t_above(value, degrees) == stats.t.sf(value, degrees)
    assert distributions.normal_quantile(share) == stats.norm.ppf(share)
    assert distributions.normal_below(value) == stats.norm.cdf(value)
    assert distributions.normal_above(value) == stats.norm.sf(value)


@given(st.integers(1, 400), SHARES, SHARES)
@settings(max_examples=50)
def test_binomials_are_scipys(n: int, share: float, chance: float) -> None:
    k = np.arange(-1, n + 2)
    found = distributions.binomials_at_most(k, n, share)
    assert found == pytest.approx(stats.binom.cdf(k, n, share), rel=1e-10, abs=1e-14)
    least = distributions.binomial_quantile(chance, n, share)
    assert stats.binom.cdf(least - 1, n, share) < chance * (1 + 1e-12)
    assert stats.binom.cdf(least, n, share) > chance * (1 - 1e-12)
    above = [distributions.binomial_more_than(int(one), n, share) for one in k[1:-2]]
    assert above == pytest.approx(stats.binom.sf(k[1:-2], n, share), rel=1e-10, abs=1e-14)


@given(SHARES, st.floats(0.1, 200), st.floats(0.1, 200))
def test_beta_is_scipys(share: float, a: float, b: float) -> None:
    assert distributions.beta_quantile(share, a, b) == pytest.approx(stats.beta.ppf(share, a, b), rel=1e-9)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_ranks_are_scipys(values: list[int]) -> None:
    assert midranks(np.array(values, dtype=float)).tolist() == stats.rankdata(values).tolist()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_adjusted_p_are_scipys(values: list[float]) -> None:
    assert benjamini_hochberg(values) == stats.false_discovery_control(values).tolist()


def test_tables_and_page_start_without_what_is_slow_to_import() -> None:
    slow = ("scipy.stats", "scipy.optimize", "seaborn", "torch", "hydra")
    imports = "import sys, seatrial.analysis.analyse, seatrial.report.page"
    words = f"{imports}; sys.exit(any(name in sys.modules for name in {slow}))"
    assert subprocess.run([sys.executable, "-c", words], timeout=60).returncode == 0
