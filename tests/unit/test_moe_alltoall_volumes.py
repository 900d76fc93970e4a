"""Bytes and bounds of dispatch and combine: the figures of DeepSeek-V3, and others reckoned by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moe_alltoall_cases import probe
from ranks import target

from seatrial.measure.moe_alltoall.ceiling import wire_ceiling
from seatrial.measure.moe_alltoall.traffic import Traffic
from seatrial.measure.moe_alltoall.volumes import (
    busiest,
    distinct_groups,
    expected_distinct,
    imbalance,
    reaches,
    row_bytes,
    wire,
)

V3 = {"tokens": 4096, "hidden_size": 7168, "top_k": 8, "experts": 256, "dispatch_dtype": "fp8"}
NIC, LINK = 50.0, 450.0


def accelerators(nodes: int, **more: object) -> object:
    """Nodes of eight accelerators with a NIC of 400 Gb/s each, 450 GB/s one way between those of a node."""
    fact = {"source": "made up"}
    content = {
        "nodes": nodes,
        "accelerators_per_node": 8,
        "device": "cuda",
        "accelerator": {"name": "X", "vendor": "V"},
        "scale_up": {
            "name": "links",
            "unidirectional_gbps": {"value": LINK, **fact},
            "bidirectional_gbps": {"value": 2 * LINK, **fact},
        },
        "scale_out": {"name": "fabric", "gbit_per_accelerator": {"value": 8 * NIC, **fact}},
    }
    return target(8, **{**content, **more})


def test_deepseek_v3_dispatches_235_mb_of_elements_and_three_hundredths_of_scales() -> None:
    each = row_bytes(probe(**V3), "dispatch")
    choices = 4096 * 8
    assert choices * 7168 == pytest.approx(235e6, rel=1e-3)
    assert each.token == 7168 + 7168 // 128 * 4
    assert each.token / 7168 == pytest.approx(1.03125)
    assert each.choice == 8
    assert row_bytes(probe(**V3), "combine").row == 2 * 7168


def test_deepseek_v3_limited_to_four_nodes_takes_what_was_reckoned() -> None:
    """3.5 remote nodes a token: 103 MB of elements through the NIC, 206 MB back: 2.1 and 4.2 ms at 49 GB/s."""
    dispatch, combine = (4096 * 3.5 * 7168 * b for b in (1, 2))
    assert (dispatch / 49e9, combine / 49e9) == pytest.approx((2.1e-3, 4.2e-3), rel=0.01)
    rows = np.zeros((1, 8, 8), dtype=int)
    reached = np.array([[0, 0, 0, int(4096 * 3.5)]])
    traffic = Traffic(rows, rows, rows[:, 0], reached, np.array([4096]), 1)
    for direction, expected in (("dispatch", dispatch * 1.03125), ("combine", combine)):
        scopes = traffic.bytes_by_scope(row_bytes(probe(**V3), direction))
        assert scopes["node_deduplicated"] == pytest.approx([expected])


def test_distinct_nodes_of_uniform_choices() -> None:
    assert expected_distinct(8, 256, 8) == pytest.approx(5.295, abs=5e-4)
    assert expected_distinct(8, 8, 8) == 8
    assert expected_distinct(1, 256, 8) == 1
    assert expected_distinct(4, 8, 1) == 1


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 99))
def test_distinct_groups_are_counted_token_by_token(groups: int, per_group: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    experts = groups * per_group
    top_k = int(generator.integers(1, experts + 1))
    choices = np.array([generator.permutation(experts)[:top_k] for _ in range(7)])
    choices[generator.random(choices.shape) < 0.2] = -1
    expected = [{c // per_group for c in row if c >= 0} for row in choices.tolist()]
    assert distinct_groups(choices, per_group).tolist() == [len(of) for of in expected]
    for group in range(groups):
        assert reaches(choices, per_group, group).tolist() == [group in of for of in expected]


def test_the_own_rank_is_left_out_of_the_wire_and_the_busiest_direction_counts() -> None:
    rows = np.array([[[9, 1, 2], [3, 9, 4], [50, 6, 9]]])
    assert wire(rows)[0].diagonal().tolist() == [0, 0, 0]
    assert busiest(wire(rows)).tolist() == [56]
    assert busiest(rows).tolist() == [65]
    assert imbalance(rows) == pytest.approx([62 / (93 / 3)])


def test_uniform_rows_across_nodes_are_bound_by_each_ranks_nic() -> None:
    """nic (n - 1) / (n - g): of 15 ranks' rows 8 ranks' leave the node."""
    rows = np.full((3, 16, 16), 100)
    seconds, gbps, basis = wire_ceiling(accelerators(2), rows, 1000, "auto") or pytest.fail("no ceiling")  # type: ignore[arg-type]
    assert gbps == pytest.approx(NIC * 15 / 8)
    assert seconds == pytest.approx([800 * 1000 / (NIC * 1e9)] * 3)
    assert "50 GB/s of fabric" in basis and "NIC-bound" in basis and "made up" in basis


def test_a_rank_that_receives_more_is_bound_by_its_own_nic() -> None:
    rows = np.full((1, 16, 16), 100)
    rows[:, :, 3] = 300
    seconds, gbps, _ = wire_ceiling(accelerators(2), rows, 1000, "auto") or pytest.fail("no ceiling")  # type: ignore[arg-type]
    assert seconds == pytest.approx([8 * 300 * 1000 / (NIC * 1e9)])
    assert gbps == pytest.approx(15 * 300 / (8 * 300) * NIC)


def test_within_a_node_its_links_bound_and_a_rate_that_is_not_stated_gives_no_ceiling() -> None:
    rows = np.full((1, 8, 8), 100)
    _, gbps, basis = wire_ceiling(accelerators(1), rows, 1000, "auto") or pytest.fail("no ceiling")  # type: ignore[arg-type]
    assert gbps == pytest.approx(LINK) and "inside the fast fabric" in basis
    across = np.full((1, 16, 16), 100)
    assert wire_ceiling(accelerators(2, scale_out=None), across, 1000, "auto") is None  # type: ignore[arg-type]
    assert wire_ceiling(accelerators(2), across, 1000, "gloo") is None  # type: ignore[arg-type]
    assert wire_ceiling(target(4), np.full((1, 4, 4), 9), 1000, "auto") is None
    assert wire_ceiling(accelerators(1), np.zeros((1, 8, 8), dtype=int), 1000, "auto") is None  # type: ignore[arg-type]


def test_ranks_on_cpus_share_their_nodes_network() -> None:
    """Two ranks a node at 1 GB/s: a rank alone may have it all, both together share it."""
    network = {"name": "net", "gbit_per_node": {"value": 8, "source": "tc"}}
    nodes = target(2, nodes=2, scale_out=network)
    even = np.full((1, 4, 4), 100)
    seconds, gbps, _ = wire_ceiling(nodes, even, 1000, "auto") or pytest.fail("no ceiling")
    assert seconds == pytest.approx([400 * 1000 / 1e9])
    assert gbps == pytest.approx(300 / 400)
    lone = np.zeros((1, 4, 4), dtype=int)
    lone[0, 0, 2] = 100
    assert (wire_ceiling(nodes, lone, 1000, "auto") or pytest.fail("no ceiling"))[1] == pytest.approx(1.0)
