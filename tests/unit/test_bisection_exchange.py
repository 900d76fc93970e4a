"""Messages are checked word by word; on real ranks the pair that is held back is the one that is named."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from gloo_ranks import on_ranks
from hypothesis import given, settings
from hypothesis import strategies as st
from ranks import case

from seatrial.analysis.probes.bisection_pairs import pair_groups
from seatrial.config.probe import Bisection
from seatrial.errors import MeasurementFailed, Unsupported
from seatrial.measure.bisection import exchange, run
from seatrial.measure.bisection.exchange import Mailbox
from seatrial.measure.context import RankContext
from seatrial.record import Measurement

CPU = torch.device("cpu")
SIZE = 256 * 1024
HELD_BACK = 0.03
"""Seconds; far more than a message of SIZE takes."""


def post(sender: Mailbox, receiver: Mailbox) -> None:
    receiver.incoming.copy_(sender.outgoing)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 3000), st.integers(0, 5000), st.integers(0, 5000), st.data())
def test_every_word_is_checked(words: int, first: int, second: int, data: st.DataObject) -> None:
    a, b = Mailbox(first, 4 * words, CPU), Mailbox(second, 4 * words, CPU)
    a.clear()
    for box in (a, b):
        box.advance()
    post(b, a)
    a.check(second)
    a.check_ends(second)
    a.incoming[data.draw(st.integers(0, words - 1))] += 1
    with pytest.raises(MeasurementFailed, match=f"received 1 wrong words of {words} from rank {second}") as failed:
        a.check(second)
    assert failed.value.kind == "wrong_result"


def test_message_of_the_exchange_before_and_of_another_rank_are_told() -> None:
    a, b, c = (Mailbox(rank, 4000, CPU) for rank in range(3))
    a.clear()
    for box in (a, b, c):
        box.advance()
    post(b, a)
    a.advance()
    with pytest.raises(MeasurementFailed, match="2 wrong words"):
        a.check_ends(1)
    post(c, a)
    with pytest.raises(MeasurementFailed):
        a.check_ends(1)
    a.clear()
    with pytest.raises(MeasurementFailed, match="1000 wrong words"):
        a.check(1)


def context(rank: int, size: int, topology: Path | None = None, **words: Any) -> RankContext:
    network = {"scale_out": {"name": "ethernet", "topology": str(topology)}} if topology is not None else {}
    content = {"kind": "bisection", "size_bytes": SIZE, "warmup": 1, "iterations": 5, "timeout_seconds": 20.0}
    what = case({**content, "matchings": 2, "pairwise": [], **words}, size, **network)
    return RankContext(what, 0, 3, rank, 0, size, CPU, None)  # type: ignore[arg-type]


def perform(rank: int, size: int, topology: Path) -> dict[str, list[Measurement]]:
    """Rank 0's measurements on four pretended hosts with ranks 1 and 2 held back together, and on fewer hosts."""
    right = exchange.exchange

    def held_back(mailbox: Mailbox, peer: int) -> None:
        right(mailbox, peer)
        if {rank, peer} == {1, 2}:
            time.sleep(HELD_BACK)

    found = {}
    os.environ["SLURMD_NODENAME"] = f"node{rank + 1}"
    exchange.exchange = held_back
    cuts = ["host_order", "shift", "switch"]
    ctx = context(rank, size, topology, cuts=cuts, pairwise=["rounds", "alone"], matchings=6)
    run.run(ctx)
    found["four"] = ctx.measurements
    exchange.exchange = right
    os.environ["SLURMD_NODENAME"] = f"node{rank // 2 + 1}"
    ctx = context(rank, size, cuts=["host_order", "rail"], pairwise=["alone"], between="ranks")
    run.run(ctx)
    found["two"] = ctx.measurements
    os.environ["SLURMD_NODENAME"] = "node1"
    ctx = context(rank, size, cuts=["shift", "rail"], scales=[2])
    run.run(ctx)
    found["one"] = ctx.measurements
    assert ctx.facts["bisection"]["left_out"].keys() == {"rail of 2", "rail of 4"}
    os.environ["SLURMD_NODENAME"] = "node1" if rank < 3 else "node2"
    with pytest.raises(Unsupported, match="equally many ranks on each host; there are node1 3, node2 1"):
        run.run(context(rank, size))
    return found


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Measurement]]:
    topology = tmp_path_factory.mktemp("declared") / "topology.yaml"
    topology.write_text("switches: {s1: [node1, node4], s2: [node2, node3]}")
    return on_ranks(perform, 4, topology)[0]


