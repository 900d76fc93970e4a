"""The probe moe_alltoall among four ranks over gloo: every number stands for checked rows."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gloo_ranks import on_ranks
from moe_alltoall_cases import context, probe, recorded, spoilt, through_deepep

from seatrial.errors import MeasurementFailed, Unsupported
from seatrial.measure.moe_alltoall import deepep, room, run
from seatrial.measure.moe_alltoall.traffic import Traffic

RANKS = 4
MATRIX = [[[10, 6, 4, 4, 2, 2, 2, 2], [4] * 8, [0, 0, 0, 0, 8, 8, 8, 8], [16, 0, 0, 0, 0, 0, 0, 16]]] * 2


def everything(rank: int, size: int, file: str) -> Any:
    """All that four ranks are needed for, in one go: starting them costs most."""
    variants: list[dict[str, Any]] = [
        {},
        {"load": {"kind": "gini", "target": 0.24}, "tokens": 256, "dispatch_dtype": "fp8", "hidden_size": 128},
        {"load": {"kind": "adversarial", "share": 0.95}, "combine_dtype": "float32", "dispatch_dtype": "float32"},
        {"load": {"kind": "replay", "file": file}, "tokens": None, "iterations": 3},
    ]
    return recorded(rank, size, variants), spoilt(rank, size), through_deepep(rank, size)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Of each rank."""
    file = tmp_path_factory.mktemp("trace") / "counts.json"
    file.write_text(json.dumps(MATRIX))
    return on_ranks(everything, RANKS, str(file), within=120)


def samples(measurements: list[dict[str, Any]], metric: str, **labels: Any) -> list[float]:
    chosen = [
        m for m in measurements if m["metric"] == f"moe_alltoall.{metric}" and labels.items() <= m["labels"].items()
    ]
    assert len(chosen) == 1, (metric, labels, len(chosen))
    found: list[float] = chosen[0]["samples"]
    return found


def test_only_the_first_rank_records_and_every_iteration_is_kept(found: list[Any]) -> None:
    assert [[len(of) > 0 for of in measurements] for measurements, _, _ in found] == [[True] * 4] + [
        [False] * 4
    ] * 3
    for measurements, iterations in zip(found[0][0], (4, 4, 4, 3), strict=True):
        assert {len(m["samples"]) for m in measurements} == {iterations}
        for part in ("counts", "dispatch", "combine"):
            assert all(second > 0 for second in samples(measurements, "time", direction=part))
        for direction in ("dispatch", "combine"):
            assert all(second > 0 for second in samples(measurements, "layer_time", direction=direction))


def test_bytes_count_rows_with_their_scales_numbers_and_weights(found: list[Any]) -> None:
    plain, fp8, full, _ = found[0][0]
    choices = RANKS * 64 * 2
    assert samples(plain, "bytes", direction="dispatch", scope="logical") == [choices * (64 * 2 + 8)] * 4
    assert samples(plain, "bytes", direction="combine", scope="logical") == [choices * 64 * 2] * 4
    assert samples(full, "bytes", direction="combine", scope="logical") == [choices * 64 * 4] * 4
    row = 128 + 128 // 128 * 4 + 8
    assert samples(fp8, "bytes", direction="dispatch", scope="logical") == [RANKS * 256 * 2 * row] * 4


def test_bandwidths_are_bytes_over_the_slowest_ranks_time(found: list[Any]) -> None:
    plain = found[0][0][0]
    for direction in ("dispatch", "combine"):
        seconds = np.array(samples(plain, "time", direction=direction))
        wire = np.array(samples(plain, "bytes", direction=direction, scope="wire"))
        whole = samples(plain, "wire_bandwidth", direction=direction, over="all_ranks")
        assert whole == pytest.approx(wire / seconds / 1e9)
        assert samples(plain, "balanced_bandwidth", direction=direction) == pytest.approx(np.array(whole) / RANKS)
        busiest = np.array(samples(plain, "wire_bandwidth", direction=direction, over="busiest_rank"))
        logical = np.array(samples(plain, "logical_bandwidth", direction=direction))
        assert (busiest > np.array(whole) / RANKS).all() and (logical > busiest).all()


def test_the_gini_is_what_was_asked_and_an_adversary_makes_a_busy_rank(found: list[Any]) -> None:
    _, skewed, adversarial, _ = found[0][0]
    assert np.mean(samples(skewed, "expert_gini")) == pytest.approx(0.24, abs=0.01)
    # of 2 choices of each token 0.95 go to one expert, 1.05 to the other seven, one of them on the same rank
    assert np.mean(samples(adversarial, "rank_imbalance")) == pytest.approx((0.95 + 1.05 / 7) / 2 * 4, rel=0.05)


