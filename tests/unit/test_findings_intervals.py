"""The intervals of shares hold: of independent steps, of steps that depend on their neighbours, of few stalls."""

import numpy as np
import pytest

from seatrial.analysis.findings.resampling import Quantities, drawn_sums

DRAWS = 200


def series(draw: np.random.Generator, steps: int, phi: float, spread: float) -> np.ndarray:
    """Log-normal seconds whose logs follow an AR(1) with `phi`."""
    noise = draw.normal(0, spread * np.sqrt(1 - phi**2), steps)
    found = np.empty(steps)
    found[0] = draw.normal(0, spread)
    for step in range(1, steps):
        found[step] = phi * found[step - 1] + noise[step]
    return np.exp(found)


@pytest.mark.parametrize(("phi", "steps", "least"), [(0.0, 60, 0.91), (0.5, 150, 0.87)])
def test_the_interval_of_a_share_holds_as_often_as_is_said(phi, steps, least):
    draw = np.random.default_rng(11)
    part, rest = 0.02 * np.exp(0.3**2 / 2), 0.1 * np.exp(0.1**2 / 2)
    held = 0
    for _ in range(DRAWS):
        run = {"part": 0.02 * series(draw, steps, phi, 0.3), "rest": 0.1 * series(draw, steps, phi, 0.1)}
        found = Quantities([run]).share("part", ["part", "rest"])
        assert found.low is not None and found.high is not None
        held += found.low <= part / (part + rest) <= found.high
    assert held / DRAWS >= least


def test_runs_that_differ_more_than_their_steps_say_have_the_interval_of_the_runs():
    runs = [{"part": np.full(50, value), "rest": np.full(50, 1.0)} for value in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)]
    found = Quantities(runs).share("part", ["part", "rest"])
    assert found.low == pytest.approx(0.1 / 1.1) and found.high == pytest.approx(0.6 / 1.6)
    assert found.method.startswith("order statistics") and found.n == 6


def test_a_handful_of_steps_has_no_interval():
    found = Quantities([{"part": np.array([0.1, 0.2, 0.1]), "rest": np.ones(3)}]).share("part", ["part", "rest"])
    assert (found.low, found.high) == (None, None)
    assert "too few" in found.method


def test_one_stall_has_no_spread_and_two_that_differ_have_a_wide_one():
    assert drawn_sums([2.0]) is None
    alike, apart = drawn_sums([2.0, 2.0]), drawn_sums([1.0, 3.0])
    assert alike is not None and np.ptp(alike) == 0 and alike[0] == 4.0
    assert apart is not None and np.quantile(apart, 0.1) < 2.0 and apart.min() >= 0
