"""Training times that stand side by side hold the same: checkpoints and failures in all of them, or in none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from procurement_cases import cluster, procurement, stated
from test_procurement import decided, figure, projected

from seatrial.report.decisions import headline_of_decisions


def two(**second: Any) -> dict[str, Any]:
    plan = procurement()
    plan["planned"]["training_tokens"] = stated(2e12)
    plan["proposals"]["cloud"] = {"target": cluster(name="cloud", **second), "nodes": 32}
    return plan


def test_where_one_proposals_storage_is_not_known_no_training_time_holds_checkpoints(tmp_path: Path) -> None:
    """Alike but for the storage: the same training time, and the cards say what is not in it."""
    side_by_side, dense, cloud = decided(tmp_path, two(storage={}))
    name = "Training time without checkpoints and failures"
    assert [one.figures[0].name for one in (dense, cloud)] == [name] * 2
    assert dense.figures[0].value == cloud.figures[0].value
    assert {card.name.partition(":")[0] for card in headline_of_decisions([side_by_side, dense, cloud])} == {name}
    lost, whole = (figure(dense, start).value for start in ("Time lost", "Training time with checkpoints"))
    assert lost is not None and whole == pytest.approx(dense.figures[0].value / (1 - lost))  # type: ignore[operator]
    assert not any(one.name.startswith("Training time with ") for one in cloud.figures)
    assert any(
        words.endswith("not in any training time, since it is not known of cloud") for words in side_by_side.missing
    )
    assert any("not known of another proposal" in words for words in dense.missing)


def test_where_all_know_their_storage_every_training_time_holds_checkpoints(tmp_path: Path) -> None:
    plan = two()
    _, dense, cloud = decided(tmp_path, plan)
    alone = projected(plan)
    assert [one.figures[0].name for one in (dense, cloud)] == ["Training time"] * 2
    steps = 2e12 / (4096 * 1024)
    lost, step = (figure(dense, start).value for start in ("Time lost", "Least step time"))
    assert lost is not None and step is not None and alone.knows_saving
    assert dense.figures[0].value == pytest.approx(steps * step / 86_400 / (1 - lost), rel=1e-3)
    assert not any("not in" in words and "time lost" in words for words in dense.missing)
