"""Ceilings are computed from the target's facts, by formulas that are held to published figures."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from ceiling_targets import accelerated, bound, cluster, fact, h100, without
from hypothesis import given
from hypothesis import strategies as st
from ranks import case, target

from seatrial.config.target import Target
from seatrial.measure.ceilings import (
    BUS_FACTORS,
    across_bound,
    bus_factor,
    collective_ceiling,
    gather_bound,
    in_network_bound,
    inter_group_bound,
    tree_bound,
)
from seatrial.measure.collective.wire import wire
from seatrial.measure.gemm import ceilings as gemm
from seatrial.measure.memory import ceilings as memory


def test_gemm_is_held_against_the_dense_peak_of_its_dtype() -> None:
    product = case({"kind": "gemm", "m": 1, "n": 1, "k": 1, "dtype": "bfloat16"}).workload
    assert gemm.ceiling(accelerated(), product) == (2250, "dense bfloat16 peak of B200: data sheet")  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_gemm_without_a_stated_peak_has_no_ceiling(dtype: str) -> None:
    product = case({"kind": "gemm", "m": 1, "n": 1, "k": 1, "dtype": dtype}).workload
    assert gemm.ceiling(accelerated(), product) is None  # type: ignore[arg-type]


def test_memory_is_held_against_the_bandwidth_of_one_accelerator() -> None:
    copy = case({"kind": "memory", "operation": "copy", "size_bytes": 8}).workload
    assert memory.ceiling(accelerated(), copy) == (8000, "memory bandwidth of B200: data sheet")  # type: ignore[arg-type]


def test_products_on_a_cpu_have_no_ceiling() -> None:
    assert gemm.ceiling(target(), case({"kind": "gemm", "m": 1, "n": 1, "k": 1}).workload) is None  # type: ignore[arg-type]


def test_ceilings_are_known_without_torch() -> None:
    program = "import sys, seatrial.measure.ceilings; print({'torch', 'pandas', 'numpy'} & sys.modules.keys())"
    assert subprocess.check_output([sys.executable, "-c", program], text=True, timeout=60).strip() == "set()"


# --- factors: the table of nccl-tests' doc/PERFORMANCE.md


@pytest.mark.parametrize(
    ("operation", "of_8"),
    [
        ("all_reduce", 1.75),
        ("all_gather", 0.875),
        ("reduce_scatter", 0.875),
        ("all_to_all", 0.875),
        ("broadcast", 1.0),
        ("send_recv", 1.0),
    ],
)
def test_bus_factor_is_that_of_nccl_tests(operation: str, of_8: float) -> None:
    assert bus_factor(operation, 8) == pytest.approx(of_8)
    assert set(BUS_FACTORS) >= {operation}


@pytest.mark.parametrize("ask", [lambda: bus_factor("gather", 4), lambda: collective_ceiling(h100(), "gather")])
def test_unknown_operation_has_no_bus_factor_and_the_known_ones_are_named(ask: Any) -> None:
    with pytest.raises(ValueError, match=r"all_reduce.*send_recv"):
        ask()


@given(st.integers(2, 10_000))
def test_bus_factor_rises_from_one_to_two(ranks: int) -> None:
    assert 1 <= bus_factor("all_reduce", ranks) < 2
    assert bus_factor("all_reduce", ranks) * ranks == pytest.approx(2 * (ranks - 1))


# 4 nodes of 8 B200 with one 50 GB/s NIC each read 382 GB/s of bus bandwidth: 37 GB/s on the wire, 74 % of the line
# (stas00/ml-engineering, network).
def test_published_reading_gives_its_published_wire_rate() -> None:
    carried = wire(accelerated(4), "all_reduce", "nccl")
    assert carried is not None and carried.line_gbps == 50
    assert 382 * carried.per_bus == pytest.approx(37, abs=0.1)
    assert 382 * carried.per_bus / 50 == pytest.approx(0.74, abs=0.005)
    assert 382 / bound(accelerated(4)) == pytest.approx(0.74, abs=0.005)


@pytest.mark.parametrize(("nodes", "gbps"), [(2, 750.0), (4, 516.7), (1000, 400.3)])
def test_hierarchical_bound_of_eight_nics_of_50(nodes: int, gbps: float) -> None:
    for operation in ("all_reduce", "all_gather", "reduce_scatter"):
        assert across_bound(operation, 50, [8] * nodes) == pytest.approx(gbps, abs=0.1)


def test_all_to_all_is_bound_by_the_nic_of_each_rank() -> None:
    """Nobody can relieve a rank of what it sends to other nodes: nic (n-1)/(n-g)."""
    assert bound(accelerated(4), "all_to_all") == pytest.approx(50 * 31 / 24)
    assert bound(accelerated(), "all_to_all") == 900, "one node: its fast links"


def test_broadcast_enters_a_node_by_all_its_nics_and_one_rank_sends_by_one() -> None:
    assert bound(accelerated(4), "broadcast") == pytest.approx(400)
    assert bound(accelerated(4), "send_recv") == pytest.approx(50)


def test_nvlink_sharp_explains_480_on_eight_h100() -> None:
    """A ring over 450 GB/s cannot read 480; switches that add up reach 700 in the ring's own measure."""
    declared = collective_ceiling(h100(in_network_reduction=True), "all_reduce")
    assert declared is not None and declared[0] == pytest.approx(700)
    assert "in-network reduction" in declared[1] and "450" in declared[1]
    assert bound(h100(in_network_reduction=True), "all_gather") == 450, "what is not added up has to be carried"
    assert in_network_bound(450, 8) == pytest.approx(700)
    ring = collective_ceiling(h100(), "all_reduce")
    assert ring is not None and ring[0] == 450 and ring[1].startswith("ring over NVLink4")


