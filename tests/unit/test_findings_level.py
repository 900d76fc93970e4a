"""A run that became slower half way is never called fine, and what unsteady steps cost is never below nothing."""

import numpy as np
import pytest
from findings_on_disk import RULES

from seatrial.analysis.findings.diagnose import diagnose
from seatrial.analysis.findings.observed import Finding, Observed
from seatrial.analysis.findings.series import RunSeries, with_series


def observed(step: np.ndarray) -> Observed:
    bare = Observed(where="case", title="made up", runs=1)
    return with_series(bare, [RunSeries(step, {"compute": 0.98 * step, "communication": 0.02 * step})], RULES)


def first(step: np.ndarray) -> Finding:
    return diagnose(observed(step), RULES)[0]


@pytest.mark.parametrize("jitter", [0.0, 0.03])
@pytest.mark.parametrize(("at", "cost"), [(41, 0.88), (101, 0.82), (161, 0.64)])
def test_ten_times_slower_from_a_step_on_is_found_with_its_step_and_its_cost(at, cost, jitter):
    steps = np.r_[np.ones(at - 1), np.full(201 - at, 10.0)] * np.random.default_rng(at).lognormal(0, jitter, 200)
    found = first(steps)
    assert (found.cause, found.severity) == ("noise", "major")
    assert f"became slower from step {at} on" in found.title
    assert found.cost is not None and found.cost.value == pytest.approx(cost, abs=0.01)
    assert f"before step {at} of 200" in found.evidence[0]


def test_slow_first_steps_are_said_to_have_ended():
    steps = np.r_[np.full(60, 2.0), np.ones(140)] * np.random.default_rng(3).lognormal(0, 0.03, 200)
    assert "was slower up to step 60" in first(steps).title


def test_most_steps_slower_than_some_is_suspected_though_the_mean_lies_below_the_median():
    draw = np.random.default_rng(5)
    steps = np.where(draw.random(200) < 0.7, 10.0, 1.0) * draw.lognormal(0, 0.03, 200)
    found = first(steps)
    assert (found.cause, found.severity, found.cost) == ("noise", "inconclusive", None)
    noise = observed(steps).noise
    assert noise is not None and noise.lost is not None and noise.lost.value == 0 and noise.saved > 0.05


@pytest.mark.parametrize("seed", range(10))
def test_a_slight_drift_and_slow_waves_are_no_finding(seed):
    draw, steps = np.random.default_rng(seed), np.arange(200)
    drift = (1 + 0.0003 * steps) * (1 + 0.02 * np.sin(steps / 30)) * draw.lognormal(0, 0.02, 200)
    assert first(drift).cause == "none"


def test_a_95th_percentile_has_an_interval_only_where_order_statistics_can_hold():
    draw = np.random.default_rng(2)
    few, many = (observed(draw.lognormal(0, 0.2, n)).noise for n in (61, 201))
    assert few is not None and few.p95_over_p50 is not None and few.p95_over_p50.low is None
    assert "72 needed" in few.p95_over_p50.method
    assert many is not None and many.p95_over_p50 is not None and many.p95_over_p50.low is not None


def test_no_hiccup_seen_does_not_mean_none_can_be():
    noise = observed(np.random.default_rng(2).lognormal(0, 0.01, 101)).noise
    assert noise is not None and noise.hiccups is not None
    assert noise.hiccups.low == 0 and noise.hiccups.high == pytest.approx(3.7 / 100, rel=0.35)
