"""Every collective over real ranks: the right result passes, a wrong one yields no number, time is that of all."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import torch.distributed as dist
from gloo_ranks import on_ranks
from ranks import case, run_ranks, target
from ranks import collective as small
from torch.utils._python_dispatch import TorchDispatchMode

from seatrial.errors import EXIT_FAULT, SeatrialError, Unsupported
from seatrial.measure.collective import run
from seatrial.measure.collective.exchange import EXCHANGES, Broadcast, Exchange, SendRecv, perform
from seatrial.measure.collective.wire import wire
from seatrial.measure.context import RankContext
from seatrial.record import Measurement

pytestmark = pytest.mark.timeout(120)

RANKS = 3
CPU = torch.device("cpu")
OPERATIONS = list(EXCHANGES)
DTYPES = ("float32", "float16", "bfloat16")
SPOILT = ("one element", "a slot away", "another rank's", "an earlier size's", "nothing arrived")
BUS_FACTOR = {"all_reduce": 4 / 3, "broadcast": 1, "send_recv": 1}
"""Over three ranks; (n-1)/n for the others."""
NETWORK = {"name": "Ethernet", "gbit_per_node": {"value": 100.0, "source": "data sheet"}}


class Said(NamedTuple):
    """What became of the probe on one rank."""

    measurements: list[Measurement]
    facts: dict[str, Any]
    error: str | None
    kind: str | None


def workload(operation: str, **more: Any) -> dict[str, Any]:
    size = {} if "sizes" in more else {"size_bytes": 480}
    return {"kind": "collective", "operation": operation, "warmup": 1, "iterations": 3, **size, **more}


def probe(rank: int, content: dict[str, Any], **target: Any) -> Said:
    what = case(content, target.pop("tasks", RANKS), **target)
    ctx = RankContext(what, 0, 3, rank, rank, RANKS, CPU, Path())
    try:
        run.run(ctx)
    except SeatrialError as problem:
        return Said(ctx.measurements, ctx.facts, str(problem), getattr(problem, "kind", type(problem).__name__))
    return Said(ctx.measurements, ctx.facts, None, None)


LARGE = 4 * 251 * 200
"""Bytes of a message of which a timed iteration reads a sample only (float32, 200 periods)."""


def wrong_everywhere(rank: int, iteration: int, size: int = 480) -> Said:
    """One element is wrong after one of five iterations (the first and the last are not timed)."""
    right, done = Broadcast.perform, 0

    def wrong(exchange: Exchange) -> None:
        nonlocal done
        right(exchange)  # type: ignore[arg-type]
        done += 1
        if done == iteration:
            exchange.buffers[-1][7] += 1

    Broadcast.perform = wrong  # type: ignore[method-assign, assignment]
    try:
        return probe(rank, workload("broadcast", size_bytes=size))
    finally:
        Broadcast.perform = right  # type: ignore[method-assign]


def too_large_on_rank_1(rank: int) -> Said:
    """Rank 1 has room for the smaller of two sizes only."""
    room = run.available_bytes
    run.available_bytes = lambda *_: (1000 if rank == 1 else 2000, "free memory of a test")  # type: ignore[assignment]
    try:
        return probe(rank, workload("broadcast", sizes={"smallest": 400, "largest": 1600, "factor": 4}))
    finally:
        run.available_bytes = room


def late_and_slow(rank: int) -> Said:
    """Rank 1 is late at every iteration by 0.03 s, rank 2 takes 0.03 s longer."""
    refill, right = SendRecv.refill, SendRecv.perform

    def late(exchange: SendRecv) -> None:
        time.sleep(0.03 if rank == 1 else 0)
        refill(exchange)

    def slow(exchange: SendRecv) -> None:
        right(exchange)
        time.sleep(0.03 if rank == 2 else 0)

    SendRecv.refill, SendRecv.perform = late, slow  # type: ignore[method-assign, assignment]
    try:
        return probe(rank, workload("send_recv"))
    finally:
        SendRecv.refill, SendRecv.perform = refill, right  # type: ignore[method-assign]


def wrong_elements(exchange: Exchange, spoil: str) -> int:
    """What the check says of a result that is as it should be, or spoilt on this rank."""
    exchange.refill()
    exchange.perform()
    result = exchange.buffers[-1]
    if spoil == "one element":
        result[-1] += 1
    elif spoil == "a slot away":
        result.copy_(result.roll(8))
    elif spoil == "another rank's":
        dist.broadcast(result, src=1)
    elif spoil == "an earlier size's":
        smaller = exchange.elements // 2 // RANKS * RANKS
        exchange = type(exchange)(exchange.rank, RANKS, smaller, result.dtype, CPU)
        exchange.buffers[-1].copy_(result[: len(exchange.buffers[-1])])
    elif spoil == "nothing arrived":
        exchange.refill()
    return int(exchange.count_wrong())


def check_each(rank: int, size: int) -> dict[tuple[str, str, int, str], int]:
    found = {}
    for operation, exchange_of in EXCHANGES.items():
        for dtype in DTYPES:
            for elements in (size, 400 * size):
                for spoil in ("", *(SPOILT if elements > size else ())):
                    exchange = exchange_of(rank, size, elements, getattr(torch, dtype), CPU)
                    found[operation, dtype, elements, spoil] = wrong_elements(exchange, spoil)
    return found


def everything(rank: int, size: int) -> dict[str, Any]:
    """All that the tests below look at, in one process group."""
    sizes = {"smallest": 8, "largest": 100, "factor": 2}
    nodes = {"nodes": 3, "tasks": 1, "scale_out": NETWORK}
    return {
        "checks": check_each(rank, size),
        **{operation: probe(rank, workload(operation), **nodes) for operation in OPERATIONS},
        "many": probe(rank, workload("all_gather", sizes=sizes, dtype="bfloat16")),
        "slow": probe(rank, workload("broadcast", iterations=50, most_seconds_per_size=1e-9, warmup=40)),
        "fast": probe(rank, workload("broadcast", iterations=50, most_seconds_per_size=60.0)),
        "cold": probe(rank, workload("send_recv", warmup=0)),
        "does not divide": probe(rank, workload("all_to_all", size_bytes=488)),
        "too large": probe(rank, workload("all_to_all", size_bytes=3 * 2**60)),
        "last too large": probe(
            rank, workload("broadcast", sizes={"smallest": 8, "largest": 2**58, "factor": 2**55})
        ),
        "too large on rank 1": too_large_on_rank_1(rank),
        **{f"wrong in {iteration}": wrong_everywhere(rank, iteration) for iteration in (1, 3, 5)},
        **{f"large, wrong in {iteration}": wrong_everywhere(rank, iteration, LARGE) for iteration in (1, 5)},
        "late and slow": late_and_slow(rank),
    }


@pytest.fixture(scope="module")
def ranks() -> list[dict[str, Any]]:
    return on_ranks(everything, RANKS)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_right_results_pass_and_spoilt_ones_do_not(ranks: list[dict[str, Any]], operation: str) -> None:
    for rank, found in enumerate(ranks):
        for (name, dtype, elements, spoil), wrong in found["checks"].items():
            if name != operation:
                continue
            # all ranks hold the same result of these, and the sender of a broadcast needs nothing to arrive
            same = spoil == "another rank's" and (rank == 1 or name in ("all_reduce", "all_gather", "broadcast"))
            fine = not spoil or same or (spoil == "nothing arrived" and name == "broadcast" and rank == 0)
            assert (wrong == 0) == fine, (rank, dtype, elements, spoil, wrong)
            assert spoil != "one element" or wrong == 1


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_is_measured_once_for_all_ranks(ranks: list[dict[str, Any]], operation: str) -> None:
    said: Said = ranks[0][operation]
    assert said.error is None and all(found[operation].measurements == [] for found in ranks[1:])
    by_name = {m.metric.removeprefix("collective."): m for m in said.measurements}
    seconds = by_name["time"].samples
    assert len(seconds) == 3 and min(seconds) > 0
    algorithm = [480 / s / 1e9 for s in seconds]
    bus = [a * BUS_FACTOR.get(operation, 2 / 3) for a in algorithm]
    assert by_name["algorithm_bandwidth"].samples == pytest.approx(algorithm)
    assert by_name["bus_bandwidth"].samples == pytest.approx(bus)
    # one rank on each node: its NIC carries what the bus bandwidth says, over gloo twice that for reduce_scatter
    times = 2 if operation == "reduce_scatter" else 1
    assert by_name["wire_bandwidth"].samples == pytest.approx([times * b for b in bus])
    assert by_name["wire_bandwidth"].ceiling == 12.5 and "Ethernet" in by_name["wire_bandwidth"].ceiling_basis
    labels = {
        "operation": operation,
        "dtype": "float32",
        "size_bytes": 480,
        "ranks": 3,
        "backend": "gloo",
        "implementation": "torch",
    }
    assert all(m.labels == labels for m in said.measurements)


@pytest.mark.parametrize(
    ("operation", "backend", "carried"),
    # four nodes of eight: measurement of 382 GB/s on such is 37 on the wire (stas00/ml-engineering, network)
    [
        ("all_reduce", "nccl", 382 * 3 / 31),
        ("all_gather", "nccl", 382 * 3 / 31),
        ("all_to_all", "nccl", 382 * 24 / 31),
        ("broadcast", "nccl", 382 / 8),
        ("send_recv", "nccl", 382),
        ("all_reduce", "gloo", 382 / 8),
        ("reduce_scatter", "gloo", 382 / 4),
    ],
)
def test_wire_rate_follows_from_the_operation(operation: str, backend: str, carried: float) -> None:
    facts = {"nodes": 4, "device": "cuda", "accelerators_per_node": 8}
    network = {"name": "EFA", "gbit_per_accelerator": {"value": 400.0, "source": "data sheet"}}
    on = target(8, **facts, scale_out=network)
    found = wire(on, operation, backend)
    assert found is not None
    assert 382 * found.per_bus == pytest.approx(carried) and found.line_gbps == 50
    assert wire(target(8, **facts), operation, backend) is None, "no NIC is declared"
    assert wire(target(8, **{**facts, "nodes": 1}, scale_out=network), operation, backend) is None


def test_many_sizes_are_each_measured_as_what_they_are(ranks: list[dict[str, Any]]) -> None:
    said: Said = ranks[0]["many"]
    times = [m for m in said.measurements if m.metric == "collective.time"]
    # 8, 16, 32 and 64 bytes are no multiples of 2 bytes x 3 ranks
    assert [m.labels["size_bytes"] for m in times] == [6, 12, 30, 60]
    assert said.facts["collective"]["rounded"] == ["8 as 6", "16 as 12", "32 as 30", "64 as 60"]
    assert len(said.measurements) == 3 * len(times), "within one node there is no wire"


def test_slow_sizes_get_fewer_iterations_and_it_is_said(ranks: list[dict[str, Any]]) -> None:
    assert len(ranks[0]["slow"].measurements[0].samples) == 5
    assert ranks[0]["slow"].facts["collective"]["fewer_iterations"] == {"480": 5}
    assert len(ranks[0]["fast"].measurements[0].samples) == 50
    assert ranks[0]["fast"].facts["collective"]["fewer_iterations"] == {}
    assert len(ranks[0]["cold"].measurements[0].samples) == 3


def test_size_that_the_ranks_do_not_divide_is_refused(ranks: list[dict[str, Any]]) -> None:
    for found in ranks:
        said: Said = found["does not divide"]
        assert said.kind == "Unsupported" and said.measurements == []
        assert "488 bytes does not divide" in said.error and "multiples of 12 bytes" in said.error


def test_message_larger_than_memory_is_refused_before_anything_is_allocated(ranks: list[dict[str, Any]]) -> None:
    for found in ranks:
        said: Said = found["too large"]
        assert said.kind == "out_of_memory" and said.measurements == []
        assert "workload.size_bytes of at most" in said.error and "Nothing was allocated" in said.error


def test_sizes_below_one_that_does_not_fit_are_measured_and_kept(ranks: list[dict[str, Any]]) -> None:
    assert {found["last too large"].kind for found in ranks} == {"out_of_memory"}
    said: Said = ranks[0]["last too large"]
    assert [m.labels["size_bytes"] for m in said.measurements if m.metric == "collective.time"] == [8]
    assert "workload.sizes.largest of at most" in said.error and "1 smaller size(s) are measured" in said.error


def test_ranks_agree_on_what_fits_and_the_one_that_lacks_room_says_so(ranks: list[dict[str, Any]]) -> None:
    assert [found["too large on rank 1"].kind for found in ranks] == [None, "out_of_memory", None]
    assert {m.labels["size_bytes"] for m in ranks[0]["too large on rank 1"].measurements} == {400}


@pytest.mark.parametrize("iteration", [1, 3, 5], ids=["warm-up", "middle", "last"])
def test_element_that_is_wrong_after_one_iteration_only_yields_no_number(
    ranks: list[dict[str, Any]], iteration: int
) -> None:
    for found in ranks:
        said: Said = found[f"wrong in {iteration}"]
        assert said.kind == "wrong_result" and said.measurements == []
        assert f"1 of 120 received are wrong in iteration {iteration} of 5" in said.error


@pytest.mark.parametrize("iteration", [1, 5], ids=["warm-up", "last"])
def test_one_wrong_element_of_a_large_message_is_seen_where_time_is_not_taken(
    ranks: list[dict[str, Any]], iteration: int
) -> None:
    for found in ranks:
        said: Said = found[f"large, wrong in {iteration}"]
        assert said.kind == "wrong_result" and said.measurements == []
        assert f"1 of 50200 received are wrong in iteration {iteration} of 5" in said.error


@pytest.mark.parametrize("operation", OPERATIONS)
def test_looking_at_a_result_never_waits_for_the_device(operation: str) -> None:
    """Neither a value nor a pattern crosses between host and device."""
    exchange = EXCHANGES[operation](1, RANKS, 30000 * RANKS, torch.float32, CPU)
    exchange.unseen = True
    seen: list[str] = []

    class Watched(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(str(func))
            return func(*args, **(kwargs or {}))

    with Watched():
        exchange.look()
    assert any("ne." in name for name in seen)
    assert not [name for name in seen if "_to_copy" in name or "_local_scalar_dense" in name or "copy_" in name]
    exchange.take_wrong()
    with pytest.raises(ValueError, match="no result was looked at"):
        exchange.take_wrong()


def test_time_is_the_slowest_ranks_and_a_late_start_is_nobodys(ranks: list[dict[str, Any]]) -> None:
    times = ranks[0]["late and slow"].measurements[0].samples
    assert min(times) >= 0.03, "rank 2 alone takes 0.03 s"
    assert min(times) < 0.055, "rank 1's late start is not charged"


def test_rank_that_is_killed_in_mid_collective_leaves_no_rank_behind(tmp_path: Path) -> None:
    what = case(small(size_bytes=2**23, iterations=10000, timeout_seconds=15.0), 3)
    ended = run_ranks(what, "killed_in_mid_collective", tmp_path)
    assert ended.codes == [EXIT_FAULT, -9, EXIT_FAULT], ended.errors
    assert ended.record is None, "a repeat that lost a rank has no numbers"
    assert ended.seconds < 45, "start-up included"
    assert all("lost a peer" in ended.errors[rank] or "rank 0 is gone" in ended.errors[rank] for rank in (0, 2))


def test_what_a_backend_lacks_is_unsupported_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = Broadcast(0, 1, 4, torch.float32, CPU)
    monkeypatch.setattr(dist, "get_backend", lambda: "gloo")

    def lacking(*_: Any, **__: Any) -> None:
        raise RuntimeError("ProcessGroupGloo::broadcast: unsupported scalar type")

    monkeypatch.setattr(dist, "broadcast", lacking)
    with pytest.raises(Unsupported, match=r"gloo has no broadcast of torch\.float32 on cpu"):
        perform(exchange, "broadcast")

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr(dist, "broadcast", broken)
    with pytest.raises(RuntimeError, match="closed by peer"):
        perform(exchange, "broadcast")


def test_collective_on_a_single_rank_says_what_to_raise() -> None:
    ctx = RankContext(case(workload("all_gather"), 1), 0, 3, 0, 0, 1, CPU, Path())
    with pytest.raises(Unsupported, match=r"all_gather needs .* target\.nodes or target\.tasks_per_node"):
        run.run(ctx)