def of(measurements: list[Measurement], metric: str, **labels: Any) -> list[Measurement]:
    return [m for m in measurements if m.metric == metric and labels.items() <= m.labels.items()]


def test_every_iteration_of_every_matching_is_kept(measured: dict[str, list[Measurement]]) -> None:
    four = measured["four"]
    cuts = of(four, "bisection.bandwidth")
    assert [m.labels["cut"] for m in cuts] == ["host_order", "shift", "switch"], "all matchings of four"
    assert all(len(m.samples) == 5 and m.labels["ranks"] == 4 and m.labels["hosts"] == 4 for m in cuts)
    for how in ("rounds", "alone"):
        pairs = of(four, "bisection.pair_bandwidth", how=how)
        assert sorted(m.labels["pair"] for m in pairs) == [f"node{a}-node{b}" for a, b in ALL_PAIRS]
        times = {m.labels["pair"]: m.samples for m in of(four, "bisection.pair_time", how=how)}
        for m in pairs:
            assert m.samples == pytest.approx([SIZE / t / 1e9 for t in times[m.labels["pair"]]])


ALL_PAIRS = [(1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)]


def test_pair_that_is_held_back_is_named_and_holds_back_its_matchings(
    measured: dict[str, list[Measurement]],
) -> None:
    most = SIZE / HELD_BACK / 1e9
    for how in ("rounds", "alone"):
        (slow,) = of(measured["four"], "bisection.pair_bandwidth", how=how, pair="node2-node3")
        assert max(slow.samples) <= most
    for cut in of(measured["four"], "bisection.bandwidth"):
        labels = {name: cut.labels[name] for name in ("cut", "matching") if name in cut.labels}
        pairs = of(measured["four"], "bisection.pair_bandwidth", how="matching", **labels)
        assert len(pairs) == 2
        least = [2 * min(values) for values in zip(*(m.samples for m in pairs), strict=True)]
        assert cut.samples == pytest.approx(least), "two pairs as fast as the slower one"
    for group in pair_groups([measured["four"]]):
        assert min(group.pairs, key=lambda pair: max(pair.samples[0])).ends == ("node2", "node3"), group.how


def test_cut_by_switch_is_between_the_switches_of_the_topology(measured: dict[str, list[Measurement]]) -> None:
    pairs = of(measured["four"], "bisection.pair_bandwidth", cut="switch")
    assert sorted(str(m.labels["pair"]) for m in pairs) == ["node1-node2", "node3-node4"]


def test_topology_that_does_not_have_the_hosts_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    file = tmp_path / "topology.yaml"
    file.write_text("switches: {s1: node1, s2: node2}")
    ctx = context(0, 2, file, cuts=["switch"])
    workload = ctx.case.workload
    assert isinstance(workload, Bisection)
    with pytest.raises(Unsupported, match="host node7 is below no switch"):
        run._topology(ctx, workload, ["node1", "node7"])
    file.unlink()
    with pytest.raises(Unsupported, match="the topology cannot be read"):
        run._topology(ctx, workload, ["node1", "node2"])
    with pytest.raises(Unsupported, match=r"need target\.scale_out\.topology"):
        run._topology(context(0, 2, cuts=["switch"]), workload, ["node1", "node2"])


def test_hosts_stay_whole_and_rails_cross(measured: dict[str, list[Measurement]]) -> None:
    two = measured["two"]
    (order,) = of(two, "bisection.pair_bandwidth", cut="host_order")
    assert (order.labels["pair"], order.labels["ranks"]) == ("node1-node2", "0-2 1-3")
    rails = of(two, "bisection.pair_bandwidth", cut="rail")
    assert sorted(str(m.labels["ranks"]) for m in rails) == ["0-3", "2-1"]
    alone = {m.labels["pair"]: m.labels["scope"] for m in of(two, "bisection.pair_bandwidth", how="alone")}
    assert len(alone) == 6
    assert [pair for pair, scope in alone.items() if scope == "inside a host"] == [
        "node1:0-node1:1",
        "node2:0-node2:1",
    ]


def test_single_host_is_halved_by_ranks_at_every_scale(measured: dict[str, list[Measurement]]) -> None:
    cuts = of(measured["one"], "bisection.bandwidth")
    kinds = [(m.labels["scale"], m.labels["hosts"], m.labels["ranks"]) for m in cuts]
    assert set(kinds) == {(2, 1, 2), (4, 1, 4)} and kinds == sorted(kinds)
    assert all(2 <= kinds.count(kind) <= 3 for kind in set(kinds)), "what was drawn may be the shift"


def test_single_rank_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="two ranks or more"):
        run.run(context(0, 1))