def test_what_deduplication_saves_is_known_by_token_and_not_of_a_matrix(found: list[Any]) -> None:
    plain, _, _, replayed = found[0][0]
    row, token = 64 * 2 + 8, 64 * 2
    wire = np.array(samples(plain, "bytes", direction="dispatch", scope="wire"))
    away = np.array(samples(plain, "bytes", direction="dispatch", scope="between_nodes"))
    by_rank = np.array(samples(plain, "bytes", direction="dispatch", scope="rank_deduplicated"))
    by_node = np.array(samples(plain, "bytes", direction="dispatch", scope="node_deduplicated"))
    assert (by_rank < wire).all() and (by_node < by_rank).all() and (by_node < away).all()
    # at most one row is saved of each token's two
    assert (wire - by_rank <= RANKS * 64 * token).all() and (wire % row == 0).all()
    scopes = {m["labels"]["scope"] for m in replayed if m["metric"] == "moe_alltoall.bytes"}
    assert scopes == {"logical", "wire", "between_nodes"}
    assert not any(m["metric"] == "moe_alltoall.ranks_per_token" for m in replayed)


def test_a_replayed_matrix_is_sent_as_it_stands(found: list[Any]) -> None:
    replayed = found[0][0][3]
    counts = np.array(MATRIX[0])
    assert samples(replayed, "bytes", direction="dispatch", scope="logical") == [counts.sum() * (64 * 2 + 8)] * 3
    received = counts.reshape(RANKS, RANKS, 2).sum(axis=2).sum(axis=0)
    assert samples(replayed, "rank_imbalance") == pytest.approx([received.max() / received.mean()] * 3)


def test_wrong_weights_of_the_layers_sum_are_found(found: list[Any]) -> None:
    assert [of_rank[1]["layer"] for of_rank in found] == [
        "",
        "wrong_result: combine: the layer's sums of 1 of 64 tokens are wrong",
        "",
        "",
    ]


@pytest.mark.parametrize(
    "how", ["flip_row", "swap_rows", "double_row", "lose_rows", "change_output", "swap_outputs"]
)
def test_a_wrong_row_is_found_on_the_rank_that_has_it(found: list[Any], how: str) -> None:
    said = [of_rank[1][how] for of_rank in found]
    assert said[1].startswith("wrong_result: " + ("combine" if "output" in how else "dispatch"))
    assert said[0] == said[2] == said[3] == ""


def test_deepep_is_used_as_it_is_documented_and_its_sums_are_checked(found: list[Any]) -> None:
    for _, _, deep in found:
        assert deep["right"] == deep["fp8"] == "right"
        assert deep["wrong"].startswith("wrong_result: combine: the sums of 1 of 64")
        assert deep["layer"] == "right"
        assert "no settings for 4 ranks" in deep["no settings"]


def test_deepep_that_is_not_there_is_unsupported_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unsupported, match="accelerators only"):
        deepep.load(context(0, 2, 1), probe())
    monkeypatch.setitem(sys.modules, "deep_ep", None)
    with pytest.raises(Unsupported, match=r"needs the package deep_ep .* take dispatcher torch"):
        deepep.imported()


def test_ranks_that_cannot_share_the_experts_are_unsupported(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"8 experts cannot be shared evenly by 3 rank"):
        run.run(context(0, 3, 1))
    with pytest.raises(Unsupported, match="two or more"):
        run.run(context(0, 1, 1))


def test_rows_that_do_not_fit_into_memory_are_refused_before_any_is_allocated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rank 1 receives all 400 rows of an iteration, and sends 100."""
    rows = np.zeros((3, 4, 4), dtype=int)
    rows[1, :, 1] = 100
    traffic = Traffic(rows, rows, rows[:, 0], None, np.array([4, 4, 4]), 4)
    asked = probe(hidden_size=1024)
    row = 2 * 1024
    needed = int(9 / 8 * (500 * (2 * row + 8) + 50 * 1024 * 4)) + room.CHECKING
    monkeypatch.setattr(
        "seatrial.measure.room.available_bytes", lambda device, ranks: (needed, f"shared by {ranks}")
    )
    room.require_room(context(1, 4, 2), asked, traffic)
    monkeypatch.setattr(
        "seatrial.measure.room.available_bytes", lambda device, ranks: (needed - 1, f"shared by {ranks}")
    )
    with pytest.raises(
        MeasurementFailed, match=r"100 rows to send and 400 to receive take .* \(shared by 2\)"
    ) as failed:
        room.require_room(context(1, 4, 2), asked, traffic)
    assert failed.value.kind == "out_of_memory"
    room.require_room(context(0, 4, 2), asked, traffic)
