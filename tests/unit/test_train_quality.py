"""Where the quality target is crossed between two evaluations."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from seatrial.config.training import QualityTarget
from seatrial.train.history import Evaluation, History
from seatrial.train.quality import between, crossing_fraction, meets

LOSS = st.floats(min_value=1e-3, max_value=1e3)


@st.composite
def crossed(draw: st.DrawFn) -> tuple[float, float, float]:
    """(before, target, after) of a falling loss, before > target >= after."""
    after, target, before = sorted(draw(st.tuples(LOSS, LOSS, LOSS)))
    assume(before > target)
    return before, target, after


@given(crossed())
def test_crossing_lies_between_the_two_evaluations(case: tuple[float, float, float]) -> None:
    before, target, after = case
    assert 0 < crossing_fraction(before, after, target) <= 1


@given(crossed(), st.floats(0, 1))
def test_a_harder_target_is_crossed_no_earlier(case: tuple[float, float, float], share: float) -> None:
    before, target, after = case
    harder = min(target, max(after, between(after, target, share)))
    assert crossing_fraction(before, after, harder) >= crossing_fraction(before, after, target)


@given(crossed())
def test_log_linear_crossing_inverts_exponential_decay(case: tuple[float, float, float]) -> None:
    before, target, after = case
    assume(before / after > 1.01)
    fraction = crossing_fraction(before, after, target)
    assert before * (after / before) ** fraction == pytest.approx(target, rel=1e-9)


@given(LOSS, LOSS)
def test_target_met_exactly_is_crossed_at_that_evaluation(one: float, other: float) -> None:
    before, after = max(one, other), min(one, other)
    assume(before > after)
    assert crossing_fraction(before, after, after) == pytest.approx(1.0)


@given(crossed())
def test_rising_quality_mirrors_falling_loss(case: tuple[float, float, float]) -> None:
    before, target, after = case
    mirrored = crossing_fraction(1 / before, 1 / after, 1 / target, "higher")
    assert mirrored == pytest.approx(crossing_fraction(before, after, target), rel=1e-6, abs=1e-9)


def test_interpolation_is_linear_in_the_value_where_it_is_not_positive() -> None:
    assert crossing_fraction(3.0, -1.0, 0.0) == 0.75


def test_evaluations_that_do_not_cross_are_refused() -> None:
    with pytest.raises(ValueError, match="does not cross"):
        crossing_fraction(3.0, 2.5, 2.0)
    with pytest.raises(ValueError, match="does not cross"):
        crossing_fraction(1.9, 1.5, 2.0)
    assert not meets(math.nan, 2.0, "lower")


def evaluation(step: int, samples: int, minutes: float, value: float) -> Evaluation:
    return Evaluation(step, samples, minutes, value, {"evaluation_loss": value})


def test_history_states_both_times_and_the_samples_of_the_crossing() -> None:
    history = History(QualityTarget(metric="evaluation_loss", target=2.0))
    history.evaluations = [evaluation(10, 80, 1.0, 4.0), evaluation(20, 160, 3.0, 1.0)]
    quality = history.quality()
    assert quality.crossing == pytest.approx({"step": 15, "samples": 120, "minutes": 2.0})
    assert quality.before == {"step": 10, "samples": 80, "minutes": 1.0, "value": 4.0}
    measured = {m.metric: m.samples for m in history.measurements() if "evaluation" not in m.metric}
    assert measured == {"train.time_to_quality": [2.0], "train.samples_to_quality": [120.0]}
    assert [m.samples for m in history.measurements() if m.metric == "train.time_to_evaluation"] == [[3.0]]
    assert between(1.0, 3.0, 0.5) == 2.0


def test_history_without_crossing_claims_no_time_to_quality() -> None:
    history = History(QualityTarget(metric="evaluation_loss", target=2.0))
    history.evaluations = [evaluation(0, 0, 0.0, 4.0), evaluation(10, 80, 1.0, 3.0)]
    assert history.quality().crossing is None
    assert {m.metric for m in history.measurements()} == {"train.evaluation_loss"}