def test_two_ranks_gain_nothing_by_switches_that_add_up() -> None:
    links = {"name": "x", "unidirectional_gbps": fact(450), "bidirectional_gbps": fact(900)}
    pair = accelerated(1, 2, scale_up={**links, "in_network_reduction": True})
    assert bound(pair) == 450


def test_without_a_feature_its_ceiling_does_not_hold() -> None:
    sharp = h100(in_network_reduction=True)
    assert bound(without(sharp, "scale_up.in_network_reduction")) == 450
    by_host = collective_ceiling(without(sharp, "scale_up"), "all_reduce")
    assert by_host is not None and by_host[0] == pytest.approx(63, abs=0.1) and "PCIe 5 x16" in by_host[1]
    assert collective_ceiling(without(accelerated(2), "scale_out"), "all_reduce") is None
    assert bound(without(h100(), "scale_out")) == 450, "one node needs no network"


def test_a_fixed_algorithm_has_its_own_bound() -> None:
    four = accelerated(4)
    ring = collective_ceiling(without(four, NCCL_ALGO="Ring"), "all_reduce")
    assert ring is not None and ring[0] == pytest.approx(400) and "flat ring" in ring[1]
    tree = collective_ceiling(without(four, NCCL_ALGO="Tree"), "all_reduce")
    assert tree is not None and tree[0] == pytest.approx(400 * 31 / 32) and "tree" in tree[1]
    assert bound(without(four, NCCL_ALGO="NVLS")) == bound(four)
    assert bound(without(h100(in_network_reduction=True), NCCL_ALGO="Ring")) == 450
    assert bound(without(h100(), NCCL_ALGO="Tree")) == pytest.approx(450 * 7 / 8)
    assert tree_bound(50, (8, 8)) == pytest.approx(750), "a tree of two has no middle"


@pytest.mark.parametrize(("nodes", "ceiling"), [(1, 900.0), (2, 750.0), (4, 516.7)])
def test_least_of_fast_links_and_nics_is_the_ceiling(nodes: int, ceiling: float) -> None:
    found = collective_ceiling(accelerated(nodes), "all_reduce")
    assert found is not None and found[0] == pytest.approx(ceiling, abs=0.1)
    assert ("NVLink5" if nodes == 1 else "EFA") in found[1] and "data sheet" in found[1]


def test_fast_links_carry_only_their_share_of_a_hierarchical_all_reduce() -> None:
    """Two racks of 72 with NICs that do not bind: 2 S 71/72 inside each, for a factor of 2 * 143/144."""
    rack = {"name": "NVL72", "unidirectional_gbps": fact(900), "bidirectional_gbps": fact(1800), "domain": 72}
    assert bound(accelerated(18, 4, scale_up=rack, scale_out=None)) == 900
    assert bound(accelerated(36, 4, scale_up=rack)) == pytest.approx(900 * 143 / 144 * 72 / 71)
    slow = {"name": "eth", "gbit_per_accelerator": fact(40)}
    assert bound(accelerated(36, 4, scale_up=rack, scale_out=slow)) == pytest.approx(5 * 143)
    node_by_node = without(accelerated(36, 4, scale_up=rack), "scale_up")
    assert bound(node_by_node) < 63 * 4 / 3 + 1, "without its links a rack is 18 nodes"


