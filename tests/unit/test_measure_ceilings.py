"""Ceilings are computed from the target's facts, by formulas that are held to published figures."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranks import case, collective, target

from seatrial.measure import collective as probe
from seatrial.measure import gemm, memory


def fact(value: float | None) -> dict[str, Any]:
    return {"value": value, "source": "data sheet"}


def accelerated(nodes: int = 1, per_node: int = 8, **more: Any) -> Any:
    content = {
        "nodes": nodes,
        "device": "cuda",
        "accelerators_per_node": per_node,
        "accelerator": {
            "name": "B200",
            "vendor": "nvidia",
            "peak_tflops": {"bfloat16": fact(2250), "float16": fact(None)},
            "memory_bandwidth_gbps": fact(8000),
        },
        "scale_up": {"name": "NVLink5", "unidirectional_gbps": fact(900), "bidirectional_gbps": fact(1800)},
        "scale_out": {"name": "EFA", "gbit_per_accelerator": fact(400)},
        **more,
    }
    return target(per_node, **content)


def workload(**more: Any) -> Any:
    return case(collective(**more), 2).workload


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


def test_cpu_has_no_ceiling() -> None:
    assert probe.ceiling(target(4), workload()) is None
    assert gemm.ceiling(target(), case({"kind": "gemm", "m": 1, "n": 1, "k": 1}).workload) is None  # type: ignore[arg-type]


# 4 nodes of 8 B200 with one 50 GB/s NIC each read 382 GB/s of bus bandwidth: 37 GB/s on the wire, 74 % of the line
# (stas00/ml-engineering, network).
def test_published_reading_gives_its_published_wire_rate() -> None:
    assert probe.wire_bandwidth(382, ranks=32, groups=4) == pytest.approx(37, abs=0.1)
    assert probe.wire_bandwidth(382, 32, 4) / 50 == pytest.approx(0.74, abs=0.005)


@pytest.mark.parametrize(("nodes", "bound"), [(2, 750.0), (4, 516.7), (1000, 400.3)])
def test_hierarchical_bound_of_eight_nics_of_50(nodes: int, bound: float) -> None:
    assert probe.inter_group_bound(50, 8 * nodes, nodes) == pytest.approx(bound, abs=0.1)


@pytest.mark.parametrize(("nodes", "ceiling"), [(1, 900.0), (2, 750.0), (4, 516.7)])
def test_least_of_fast_links_and_nics_is_the_ceiling(nodes: int, ceiling: float) -> None:
    found = probe.ceiling(accelerated(nodes), workload())
    assert found is not None and found[0] == pytest.approx(ceiling, abs=0.1)
    assert ("NVLink5" if nodes == 1 else "EFA") in found[1]


def test_rack_wide_fabric_needs_no_nic_inside_the_rack() -> None:
    rack = {"name": "NVL72", "unidirectional_gbps": fact(900), "bidirectional_gbps": fact(1800), "domain": 72}
    inside = probe.ceiling(accelerated(18, 4, scale_up=rack, scale_out=None), workload())
    assert inside is not None and inside[0] == 900
    two_racks = probe.ceiling(accelerated(36, 4, scale_up=rack), workload())
    assert two_racks is not None and two_racks[0] == 900  # 50 GB/s x 143 = 7150 GB/s of NICs do not bind
    slow = {"name": "eth", "gbit_per_accelerator": fact(40)}
    bound = probe.ceiling(accelerated(36, 4, scale_up=rack, scale_out=slow), workload())
    assert bound is not None and bound[0] == pytest.approx(5 * 143)


def test_mesh_gives_part_of_a_node_only_the_links_to_its_peers() -> None:
    mesh = {
        "name": "XGMI",
        "unidirectional_gbps": fact(448),
        "bidirectional_gbps": fact(896),
        "peer_unidirectional_gbps": fact(64),
    }
    pair = probe.ceiling(accelerated(1, 2, scale_up=mesh), workload())
    whole = probe.ceiling(accelerated(1, 8, scale_up=mesh), workload())
    assert pair is not None and pair[0] == 64
    assert whole is not None and whole[0] == 448


def test_nics_of_a_node_are_shared_by_its_ranks() -> None:
    network = {"name": "IB", "gbit_per_node": fact(1600)}
    found = probe.ceiling(accelerated(4, scale_out=network), workload())
    assert found is not None and found[0] == pytest.approx(25 * 31 / 3)


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
    assert probe.ceiling(accelerated(**more), workload()) is None


def test_gloo_is_not_held_against_the_fabric_of_accelerators() -> None:
    assert probe.ceiling(accelerated(), workload(backend="gloo")) is None


def test_unknown_operation_has_no_bus_factor() -> None:
    with pytest.raises(ValueError, match="all_reduce"):
        probe.bus_factor("gather", 4)


@given(st.integers(2, 10_000))
def test_bus_factor_rises_from_one_to_two(ranks: int) -> None:
    assert 1 <= probe.bus_factor("all_reduce", ranks) < 2
    assert probe.bus_factor("all_reduce", ranks) * ranks == pytest.approx(2 * (ranks - 1))


@given(st.integers(2, 500), st.integers(1, 72), st.floats(0.1, 1000))
def test_equal_groups_are_bound_by_nic_times_ranks_over_groups(groups: int, size: int, nic: float) -> None:
    ranks = groups * size
    bound = probe.inter_group_bound(nic, ranks, groups)
    assert bound == pytest.approx(nic * (ranks - 1) / (groups - 1))
    assert bound >= nic * size * (1 - 1e-9), "never below the flat ring"
    assert probe.wire_bandwidth(bound, ranks, groups) == pytest.approx(nic)


@given(st.integers(2, 50), st.integers(2, 20), st.integers(1, 19), st.floats(1, 100))
def test_uneven_groups_are_never_better_than_even_ones(groups: int, size: int, more: int, nic: float) -> None:
    ranks = groups * size + more % groups
    assert probe.inter_group_bound(nic, ranks, groups) <= nic * (ranks - 1) / (groups - 1) * (1 + 1e-9)
