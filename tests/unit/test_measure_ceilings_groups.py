"""Groups of unequal size, bridged accelerators, small groups, and what each way of doing it puts on the wire."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
import yaml
from ceiling_targets import accelerated, bound, fact, h100, without
from hypothesis import given, settings
from hypothesis import strategies as st
from ranks import case

from seatrial.config.target import Accelerator, ScaleUp, Target
from seatrial.measure.ceilings import bisection_ceiling, collective_ceiling, explain_excess, full_bisection
from seatrial.measure.ceilings.links import by_the_network, fast_domain
from seatrial.measure.ceilings.pcie import pcie_bandwidth
from seatrial.measure.collective.wire import explain_wire_excess, wire
from seatrial.measure.memory.ceilings import ceiling as memory_ceiling
from seatrial.measure.moe_alltoall.ceiling import wire_ceiling
from seatrial.plan import make_plan

CONF = Path(__file__).parents[2] / "conf"
PCIE5 = 32 * 128 / 130 * 16 / 8


def catalogue(name: str, nodes: int = 1, ranks: int = 8, **more: Any) -> Target:
    """`ranks` accelerators of the catalogue in each node, a NIC of 400 Gb/s each."""
    content = yaml.safe_load((CONF / "accelerator" / f"{name}.yaml").read_text(encoding="utf-8"))
    facts = {"accelerator": Accelerator.model_validate(content["accelerator"])}
    return accelerated(nodes, ranks, scale_up=ScaleUp.model_validate(content["scale_up"]), **facts, **more)


def leaves(nodes: int, each: int = 4, ratio: float = 4, per_node: int = 8) -> Target:
    network = {"name": "IB", "gbit_per_accelerator": fact(400), "nodes_per_switch": each}
    return accelerated(nodes, per_node, scale_out={**network, "oversubscription": fact(ratio)})


# --- unequal groups: busbw <= S / t x f, where t is what the cut of the least group takes


@pytest.mark.parametrize(
    ("operation", "gbps"),
    [
        # 72 + 8 ranks, so that 8 x 50 = 400 GB/s leave the second rack
        ("all_reduce", 2 * 79 / 80 * 400),  # S has to leave it: 790
        ("all_gather", 79 / 80 * 400 / (72 / 80)),  # what the 72 hold has to come in: 438.9
        ("reduce_scatter", 79 / 80 * 400 / (72 / 80)),
        ("all_to_all", 79 / 80 * 50 / (72 / 80)),  # each of the 8 sends 72/80 of its own: 54.9
        ("broadcast", 400.0),
        ("send_recv", 50.0),
    ],
)
def test_the_trays_of_a_second_rack_decide(operation: str, gbps: float) -> None:
    trays = catalogue("gb200", 20, 4)
    found = collective_ceiling(trays, operation)
    assert found is not None and found[0] == pytest.approx(gbps)
    assert operation == "send_recv" or "2 groups (the least: 8 ranks)" in found[1]
    carried = wire(trays, operation, "nccl")
    assert carried is not None and gbps * carried.per_bus == pytest.approx(50), "then its NICs are full"


@pytest.mark.parametrize(
    ("operation", "gbps"),
    # 32 + 8 ranks of 12.5 GB/s each upwards: 100 GB/s for the second leaf
    [("all_reduce", 2 * 39 / 40 * 100), ("all_gather", 39 / 32 * 100), ("all_to_all", 39 / 32 * 12.5)],
)
def test_the_node_below_a_second_switch_decides(operation: str, gbps: float) -> None:
    assert bound(leaves(5), operation) == pytest.approx(gbps)
    assert round(bound(leaves(5)), 1) == 195.0 and round(bound(leaves(5), "all_to_all"), 1) == 15.2
    words = explain_excess(leaves(5), operation, 2 * gbps)
    assert words is not None and "more uplinks than its nodes' share" in words


def test_groups_that_own_shares_by_what_they_carry_do_better_than_equal_shares() -> None:
    """72 + 72 + 8 ranks: S leaves the least group, while the other two exchange the rest."""
    assert bound(catalogue("gb200", 38, 4)) == pytest.approx(2 * 151 / 152 * 400)


def least_cut(sending: list[int], nodes: list[int], node: float, up: float) -> float:
    """The minimum cut by brute force: every side of every leaf and of the core."""
    found = []
    for core_receives, *receives in product((True, False), repeat=len(nodes) + 1):
        cost = 0.0
        for here, (sends, of) in zip(receives, zip(sending, nodes, strict=True), strict=True):
            cost += sends * node if here else (of - sends) * node
            cost += of * up if here != core_receives else 0
        found.append(cost)
    return min(found)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 11), st.integers(2, 4), st.sampled_from([1.5, 2.0, 4.0, 9.0]))
def test_declared_bisection_is_the_worst_of_all_halves_of_nodes(nodes: int, each: int, ratio: float) -> None:
    on = leaves(nodes, each, ratio, per_node=2)
    sizes = [each] * (nodes // each) + ([nodes % each] if nodes % each else [])
    if len(sizes) < 2:
        assert bisection_ceiling(on) == full_bisection(on)
        return
    halves = [way for way in product(*(range(size + 1) for size in sizes)) if sum(way) == nodes // 2]
    worst = min(least_cut(list(way), sizes, 100, 100 / ratio) for way in halves)
    found = bisection_ceiling(on)
    assert found is not None
    if worst < nodes // 2 * 100:
        assert found[0] == pytest.approx(worst)
    else:
        assert found == full_bisection(on)


def test_half_a_node_more_is_no_half() -> None:
    """Four nodes below a switch and one below another: one of each against three is 400 x 1/4 + 400."""
    found = bisection_ceiling(leaves(5))
    assert found is not None and found[0] == pytest.approx(500) and "4:1" in found[1]


def test_rows_of_experts_leave_the_smaller_leaf_through_its_own_uplinks() -> None:
    """Each of 40 ranks sends 1000 bytes to every other: 8 x 32 such rows leave the second leaf at 100 GB/s."""
    rows = np.ones((1, 40, 40), dtype=int)
    found = wire_ceiling(leaves(5), rows, 1000, "nccl")
    assert found is not None and found[0].tolist() == pytest.approx([8 * 32 * 1000 / 100e9])


# --- on the wire: the way that the ceiling takes


def sharp(nodes: int = 4) -> Target:
    return accelerated(
        nodes, scale_out={"name": "IB", "gbit_per_accelerator": fact(400), "in_network_reduction": True}
    )


@pytest.mark.parametrize(
    ("on", "operation", "per_bus"),
    [
        (accelerated(4), "all_reduce", 3 / 31),
        (sharp(), "all_reduce", 32 / (2 * 31 * 8)),
        (sharp(), "all_gather", 3 / 31),
        (without(sharp(), "scale_out.in_network_reduction"), "all_reduce", 3 / 31),
        (without(accelerated(4), NCCL_ALGO="Ring"), "all_reduce", 1 / 8),
        (without(accelerated(4), NCCL_ALGO="Ring"), "all_gather", 1 / 8),
        (without(accelerated(4), NCCL_ALGO="Tree"), "all_reduce", 32 / (31 * 8)),
        (without(accelerated(4), NCCL_ALGO="Tree"), "all_gather", 3 / 31),
    ],
)
def test_the_wire_carries_what_the_way_of_the_ceiling_puts_there(
    on: Target, operation: str, per_bus: float
) -> None:
    carried = wire(on, operation, "nccl")
    assert carried is not None and carried.per_bus == pytest.approx(per_bus)
    ceiling = collective_ceiling(on, operation)
    assert ceiling is not None and ceiling[0] * carried.per_bus == pytest.approx(carried.line_gbps)
    assert ceiling[1] in carried.basis


def test_a_rate_on_the_wire_above_its_line_is_explained() -> None:
    assert explain_wire_excess(accelerated(4), "all_reduce", 50) is None
    assert explain_wire_excess(accelerated(), "all_reduce", 1e9) is None, "one node has no wire"
    words = explain_wire_excess(accelerated(4), "all_reduce", 60)
    assert (
        words is not None and "120 % of the line rate of EFA" in words and "scale_out.in_network_reduction" in words
    )
    ring = explain_wire_excess(without(accelerated(4), NCCL_ALGO="Ring"), "all_reduce", 60)
    assert ring is not None and "loads the NICs less than a ring" in ring


# --- bridged accelerators


@pytest.mark.parametrize(("name", "bridge"), [("h100_nvl", 300), ("h200_nvl", 450)])
def test_bridged_accelerators_of_a_node_meet_over_pci_express(name: str, bridge: float) -> None:
    eight = catalogue(name)
    found = collective_ceiling(eight, "all_reduce")
    assert found is not None and found[0] == pytest.approx(PCIE5 * 7 / 3)
    assert "PCIe 5 x16" in found[1] and "4 groups" in found[1] and f"a flat ring: {2 * PCIE5:.4g}" in found[1]
    assert bound(eight, "all_to_all") == pytest.approx(PCIE5 * 7 / 6)
    assert bound(eight, "send_recv") == pytest.approx(PCIE5) == pytest.approx(63.0, abs=0.1)
    assert bound(catalogue(name, ranks=2)) == bridge, "a pair has its bridge"
    assert full_bisection(eight) is not None and full_bisection(eight)[0] == pytest.approx(4 * PCIE5)  # type: ignore[index]
    assert bound(without(eight, "scale_up")) == pytest.approx(PCIE5)
    words = explain_excess(eight, "all_reduce", 200)
    assert words is not None and "scale_up.domain" in words and "network" not in words


def test_nodes_of_bridged_accelerators_are_cut_between_nodes_and_between_bridges() -> None:
    two = catalogue("h100_nvl", 2)
    assert bound(two) == pytest.approx(PCIE5 * 15 / 7), "eight bridges, while the NICs of two nodes would carry 750"
    assert bound(two, "all_to_all") == pytest.approx(min(50 * 15 / 8, PCIE5 * 15 / 14))
    carried = wire(two, "all_reduce", "nccl")
    assert carried is not None and carried.per_bus == pytest.approx(1 / 15), "the wire leaves a node, not a bridge"
    slow = catalogue("h100_nvl", 2, scale_out={"name": "eth", "gbit_per_accelerator": fact(40)})
    assert bound(slow) == pytest.approx(5 * 15)
    full = full_bisection(two)
    assert full is not None and full[0] == 8 * 50
    adding = {"name": "IB", "gbit_per_accelerator": fact(400), "in_network_reduction": True}
    assert bound(catalogue("h100_nvl", 2, scale_out=adding)) == bound(two), "no switch adds up between bridges"


def test_without_a_stated_generation_bridged_accelerators_have_no_ceiling() -> None:
    unknown = catalogue("h100_nvl").model_dump()
    unknown["accelerator"]["pcie_generation"] = None
    of = Target.model_validate(unknown)
    assert collective_ceiling(of, "all_reduce") is None and full_bisection(of) is None


def test_pci_express_has_one_table() -> None:
    """Generation 6: 64 GT/s and 236 of a flit's 256 bytes, whoever asks."""
    assert pcie_bandwidth(6) == pytest.approx(64 * 236 / 256 * 2) and pcie_bandwidth(6) == 118
    assert pcie_bandwidth(5) == pytest.approx(PCIE5)
    six = h100().model_dump()
    six["accelerator"]["pcie_generation"]["value"] = 6
    of = Target.model_validate(six)
    assert bound(without(of, "scale_up")) == 118
    copies = case({"kind": "memory", "operation": "host_to_device", "size_bytes": 8}).workload
    found = memory_ceiling(of, copies)  # type: ignore[arg-type]
    assert found is not None and found[0] == 118


