"""Expected bytes of expert parallelism and checkpoints, and checkpoint intervals, held to published figures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.train import traffic


def test_deepseek_v3_meets_5_3_nodes_of_8() -> None:
    assert traffic.expected_distinct_nodes(experts=256, top_k=8, nodes=8) == pytest.approx(5.295, abs=5e-4)


@given(per_node=st.integers(1, 32), nodes=st.integers(1, 16), data=st.data())
def test_distinct_nodes_lie_between_one_and_the_lesser_of_k_and_nodes(
    per_node: int, nodes: int, data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, per_node * nodes))
    expected = traffic.expected_distinct_nodes(per_node * nodes, k, nodes)
    assert 1 - 1e-12 <= expected <= min(k, nodes) + 1e-12
    if k > 1:
        assert expected >= traffic.expected_distinct_nodes(per_node * nodes, k - 1, nodes) - 1e-12


def test_experts_that_do_not_divide_among_nodes_are_refused() -> None:
    with pytest.raises(ValueError, match="10 experts do not divide evenly among 4 nodes"):
        traffic.expected_distinct_nodes(10, 2, 4)
    with pytest.raises(ValueError, match="top_k is 9"):
        traffic.expected_distinct_nodes(8, 9, 4)


def test_dispatch_of_4096_tokens_of_deepseek_v3() -> None:
    # 235 MB is T k h; the share that stays on the rank itself (1/64) does not travel
    assert pytest.approx(235, abs=0.5) == 4096 * 8 * 7168 / 1e6
    assert traffic.naive_dispatch_bytes(4096, 8, 7168, 1, 64) / 1e6 == pytest.approx(235 * 63 / 64, abs=0.5)
    assert traffic.naive_dispatch_bytes(4096, 8, 7168, 1, 1) == 0
    dispatch = traffic.node_deduplicated_bytes(4096, 3.5, 7168, 1)
    combine = traffic.node_deduplicated_bytes(4096, 3.5, 7168, 2)
    assert [round(b / 1e6) for b in (dispatch, combine)] == [103, 206]
    assert [round(b / 49e9 * 1e3, 1) for b in (dispatch, combine)] == [2.1, 4.2]


def test_fp8_scales_add_three_percent_to_a_dispatch() -> None:
    plain = traffic.dispatch_metadata_bytes(4096, 8)
    assert plain == 4096 * 8 * (4 + 4)
    scales = traffic.dispatch_metadata_bytes(4096, 8, hidden=7168, fp8=True) - plain
    assert scales / (4096 * 7168) == pytest.approx(0.03, abs=0.002)


@pytest.mark.parametrize(("parameters", "gib"), [(8.03e9, 104.7), (70e9, 912.7), (405.85e9, 5291.7)])
def test_checkpoints_have_mlperf_storages_sizes_at_14_bytes_per_parameter(parameters: float, gib: float) -> None:
    assert traffic.checkpoint_bytes(int(parameters)) / 2**30 == pytest.approx(gib, abs=0.05)


def test_weights_alone_are_two_bytes() -> None:
    assert traffic.checkpoint_bytes(1000, "weights") == 2000


@pytest.mark.parametrize(("write", "interval", "waste"), [(60, 1138, 10.5), (10, 465, 4.3)])
def test_young_for_a_mean_of_three_hours_between_failures(write: float, interval: int, waste: float) -> None:
    best = traffic.young_interval(write, 3 * 3600)
    assert round(best) == interval
    assert round(100 * traffic.checkpoint_waste(write, best, 3 * 3600), 1) == waste


@given(write=st.floats(1, 600), failure=st.floats(3600, 1e6), factor=st.floats(0.1, 10))
def test_no_other_interval_wastes_less_than_youngs(write: float, failure: float, factor: float) -> None:
    best = traffic.young_interval(write, failure)
    least = traffic.checkpoint_waste(write, best, failure)
    assert least <= traffic.checkpoint_waste(write, best * factor, failure) * (1 + 1e-12)
    assert least == pytest.approx((2 * write / failure) ** 0.5)


def test_restarts_add_to_the_waste() -> None:
    without = traffic.checkpoint_waste(60, 1138, 10800)
    assert traffic.checkpoint_waste(60, 1138, 10800, restart_seconds=108) == pytest.approx(without + 0.01)


def test_dalys_interval_is_near_youngs_for_short_writes_and_bounded_for_long_ones() -> None:
    young = traffic.young_interval(1, 1e6)
    assert traffic.daly_interval(1, 1e6) == pytest.approx(young, rel=1e-3)
    # sqrt(2 C mu) (1 + 1/3 sqrt(C / 2 mu) + 1/9 (C / 2 mu)) - C
    assert traffic.daly_interval(60, 10800) == pytest.approx(
        1138.42 * (1 + 0.052705 / 3 + 0.0027778 / 9) - 60, rel=1e-4
    )
    assert traffic.daly_interval(30000, 10800) == 10800


def test_llama3s_cluster_fails_every_three_hours() -> None:
    assert traffic.mean_hours_between_failures(16384) == pytest.approx(3.1, abs=0.05)
    assert pytest.approx(54 * 24 * 16384 / 419, rel=0.001) == traffic.HOURS_PER_FAILURE
