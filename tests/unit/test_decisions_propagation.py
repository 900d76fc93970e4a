"""How the uncertainty of inputs becomes that of a decision, and which input moves it most."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.analysis.decisions.decision import Figure, Input, assumed, priced
from seatrial.analysis.decisions.propagation import Draws, draw, propagate
from seatrial.analysis.decisions.sensitivity import moves_most, size, tornado
from seatrial.analysis.decisions.words import SHARE, amount, interval, moved_by, with_interval
from seatrial.config.assumption import Assumption
from seatrial.config.target import Price

Values = Mapping[str, Draws]


def given_input(
    name: str, value: float, low: float | None = None, high: float | None = None, measured: bool = False
) -> Input:
    return Input(name, value, low, high, "USD", "a source", "2026-11", measured)


def product(x: Values) -> Draws:
    return np.prod(list(x.values()), axis=0)


def test_a_measured_interval_comes_back_where_nothing_is_done_with_it() -> None:
    found = propagate(product, [given_input("a", 3.0, 2.0, 6.0, measured=True)], 1, name="a", unit="")
    assert found.value == 3.0
    assert (found.low, found.high) == pytest.approx((2.0, 6.0), rel=0.02)


def test_a_stated_range_is_drawn_evenly_on_both_sides_of_its_value() -> None:
    drawn = draw([given_input("a", 3.0, 2.0, 7.0)], 1)["a"]
    assert np.quantile(drawn, [0, 0.25, 0.5, 0.75, 1]) == pytest.approx([2, 2.5, 3, 5, 7], abs=0.06)


def test_normal_inputs_add_as_their_variances_do() -> None:
    """GUM 5.1.2 (JCGM 100:2008): the standard uncertainty of a sum is the root of the sum of squares."""
    inputs = [given_input(name, 0.0, -half, half, measured=True) for name, half in (("a", 3.0), ("b", 4.0))]
    found = propagate(lambda x: x["a"] + x["b"], inputs, 1, name="sum", unit="")
    assert (found.low, found.high) == pytest.approx((-5.0, 5.0), rel=0.03)


def test_the_same_seed_gives_the_same_figure_and_another_one_another() -> None:
    inputs = [given_input("a", 3.0, 2.0, 6.0), given_input("b", 1.0, 0.5, 2.0, measured=True)]
    first = propagate(product, inputs, 1, name="a", unit="")
    assert propagate(product, inputs[::-1], 1, name="a", unit="") == first
    assert propagate(product, inputs, 2, name="a", unit="").low != first.low


def test_without_a_range_there_is_no_interval_and_the_method_says_so() -> None:
    found = propagate(product, [given_input("a", 3.0)], 1, name="a", unit="")
    assert (found.value, found.low, found.high) == (3.0, None, None)
    assert found.method == "no interval: no input has a range"


def test_a_figure_that_is_endless_in_some_draws_has_no_upper_end_and_says_in_how_many() -> None:
    def divided(x: Values) -> Draws:
        return np.where(x["a"] > 1, 1 / np.where(x["a"] > 1, x["a"] - 1, 1), np.inf)

    found = propagate(divided, [given_input("a", 2.0, 0.0, 4.0)], 1, name="a", unit="")
    assert found.value == 1.0 and found.low is not None and found.high is None
    assert "no finite figure in 25." in found.method or "no finite figure in 24." in found.method


def test_resampled_draws_replace_those_of_their_input() -> None:
    replaced = {"a": np.full(100, 5.0)}
    found = propagate(product, [given_input("a", 3.0, 1.0, 9.0)], 1, 100, name="a", unit="", resampled=replaced)
    assert (found.value, found.low, found.high) == (3.0, 5.0, 5.0)


@pytest.mark.parametrize(
    ("model", "words"),
    [(lambda x: np.array([np.nan]), "not a number"), (lambda x: np.zeros(1), "shape")],
    ids=["nan", "too short"],
)
def test_a_model_that_is_wrong_is_refused(model: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        propagate(model, [given_input("a", 2.0, 1.0, 3.0)], 1, name="a", unit="")  # type: ignore[arg-type]


def test_two_inputs_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="twice: a"):
        propagate(product, [given_input("a", 1.0), given_input("a", 2.0)], 1, name="a", unit="")


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [(1.0, 2.0, 3.0, "not between"), (1.0, 0.0, None, "both ends"), (float("inf"), None, None, "not finite")],
)
def test_an_input_that_cannot_be_is_refused(
    value: float, low: float | None, high: float | None, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        given_input("a", value, low, high)


def test_the_tornado_has_the_widest_bar_first_and_leaves_out_what_is_exact() -> None:
    inputs = [given_input("a", 2.0, 1.9, 2.1), given_input("b", 5.0), given_input("c", 3.0, 1.0, 4.0)]
    swings = tornado(product, inputs)
    assert [(s.input, s.at_low, s.at_high) for s in swings] == [("c", 10.0, 40.0), ("a", 28.5, 31.5)]
    assert moves_most(swings) == ["c", "a"]
    assert moved_by(moves_most(swings)) == "What moves it most: c and a."


def test_a_swing_to_what_is_not_finite_counts_as_the_largest() -> None:
    inputs = [given_input("a", 1.0, 0.0, 2.0), given_input("b", 1.0, -1e9, 1e9)]
    (first, _) = tornado(
        lambda x: x["b"] + np.where(x["a"] > 0, 1 / np.where(x["a"] > 0, x["a"], 1), np.inf), inputs
    )
    assert (first.input, first.at_low) == ("a", None) and size(first) == float("inf")


def test_prices_and_assumptions_become_inputs_with_unit_date_and_source() -> None:
    price = Price(low=2.0, high=4.0, as_of="2026-11", source="a quote")
    found = priced("cloud", price, "accelerator-hour")
    assert (found.value, found.low, found.high, found.unit) == (3.0, 2.0, 4.0, "USD/accelerator-hour")
    one_end = priced("cloud", Price(low=2.0, as_of="2026", source="a quote"), "hour")
    assert (one_end.value, one_end.is_exact) == (2.0, True)
    stated = assumed("PUE", Assumption(value=1.3, as_of="2026", source="a page"), "")
    assert (stated.value, stated.as_of, stated.source, stated.measured) == (1.3, "2026", "a page", False)


def test_figures_in_words_carry_their_interval_in_one_size() -> None:
    money = Figure("a", 60.3e6, 9e6, 107.7e6, "USD", "m")
    assert with_interval(money) == "60.3 million USD (9 to 108)"
    assert with_interval(Figure("a", 0.341, 0.2, None, SHARE, "m")) == "34.1 % (at least 20)"
    assert with_interval(Figure("a", None, None, None, "USD", "not known: x")) == "not known"
    assert interval(Figure("a", 2.0, None, None, "h", "m")) == ""
    assert amount(2.5e9, "USD") == "2.5 billion USD"


finite = st.floats(0.01, 100.0)


@settings(max_examples=25, deadline=None)
@given(finite, finite, finite, st.booleans())
def test_a_model_that_rises_keeps_the_order_of_its_ends(a: float, b: float, c: float, measured: bool) -> None:
    low, value, high = sorted((a, b, c))
    one = given_input("a", value, low, high, measured)
    found = propagate(lambda x: 3 * x["a"] + 1, [one], 1, 2000, name="a", unit="")
    assert found.value == 3 * value + 1
    if not one.is_exact:
        assert found.low is not None and found.high is not None
        slack = 1e-9 * found.high
        assert found.low <= found.value + slack and found.value <= found.high + slack
        # draws of a measured interval reach beyond it in 5 % of the cases
        room = 1.25 if measured else 1 + 1e-9
        assert 3 * low / room <= found.low and found.high <= room * (3 * high + 1)