# --- in-network reduction of small groups


@pytest.mark.parametrize(
    ("name", "ranks", "gbps"),
    [
        ("h100_sxm", 4, 450),  # measured 363
        ("h100_sxm", 8, 700),  # measured 480
        ("h200_sxm", 4, 450),
        ("b200_sxm", 4, 900),  # in the network they would reach 1080
        ("b200_sxm", 6, 2 * 900 * 5 / 7),
        ("gb200", 4, 900),  # measured 680
    ],
)
def test_in_network_reduction_sets_in_with_enough_ranks(name: str, ranks: int, gbps: float) -> None:
    assert bound(catalogue(name, ranks=ranks)) == pytest.approx(gbps)


def test_a_small_group_that_does_reduce_in_the_network_is_named() -> None:
    words = explain_excess(catalogue("h100_sxm", ranks=4), "all_reduce", 500)
    assert words is not None and "for 4 ranks too" in words and "540 GB/s" in words


def test_a_rack_left_over_with_few_ranks_is_bound_as_a_ring_inside() -> None:
    """72 + 4 ranks, a network that does not bind: the 4 take a ring, 900 x 4/3 x 75/76."""
    fast = {"name": "x", "gbit_per_accelerator": fact(80000)}
    assert bound(catalogue("gb200", 19, 4, scale_out=fast)) == pytest.approx(900 * 4 / 3 * 75 / 76)


