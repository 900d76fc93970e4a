"""The Kaplan-Meier curve of censored times is that of statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.duration.survfunc import SurvfuncRight

from seatrial.analysis.survival import Reach, kaplan_meier, median_reach

RUNS = st.lists(st.tuples(st.integers(1, 20), st.booleans()), min_size=2, max_size=15)


@settings(max_examples=100, deadline=None)
@given(RUNS)
def test_curve_and_median_are_those_of_statsmodels(watched):
    runs = [Reach(float(time), float(time) if reached else None) for time, reached in watched]
    curve = kaplan_meier(runs)
    theirs = SurvfuncRight([time for time, _ in watched], [int(reached) for _, reached in watched])
    ours = dict(zip(curve.times, curve.share, strict=True))
    assert [ours[time] for time in theirs.surv_times] == pytest.approx(list(theirs.surv_prob))
    expected = theirs.quantile(0.5)
    found = median_reach(runs)
    # statsmodels takes the first time below 1/2, ours the middle: they part where the curve stays at 1/2
    if not np.isclose(theirs.surv_prob, 0.5).any():
        assert found == (None if np.isnan(expected) else expected)
    elif found is not None:
        assert found < expected
    else:
        assert np.isnan(expected)


@pytest.mark.parametrize("times", [[1.0, 4.0], [1.0, 2.0, 7.0, 9.0], [3.0, 1.0, 2.0]])
def test_of_runs_that_all_reached_it_the_median_is_the_usual_one(times):
    assert median_reach([Reach(t, t) for t in times]) == np.median(times)


def test_where_half_reached_it_and_half_never_did_there_is_no_median():
    assert median_reach([Reach(1.0, 1.0), Reach(2.0, 2.0), Reach(9.0, None), Reach(9.0, None)]) is None


def test_bounds_are_greenwoods_on_the_log_log_scale():
    times, reached = [2, 3, 3, 5, 8, 9, 12, 14], [1, 1, 0, 1, 1, 0, 1, 0]
    curve = kaplan_meier([Reach(float(t), float(t) if r else None) for t, r in zip(times, reached, strict=True)])
    theirs = SurvfuncRight(times, reached)
    share, error = np.array(theirs.surv_prob), np.array(theirs.surv_prob_se)
    width = 1.959964 * error / (share * np.abs(np.log(share)))
    at = [list(curve.times).index(t) for t in theirs.surv_times]
    assert curve.low[at] == pytest.approx(share ** np.exp(width), rel=1e-5)
    assert curve.high[at] == pytest.approx(share ** np.exp(-width), rel=1e-5)