def test_mesh_gives_part_of_a_node_only_the_links_to_its_peers() -> None:
    mesh = {
        "name": "XGMI",
        "unidirectional_gbps": fact(448),
        "bidirectional_gbps": fact(896),
        "peer_unidirectional_gbps": fact(64),
    }
    assert bound(accelerated(1, 2, scale_up=mesh)) == 64
    assert bound(accelerated(1, 8, scale_up=mesh)) == 448
    assert bound(accelerated(1, 8, scale_up=mesh), "send_recv") == 64


def test_nics_of_a_node_are_shared_by_its_ranks_and_one_alone_has_them_all() -> None:
    network = {"name": "IB", "gbit_per_node": fact(1600)}
    assert bound(accelerated(4, scale_out=network)) == pytest.approx(25 * 31 / 3)
    assert bound(accelerated(4, scale_out=network), "send_recv") == pytest.approx(200)


@pytest.mark.parametrize(
    "more",
    [
        {"scale_up": None},
        {"nodes": 2, "scale_out": None},
        {"nodes": 2, "scale_out": {"name": "IB", "gbit_per_accelerator": fact(None)}},
        {"tasks_per_node": 4},
    ],
)
def test_collective_without_the_facts_has_no_ceiling(more: dict[str, Any]) -> None:
    assert collective_ceiling(accelerated(**more), "all_reduce") is None


def test_gloo_is_not_held_against_the_fabric_of_accelerators() -> None:
    assert collective_ceiling(accelerated(), "all_reduce", "gloo") is None


def test_gloo_between_nodes_is_bound_by_the_links_that_the_target_declares() -> None:
    found = collective_ceiling(cluster(), "all_reduce")
    assert found is not None and found[0] == 1.0 and "veth" in found[1]
    assert bound(cluster(ranks=2)) == 1.0, "its ring leaves a node once, over the whole link"
    assert bound(cluster(), "send_recv") == 1.0
    assert bound(cluster(), "all_to_all") == 1.0
    assert collective_ceiling(target(4), "all_reduce") is None, "one machine declares no links"
    assert collective_ceiling(cluster(nodes=1), "all_reduce") is None, "one node has nothing to send"


@given(
    st.sampled_from(sorted(BUS_FACTORS)),
    st.integers(1, 64),
    st.integers(1, 8),
    st.floats(1, 1000),
    st.booleans(),
    st.integers(1, 8),
    st.floats(1, 16),
)
def test_a_faster_network_never_lowers_a_ceiling(
    operation: str, nodes: int, per_node: int, gbit: float, sharp: bool, leaf: int, ratio: float
) -> None:
    def on(rate: float, narrowed: float) -> Target:
        network = {"name": "x", "gbit_per_accelerator": fact(rate), "nodes_per_switch": leaf}
        return accelerated(nodes, per_node, scale_out={**network, "oversubscription": fact(narrowed)})

    slow, fast = (collective_ceiling(on(rate, ratio), operation) for rate in (gbit, 2 * gbit))
    if nodes * per_node < 2:
        assert slow is None and fast is None
        return
    assert slow is not None and fast is not None and 0 < slow[0] <= fast[0] * (1 + 1e-9)
    wide = collective_ceiling(on(gbit, 1), operation)
    assert wide is not None and slow[0] <= wide[0] * (1 + 1e-9)


@given(st.integers(2, 500), st.integers(1, 72), st.floats(0.1, 1000))
def test_equal_groups_are_bound_by_nic_times_ranks_over_groups(groups: int, size: int, nic: float) -> None:
    ranks, sizes = groups * size, [size] * groups
    assert inter_group_bound(nic, sizes) == pytest.approx(nic * (ranks - 1) / (groups - 1))
    assert gather_bound(nic, sizes) == pytest.approx(nic * (ranks - 1) / (groups - 1))
    assert inter_group_bound(nic, sizes) >= nic * size * (1 - 1e-9), "never below the flat ring"


@given(st.integers(1, 50), st.integers(2, 72), st.data(), st.floats(1, 100))
def test_what_is_left_over_never_lifts_a_bound(groups: int, size: int, data: st.DataObject, nic: float) -> None:
    """A remainder carries less than a whole group would, for every operation."""
    rest = data.draw(st.integers(1, size))
    for operation in BUS_FACTORS:
        uneven = across_bound(operation, nic, [*[size] * groups, rest])
        whole = across_bound(operation, nic, [size] * (groups + 1))
        assert uneven * bus_factor(operation, (groups + 1) * size) <= (
            whole * bus_factor(operation, groups * size + rest) * (1 + 1e-9)
        )