# --- a shipped configuration with two tiers of switches


STUDY = """# @package _global_
defaults:
  - /workload@experiments.crossing.workload: collective
  - _self_
title: own
description: own
experiments: {crossing: {repeats: 1, workload: {operation: all_to_all}}}
"""


def test_the_example_of_a_disaggregated_rack_shows_the_bound_of_its_fabric(tmp_path: Path) -> None:
    """16 hosts of 8 below two switches: 50 GB/s for a host, a quarter of it upwards."""
    conf = tmp_path / "conf"
    copytree(CONF, conf)
    (conf / "study" / "own.yaml").write_text(STUDY, encoding="utf-8")
    words = [
        "study=own",
        "target=disaggregated_rack_example",
        "target.nodes=16",
        "max_accelerator_hours=null",
        "max_node_hours=null",
    ]
    planned = make_plan(words, conf).cases[0]
    on, operation = planned.target, planned.workload.operation  # type: ignore[union-attr]
    assert (on.world_size, operation) == (128, "all_to_all")
    crossing = collective_ceiling(on, operation)
    assert crossing is not None and crossing[0] == pytest.approx(50 / 8 / 4 * 127 / 64)
    assert "uplinks of NDR" in crossing[1] and "oversubscribed 4:1" in crossing[1]
    assert bound(on) == pytest.approx(50 / 8 * 127 / 15), "of all_reduce a leaf's uplinks carry its hosts' sum once"
    halves, full = bisection_ceiling(on), full_bisection(on)
    assert halves is not None and full is not None and (halves[0], full[0]) == pytest.approx((100, 400))


def test_bridged_pairs_of_one_machine_are_no_nodes() -> None:
    """Eight cards in bridged pairs: what goes from pair to pair does not leave the machine."""
    assert fast_domain(catalogue("h100_nvl", 1)) == 2
    assert by_the_network(catalogue("h100_nvl", 1)) == catalogue("h100_nvl", 1).tasks_per_node > 2
    assert by_the_network(catalogue("gb200", 18)) == 72
