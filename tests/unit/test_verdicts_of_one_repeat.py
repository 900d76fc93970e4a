"""A verdict on one repeat alone: only where its samples are enough to show how much they depend on each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from study_on_disk import GEMM

from seatrial.analysis.bounds import bound_of_samples, samples_needed, samples_to_settle
from seatrial.analysis.verdicts import read_verdicts
from seatrial.record import measurement


def single_repeat(make_study, samples):
    """The verdict (at least 10) on one repeat with these samples."""
    study = make_study()
    (case,) = study.experiment("gemm", GEMM)
    study.record(case, 0, measurement("gemm.throughput", samples, {"dtype": "float32"}))
    study.criterion("fast", "gemm.throughput", at_least=10.0)
    return read_verdicts(study.analyse())[0]


def test_a_single_repeat_of_few_samples_is_inconclusive_and_says_how_many_it_needs(make_study):
    found = single_repeat(make_study, [11.9, 11.95, 12.0, 12.05, 12.1])
    assert (found["verdict"], found["low"], found["high"]) == ("inconclusive", None, None)
    assert (found["n"], found["n_needed"], found["needed_of"]) == (1, 71, "samples")
    assert "its 5 samples are too few to show how much they depend on each other" in found["reason"]
    assert "about 71 samples, or 2 repeats" in found["reason"]


def test_a_single_value_of_a_run_needs_repeats(make_study):
    found = single_repeat(make_study, [12.0])
    assert (found["verdict"], found["n_needed"], found["needed_of"]) == ("inconclusive", 2, "repeats")


@pytest.mark.parametrize(
    ("middle", "correlation", "verdict"),
    [(12.0, 0.0, "pass"), (8.0, 0.0, "fail"), (10.0, 0.0, "inconclusive"), (12.0, 0.9, "inconclusive")],
)
def test_a_single_repeat_of_many_samples_is_judged_unless_they_depend_on_each_other(
    make_study, middle, correlation, verdict
):
    draw = np.random.default_rng(1)
    samples = middle + 0.1 * lfilter([1.0], [1.0, -correlation], draw.standard_normal(200))
    found = single_repeat(make_study, samples.tolist())
    assert found["verdict"] == verdict
    if correlation:
        assert found["n_needed"] > 200 and found["needed_of"] == "samples"
    elif verdict != "inconclusive":
        assert "interval over its 200 samples: says nothing about the next run" in found["reason"]
        assert "order statistics 98.24 %, over 15 batches" in found["reason"]


SERIES = st.lists(st.floats(0.1, 10.0), max_size=300)


@given(SERIES)
def test_there_is_a_bound_exactly_where_the_series_has_as_many_samples_as_it_needs(samples):
    lower, upper = (bound_of_samples(samples, side, 0.95) for side in ("lower", "upper"))
    assert samples_needed(samples) >= 45
    assert (lower.value is not None) == (upper.value is not None) == (len(samples) >= samples_needed(samples))
    if lower.value is not None and upper.value is not None:
        assert min(samples) <= lower.value <= upper.value <= max(samples)


def test_equal_samples_are_a_bound_where_there_are_as_many_as_independent_ones_would_need():
    assert bound_of_samples([2.0] * 70, "lower", 0.95).value is None
    assert bound_of_samples([2.0] * 71, "lower", 0.95).value == 2.0


def test_the_samples_that_would_settle_it_grow_with_the_square_of_how_near_the_bound_lies():
    samples = (1 + 0.1 * np.random.default_rng(3).standard_normal(300)).tolist()
    far, near = (samples_to_settle(samples, distance, 0.95, 0.8) for distance in (0.005, 0.0025))
    assert near == pytest.approx(4 * far, abs=4)
    assert samples_to_settle(samples, 1e-6, 0.95, 0.8) is None
    assert samples_to_settle(samples[:50], 0.1, 0.95, 0.8) is None


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.8])
def test_the_bound_holds_in_as_many_series_as_it_says(correlation):
    """400 series of 300; a bound that is not given says nothing wrong. `make bench-judge` has more of them."""
    draw = np.random.default_rng(11)
    noise = draw.standard_normal((400, 500))
    made = lfilter([math.sqrt(1 - correlation**2)], [1.0, -correlation], noise, axis=1)[:, 200:]
    found = [bound_of_samples(one.tolist(), "lower", 0.95) for one in made]
    given = [bound.value <= 0 for bound in found if bound.value is not None]
    assert len(given) > (20 if correlation == 0.8 else 200)
    assert np.mean(given) > 0.94 - 3 * math.sqrt(0.94 * 0.06 / len(given))
