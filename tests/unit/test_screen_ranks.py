"""The screening on real ranks: whose readings are slow is named, and the tables say so."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from gloo_ranks import on_ranks
from ranks import case
from study_on_disk import StudyOnDisk

from seatrial.analysis.probes.screen import COLUMNS
from seatrial.errors import Unsupported
from seatrial.measure.context import RankContext
from seatrial.measure.screen import run
from seatrial.measure.screen.products import Products
from seatrial.record import Measurement
from seatrial.report.probes import screen as screen_page
from seatrial.report.study_tables import read_study

CPU = torch.device("cpu")
WORKLOAD: dict[str, Any] = {
    "kind": "screen",
    "size_bytes": 64 * 1024,
    "side": 48,
    "products": 1,
    "warmup": 0,
    "iterations": 3,
    "timeout_seconds": 20.0,
    "slower": {"value": 4.0, "source": "a test"},
}
USUAL, HELD_BACK = 0.01, 0.05
"""Seconds that a product or a message is said to take once it is done: other tests that take the processors change
nothing then. The messages and products themselves are real, and checked."""
Showed = dict[str, tuple[list[Measurement], dict[str, Any]]]


def perform_all(rank: int, size: int) -> Showed:
    """What each kind of slowness showed."""
    return {slow: perform(rank, size, slow) for slow in ("compute", "exchange", "link")}


@pytest.fixture(scope="module")
def showed() -> Showed:
    """By rank 0 of four, started once."""
    found: Showed = on_ranks(perform_all, 4)[0]
    return found


def perform(rank: int, size: int, slow: str) -> tuple[list[Measurement], dict[str, Any]]:
    """Rank 0's measurements and facts, with rank 2 held back in what `slow` says, or ranks 1 and 2 together."""
    right_products, right_exchanges = Products.seconds, run.timed_exchanges

    def products(self: Products, takes_part: bool) -> list[float]:
        done = right_products(self, takes_part)
        return [HELD_BACK if rank == 2 and slow == "compute" else USUAL] * len(done)

    def exchanges(ctx: Any, mailbox: Any, peer: int | None, warmup: int, iterations: int) -> list[float]:
        done = right_exchanges(ctx, mailbox, peer, warmup, iterations)
        held = {rank, peer} == {1, 2} if slow == "link" else 2 in (rank, peer) and slow == "exchange"
        return [HELD_BACK if held else USUAL] * len(done)

    os.environ["SLURMD_NODENAME"] = "node1" if slow == "compute" else f"node{rank + 1}"
    Products.seconds, run.timed_exchanges = products, exchanges  # type: ignore[method-assign, assignment]
    try:
        ctx = RankContext(case(WORKLOAD, size), 0, 7, rank, 0, size, CPU, None)  # type: ignore[arg-type]
        run.run(ctx)
    finally:
        Products.seconds, run.timed_exchanges = right_products, right_exchanges  # type: ignore[method-assign]
    return ctx.measurements, ctx.facts


def written(folder: Path, measurements: list[Measurement], facts: dict[str, Any], **launcher: Any) -> StudyOnDisk:
    """A study whose one repeat left these measurements, analysed."""
    on = {"name": "cluster", "description": "x", "nodes": 4, "accelerators_per_node": 0, "tasks_per_node": 1}
    study = StudyOnDisk(folder, target={**on, "device": "cpu", "launcher": launcher})
    (planned,) = study.experiment("nodes", WORKLOAD)
    assert planned.seed(0) == 7, "the seed with which the ranks searched"
    study.record(planned, 0, *measurements, provenance=facts)
    study.analyse()
    return study


def table(study: StudyOnDisk) -> list[dict[str, str]]:
    with study.paths.probe_table("screen").open(newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.mark.parametrize(
    ("slow", "kind", "name", "exclude"),
    [
        ("compute", "device", "node1:2", "old[1-2],node1"),
        ("exchange", "node", "node3", "old[1-2],node3"),
        ("link", "link", "node2 - node3", "old[1-2]"),
    ],
)
def test_what_is_held_back_is_named_and_excluded(tmp_path, showed, slow, kind, name, exclude):
    measurements, facts = showed[slow]
    study = written(tmp_path / "trial", measurements, facts, exclude="old[1-2]")
    rows = table(study)
    assert tuple(rows[0]) == COLUMNS
    bad = [(row["kind"], row["name"]) for row in rows if row["standing"] == "bad"]
    assert bad == [(kind, name)]
    assert {row["standing"] for row in rows} == {"bad", "good"}
    assert rows[0]["piece"] == ("exchange" if slow == "link" else slow)
    assert float(rows[0]["ratio"]) > 4 and "(run " in rows[0]["evidence"]
    assert study.paths.exclude.read_text() == exclude + "\n"
    counts = {m.metric: m.samples[0] for m in measurements if not m.metric.endswith("_time")}
    assert counts["screen.bad_nodes"] == (slow != "link") and counts["screen.slow_links"] == (slow == "link")
    assert counts["screen.not_cleared"] == 0


def test_record_with_other_group_runs_clears_nobody(tmp_path, showed):
    """The analysis searches again in the record's readings: what was cut, or another seed's, says nothing."""
    measurements, facts = showed["exchange"]
    for number, kept in enumerate((measurements[:-6], measurements[2:], [])):
        rows = table(written(tmp_path / f"trial{number}", kept, facts))
        assert [(row["standing"], row["measured"]) for row in rows] == [("not tested", "0")]
        assert "group runs are not those" in rows[0]["evidence"]


def test_failed_repeat_leaves_all_untested_and_says_that_nobody_knows_whom_to_exclude(tmp_path):
    study = StudyOnDisk(tmp_path / "trial")
    (planned,) = study.experiment("nodes", WORKLOAD)
    study.failed(planned, 0, message="rank 3 never came")
    study.analyse()
    rows = table(study)
    assert [row["standing"] for row in rows] == ["not tested"] and "rank 3 never came" in rows[0]["evidence"]
    assert study.paths.exclude.read_text() == "not known: no repeat of the screening was completed\n"
    section = screen_page.section(read_study(study.paths))
    assert section is not None and "Which nodes to exclude is not known" in section.words[-1]
    assert not any("none was confirmed" in words or "No node was" in words for words in section.words)


def test_page_names_the_bad_node_and_the_list_to_exclude(tmp_path, showed):
    study = written(tmp_path / "trial", *showed["exchange"])
    section = screen_page.section(read_study(study.paths))
    assert section is not None
    words = " ".join(section.words)
    assert "of 4 nodes 1 bad, 0 not confirmed, 3 good" in words and "Exclude node3: exclude.txt" in words
    assert [row[0].text for row in section.tables[0].rows] == ["node node3"]


def test_fewer_than_three_and_uneven_hosts_are_unsupported():
    with pytest.raises(Unsupported, match=r"there are 2 host\(s\)"):
        run.require_screenable(run.make_endpoints(["a", "b"]))
    with pytest.raises(Unsupported, match="equally many ranks on each host; there are a 2, b 1, c 1"):
        run.require_screenable(run.make_endpoints(["a", "a", "b", "c"]))
