"""The interval between checkpoints after Young and Daly, in numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.analysis.checkpointing import (
    HOUR,
    blocking_share,
    checkpoint_bytes,
    daly_interval,
    required_bandwidth,
    seconds_between_failures,
    waste,
    young_interval,
)

THREE_HOURS = 3 * HOUR
costs = st.floats(1e-3, 1e4)


def test_a_minute_every_three_hours() -> None:
    """C = 60 s and 3 h between failures: every 1,138 s, 10.5 % lost, half of it while standing still."""
    interval = young_interval(60, THREE_HOURS)
    assert interval == pytest.approx(1138.4, abs=0.1)
    assert waste(60, interval, THREE_HOURS) == pytest.approx(0.1054, abs=1e-4)
    assert blocking_share(60, interval) == pytest.approx(0.0527, abs=1e-4)
    assert daly_interval(60, THREE_HOURS) == pytest.approx(1098.8, abs=0.1)


def test_a_restart_costs_its_time_at_every_failure() -> None:
    """R = 2 min at 3 h between failures: 1.1 % beside the 10.5 %."""
    interval = young_interval(60, THREE_HOURS)
    assert waste(60, interval, THREE_HOURS, restart=120) == pytest.approx(0.1054 + 120 / THREE_HOURS, abs=1e-4)


def test_ten_seconds_every_three_hours() -> None:
    interval = young_interval(10, THREE_HOURS)
    assert interval / 60 == pytest.approx(7.75, abs=0.01)
    assert waste(10, interval, THREE_HOURS) == pytest.approx(0.043, abs=1e-3)


def test_eight_billion_parameters_are_105_gib() -> None:
    assert checkpoint_bytes(8.03e9, 14) / 1024**3 == pytest.approx(104.7, abs=0.05)


def test_the_failures_of_16384_accelerators_come_every_three_hours() -> None:
    assert seconds_between_failures(50_700, 16_384) / HOUR == pytest.approx(3.1, abs=0.01)


@given(costs, st.floats(10, 1e7), st.floats(0.5, 2.0))
def test_no_other_interval_loses_less_than_youngs(cost: float, between: float, factor: float) -> None:
    best = young_interval(cost, between)
    assert waste(cost, best * factor, between) >= waste(cost, best, between) * (1 - 1e-12)


@given(costs)
def test_dalys_interval_is_youngs_where_checkpoints_are_cheap_and_between_failures_at_most(cost: float) -> None:
    assert daly_interval(cost, cost * 1e8) == pytest.approx(young_interval(cost, cost * 1e8), rel=1e-3)
    assert daly_interval(cost, cost / 2) == cost / 2
    assert daly_interval(cost, cost) <= cost * 1.2


@given(st.floats(1e6, 1e14), st.floats(0.01, 0.5), st.floats(10, 1e7))
def test_the_required_bandwidth_holds_the_overhead_exactly(size: float, overhead: float, between: float) -> None:
    cost = size / required_bandwidth(size, overhead, between)
    assert blocking_share(cost, young_interval(cost, between)) == pytest.approx(overhead)
    cost = size / required_bandwidth(size, overhead, between, interval=900.0)
    assert blocking_share(cost, 900.0) == pytest.approx(overhead)
