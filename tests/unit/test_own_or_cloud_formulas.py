"""Own against cloud: the formulas against published figures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.analysis.decisions.decision import Figure
from seatrial.analysis.decisions.ownership import (
    annuity,
    break_even_utilisation,
    capital_per_year,
    months_of_rent,
    per_used_hour,
    power_per_year,
    rented_for,
)
from seatrial.analysis.decisions.words import amount, with_interval

share = st.floats(0.05, 0.9)


def test_amounts_are_rounded_to_three_digits_before_the_point_too() -> None:
    assert amount(492_123.4, "USD") == "492,000 USD"
    assert amount(60.26e6, "USD") == "60.3 million USD"
    assert with_interval(Figure("x", 12_345.0, 9_876.5, 123_456.0, "USD", "")) == "12,300 USD (9,880 to 123,000)"


def test_an_annuity_pays_a_loan_back_to_nothing() -> None:
    rate, periods = 0.08 / 12, 36
    debt = 1.0
    for _ in range(periods):
        debt = debt * (1 + rate) - float(annuity(rate, periods))
    assert debt == pytest.approx(0.0, abs=1e-12)
    # A/P at 8 % over 10 periods, as tables of engineering economics print it
    assert float(annuity(0.08, 10)) == pytest.approx(0.14903, abs=5e-6)
    assert float(annuity(0.0, 36)) == pytest.approx(1 / 36)


def test_what_is_sold_at_the_end_is_not_paid_off_but_bears_interest() -> None:
    assert float(capital_per_year(100.0, 1.0, 0.06, 3.0)) == pytest.approx(6.0)
    assert float(capital_per_year(90.0, 1 / 3, 0.0, 3.0)) == pytest.approx(20.0)


def test_the_published_cluster_of_1024_costs_2_1_in_capital_and_0_14_in_power_an_hour() -> None:
    """A public cost sheet of August 2024: USD 50,429,440 for 1,024 H100 with InfiniBand, 49,248 each."""
    each = 50_429_440 / 1024
    assert each == pytest.approx(49_248, abs=1)
    capital = per_used_hour(capital_per_year(each, 0.0, 0.0, 3.0), 1.0, 0.9)
    assert float(capital) == pytest.approx(2.1, abs=0.05)
    a_year = power_per_year(1.3, 1.3, 0.08)
    assert float(per_used_hour(a_year, 1.0, 1.0)) == pytest.approx(0.14, abs=0.006)
    assert float(per_used_hour(a_year, 1.0, 0.9)) == pytest.approx(0.15, abs=0.001)


@pytest.mark.parametrize(("hour", "millions"), [(2.95, 25.8), (6.88, 60.3), (12.29, 107.7)])
def test_a_thousand_rented_for_a_year_cost_what_is_stated_everywhere(hour: float, millions: float) -> None:
    assert 1000 * float(rented_for(12, hour)) / 1e6 == pytest.approx(millions, abs=0.05)


def test_break_even_is_where_both_cost_the_same() -> None:
    own_a_year, cloud = 20_000.0, 6.88
    share = float(break_even_utilisation(own_a_year, cloud))
    assert share == pytest.approx(20_000 / (6.88 * 8760))
    assert float(per_used_hour(own_a_year, 1.0, share)) == pytest.approx(cloud)
    months = float(months_of_rent(3 * own_a_year, cloud))
    assert float(rented_for(months, cloud)) == pytest.approx(3 * own_a_year)
    assert months == pytest.approx(36 * share)


@settings(max_examples=50, deadline=None)
@given(st.floats(1e3, 1e6), share, st.floats(0, 0.3), st.floats(1, 8), st.floats(0.5, 20), st.floats(1.01, 3))
def test_more_cost_never_makes_owning_break_even_sooner(
    purchase: float, residual: float, interest: float, years: float, cloud: float, factor: float
) -> None:
    def share_of(purchase: float, residual: float, interest: float, cloud: float) -> float:
        a_year = capital_per_year(purchase, residual, interest, years) + power_per_year(1.3, 1.3, 0.08)
        return float(break_even_utilisation(a_year, cloud))

    as_stated = share_of(purchase, residual, interest, cloud)
    assert share_of(purchase * factor, residual, interest, cloud) > as_stated
    assert share_of(purchase, residual / factor, interest, cloud) >= as_stated
    assert share_of(purchase, residual, interest * factor, cloud) >= as_stated * (1 - 1e-9)
    assert share_of(purchase, residual, interest, cloud * factor) < as_stated
    assert np.isfinite(as_stated)
