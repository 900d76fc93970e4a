"""Two tiers of switches, bisection, and readings above the line."""

from __future__ import annotations

import pytest
from ceiling_targets import accelerated, bound, cluster, fact, h100, without
from ranks import target

from seatrial.measure.ceilings import bisection_ceiling, collective_ceiling, explain_excess, full_bisection

TWO_TIERS = {"name": "IB", "gbit_per_accelerator": fact(400), "nodes_per_switch": 4}


def test_uplinks_of_oversubscribed_switches_bound_what_is_wider_than_one() -> None:
    """Leaves of 4 nodes, 2:1: 25 GB/s for each rank upwards."""
    narrow = {**TWO_TIERS, "oversubscription": fact(2)}
    assert bound(accelerated(4, scale_out=narrow)) == pytest.approx(50 * 31 / 3), "below one leaf"
    sixteen = collective_ceiling(accelerated(16, scale_out=narrow), "all_reduce")
    assert sixteen is not None and sixteen[0] == pytest.approx(min(50 * 127 / 15, 25 * 127 / 3))
    assert bound(accelerated(16, scale_out=narrow), "all_to_all") == pytest.approx(25 * 127 / 96)
    steep = collective_ceiling(accelerated(16, scale_out={**TWO_TIERS, "oversubscription": fact(8)}), "all_reduce")
    assert steep is not None and steep[0] == pytest.approx(6.25 * 127 / 3)
    assert "oversubscribed 8:1" in steep[1] and "4 groups" in steep[1]


def test_full_bisection_is_half_the_nics_and_oversubscription_divides_it() -> None:
    wide = accelerated(16, scale_out=TWO_TIERS)
    full = full_bisection(wide)
    assert full is not None and full[0] == 64 * 50 and bisection_ceiling(wide) == full
    narrow = accelerated(16, scale_out={**TWO_TIERS, "oversubscription": fact(4)})
    found = bisection_ceiling(narrow)
    assert found is not None and found[0] == pytest.approx(64 * 50 / 4) and "4:1" in found[1]
    assert full_bisection(narrow) == full
    below_one_leaf = accelerated(4, scale_out={**TWO_TIERS, "oversubscription": fact(4)})
    assert bisection_ceiling(below_one_leaf) == full_bisection(below_one_leaf)


@pytest.mark.parametrize("nodes", [3, 5])
def test_of_an_odd_number_of_nodes_one_sits_out_of_full_bisection(nodes: int) -> None:
    network = {"name": "IB", "gbit_per_accelerator": fact(400)}
    odd, even = (accelerated(count, scale_out=network) for count in (nodes, nodes - 1))
    expected = (nodes - 1) // 2 * 8 * 50
    found = [full_bisection(odd), bisection_ceiling(odd), full_bisection(even)]
    assert [bound and bound[0] for bound in found] == [expected] * 3


def test_a_switch_left_over_is_itself_cut() -> None:
    """Three leaves of 4 nodes: one whole leaf upwards, and half a leaf at its nodes' own links."""
    narrow = accelerated(12, scale_out={**TWO_TIERS, "oversubscription": fact(4)})
    found = bisection_ceiling(narrow)
    assert found is not None and found[0] == pytest.approx(32 * 12.5 + 16 * 50)


def test_bisection_of_one_node_is_that_of_its_fast_links() -> None:
    found = bisection_ceiling(accelerated())
    assert found is not None and found[0] == 4 * 900
    assert bisection_ceiling(target(4)) is None
    four = bisection_ceiling(cluster())
    assert four is not None and four[0] == 2.0


def test_a_reading_below_its_ceiling_needs_no_words() -> None:
    assert explain_excess(h100(), "all_reduce", 449) is None
    assert explain_excess(target(4), "all_reduce", 1e9) is None, "no ceiling, no excess"


def test_480_where_in_network_reduction_is_not_declared_is_explained_by_it() -> None:
    words = explain_excess(h100(), "all_reduce", 480)
    assert words is not None and "NVLink SHARP" in words and "700 GB/s" in words and "107 %" in words
    beyond = explain_excess(h100(), "all_reduce", 800)
    assert beyond is not None and "SHARP" not in beyond and "declared" in beyond
    gathered = explain_excess(h100(), "all_gather", 480)
    assert gathered is not None and "SHARP" not in gathered


def test_what_was_said_to_be_off_and_was_not_is_named() -> None:
    off = without(h100(in_network_reduction=True), "scale_up.in_network_reduction")
    words = explain_excess(off, "all_reduce", 480)
    assert words is not None and "was not off after all (ablation off)" in words


def test_a_reading_above_the_network_names_what_the_bound_takes_for_granted() -> None:
    summed = explain_excess(accelerated(4), "all_reduce", 600)
    assert summed is not None and "scale_out.in_network_reduction" in summed and "share a machine" in summed
    several = explain_excess(accelerated(4), "all_to_all", 600)
    assert several is not None and "several NICs" in several
