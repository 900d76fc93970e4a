"""Proposals with different accelerators: the answer says so, and each says what it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from procurement_cases import cluster, procurement
from test_procurement import decided

from seatrial.report.headline import MainFinding


def with_rack(**accelerator: Any) -> dict[str, Any]:
    plan = procurement()
    chip = cluster()["accelerator"] | accelerator
    plan["proposals"]["a_rack"] = {"target": cluster(name="rack", accelerator=chip), "nodes": 32}
    plan["proposals"]["open"] = {"target": cluster(name="open", accelerator=None), "nodes": 32}
    return plan


def test_proposals_with_different_chips_are_not_compared_by_their_fabric_alone(tmp_path: Path) -> None:
    side_by_side, dense, rack, unknown = decided(tmp_path, with_rack(name="B PCIe"))
    words = "not all have the same accelerator, so what differs is not the fabric alone: "
    said = side_by_side.answer.partition(words)[2]
    assert said in ("A in dense and B PCIe in a rack.", "B PCIe in a rack and A in dense.")
    assert dense.where.endswith("256 accelerators (A)") and rack.where.endswith("256 accelerators (B PCIe)")
    assert unknown.where.endswith("256 accelerators")
    *_, last = MainFinding(side_by_side.answer, "none", enumerates=True).parts
    assert last.startswith("Not all have the same accelerator")


def test_the_same_chip_everywhere_needs_no_words(tmp_path: Path) -> None:
    assert "same accelerator" not in decided(tmp_path, with_rack())[0].answer
