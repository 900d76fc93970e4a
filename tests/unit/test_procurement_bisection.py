"""The middle of a proposed cluster: asked for every number of ranks that share the experts, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from procurement_cases import LLAMA_3_8B, MIXTURE, procurement, stated, training
from test_procurement import decided, projected, row

from seatrial.analysis.decisions.procurement.traffic import traffic

ROWS = 48 * 16384 * 8 * 4096 * (1 + 2 + 2 * 2)
"""Bytes of the rows that one of 256 ranks sends in a step: 48 layers, 16,384 tokens, top-8, width 4096."""


def test_a_group_of_all_256_ranks_sends_half_of_its_rows_over_the_middle_and_smaller_ones_none(
    tmp_path: Path,
) -> None:
    """1.80e11 B / 2 from each of 128 ranks, 1.2 times as much from the busiest, and what 64 ranks leave as well."""
    plan = procurement(expert_groups=[128, 256], imbalance=stated(1.2))
    decided(tmp_path, plan)
    small, double, whole = (row(tmp_path, "bisection", ranks) for ranks in (64, 128, 256))
    hidden = 0.8 * projected(plan).planned.flops / 800e12
    assert pytest.approx(1.804e11, rel=1e-3) == ROWS
    rings = small["needed"] * 1e9 * hidden
    assert whole["needed"] * 1e9 == pytest.approx((ROWS / 2 * 128 * 1.2 + rings) / hidden)
    assert double["needed"] == pytest.approx(small["needed"]) and small["ratio"] < 0.1
    assert whole["has"] == 128 * 50 and whole["ratio"] == pytest.approx(whole["needed"] / 6400)


def test_a_middle_that_a_large_group_may_outgrow_is_said_in_the_answer(tmp_path: Path) -> None:
    """70 billion on 256 H100: 1.16e13 B x 1.2 in 2.21 s of 6,400 GB/s, 0.98, and 0.02 for the rings."""
    plan = procurement(expert_groups=[256], imbalance=stated(1.2, 1.0, 1.5), kernels=stated(0.5))
    _, dense = decided(tmp_path, plan)
    assert row(tmp_path, "bisection", 256)["standing"] == "not told apart"
    assert "With the experts shared by more, bisection may fail (needs " in dense.answer
    assert "over 256 ranks." in dense.answer
    assert "shared by more" not in decided(tmp_path, procurement())[1].answer


def test_the_busiest_rank_s_tokens_count_for_a_node_and_not_for_rings(tmp_path: Path) -> None:
    """Bandwidth of a node: 8 times (experts x 1.2 + collectives); where nothing is shared, no factor."""
    even, uneven = (projected(procurement(imbalance=stated(times))) for times in (1.0, 1.2))
    sent = even.planned.traffic
    assert sent.exchange is not None
    nodes = [next(a for a in one.answers if a.question == "node_bandwidth") for one in (even, uneven)]
    hidden = 0.8 * even.planned.flops / 800e12
    more = 8 * 0.2 * sent.exchange.across / 1e9 / hidden
    assert nodes[1].needed.value - nodes[0].needed.value == pytest.approx(more)  # type: ignore[operator]
    dense = procurement(imbalance=stated(1.2))
    dense["planned"] = dense["planned"] | {"model": LLAMA_3_8B, "layout": {"data_parallel": "sharded"}}
    found = projected(dense)
    middle = next(a for a in found.answers if a.question == "bisection")
    hidden = 0.8 * found.planned.flops / 800e12
    assert middle.group is None
    assert middle.needed.value == pytest.approx(found.planned.traffic.crossing / 1e9 / hidden)


def test_all_the_groups_of_a_tensor_parallel_block_that_lies_across_the_middle_cross_it() -> None:
    """128 ranks of 256, each a group's every second: both groups lie across the middle; of 64 none does."""
    whole, half = (
        traffic(training(MIXTURE, layout={"experts": n, "tensor": 2}), 256, 8).experts_crossing for n in (128, 64)
    )
    tokens = 4096 * 1024 / 256
    rows = 48 * tokens * 8 * 4096 * (2 + 2 + 2 * 2)
    assert whole == pytest.approx(2 * 128 / 2 * rows / 2) and half == 0


def test_a_layout_that_shares_no_experts_is_asked_beside_the_groups_that_do(tmp_path: Path) -> None:
    plan = procurement(expert_groups=[256])
    plan["planned"] = plan["planned"] | {"layout": {"data_parallel": "sharded"}}
    _, dense = decided(tmp_path, plan)
    assert row(tmp_path, "bisection")["ratio"] < row(tmp_path, "bisection", 256)["ratio"]
    assert "bisection" in dense.answer
