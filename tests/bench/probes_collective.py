"""Bandwidth of our collectives beside a bare loop in torch, over gloo, two ranks of one core each.

Both sides run in the same processes, their loops in turns, and both check what they got. Ours refills its buffers
and lets the ranks meet before each timed iteration; the bare loop is timed as a whole. The time of either is the
maximum over ranks, so that all ranks see the same ratios and agree when enough has been measured. A side's time in
a pair is the median of several loops: what else the machine does comes in bursts.

The bar is of the large messages. A small one takes little longer than a rank takes to wake up, which a bare loop
pays once for each iteration, and ranks that meet first twice; and it stays in the caches where nobody refills it.
"""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
import torch.distributed as dist
from measure import Result, paired_ratio

from seatrial.case import Case, case_id
from seatrial.config.probe import Collective
from seatrial.config.target import Target
from seatrial.measure.collective import run
from seatrial.measure.context import RankContext
from seatrial.measure.timing import slowest_rank

RANKS = 2
BAR = 0.98
SIZES = {"1 MiB": 2**20, "16 MiB": 2**24}
BARRED = 2**24
"""Bytes from which on the bar holds."""
LOOP_BYTES, LOOPS = 2**25, 15
"""What a loop moves, and loops of each side in a pair."""
LIMIT_S = 480.0
Loop = Callable[[], float]
"""Mean seconds of an iteration, on this rank or on all of them."""


def results() -> list[Result]:
    """Start the ranks; what rank 0 found."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    shared = {**os.environ, "WORLD_SIZE": str(RANKS), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "results.json"
        processes = [
            subprocess.Popen([sys.executable, __file__, str(found)], env={**shared, "RANK": str(rank)})
            for rank in range(RANKS)
        ]
        try:
            codes = [process.wait(LIMIT_S) for process in processes]
        finally:
            for process in processes:
                process.kill()
        if any(codes):
            raise SystemExit(f"the ranks ended with {codes}")
        return [Result(**result) for result in json.loads(found.read_text(encoding="utf-8"))]


class Turns:
    """Both sides' loops in turns; `seconds` adds up each side's time in a pair, as that side is asked for it."""

    def __init__(self, bare: Loop, ours: Loop) -> None:
        self._loops = {"bare": bare, "ours": ours}
        self._found: dict[str, float] = {}
        self._pairs = 0
        self.seconds = 0.0

    def take(self, side: str) -> None:
        """One side's part of a pair; both are measured when the first is asked for."""
        if not self._found:
            self._measure()
        self.seconds += self._found.pop(side)

    def _measure(self) -> None:
        self._pairs += 1
        spent: dict[str, list[float]] = {side: [] for side in self._loops}
        for turn in range(LOOPS):
            for side in sorted(self._loops, reverse=bool((turn + self._pairs) % 2)):
                spent[side].append(self._loops[side]())
        for side, seconds in spent.items():
            slowest = torch.tensor(seconds, dtype=torch.float64)
            dist.all_reduce(slowest, op=dist.ReduceOp.MAX)
            self._found[side] = float(slowest.median())


def _ours(operation: str, size: int, times: int) -> Loop:
    """The probe's own loop, samples as it keeps them."""
    ctx = _context(operation, size, times)
    workload = ctx.case.workload
    assert isinstance(workload, Collective)
    exchange = run.make(ctx, workload, size)

    def loop() -> float:
        own = run.time_exchange(ctx, workload, exchange)
        run.check(exchange, operation)
        seconds = slowest_rank(ctx, own)
        return sum(seconds) / len(seconds)

    return loop


def _context(operation: str, size: int, times: int) -> RankContext:
    target = Target(
        name="bench", description="ranks on this machine", nodes=1, accelerators_per_node=0, tasks_per_node=RANKS,
        device="cpu",
    )  # fmt: skip
    workload = Collective(kind="collective", operation=operation, size_bytes=size, warmup=0, iterations=times)
    case = Case(
        study="bench", experiment="probe", repeats=1, base_seed=1, workload=workload, target=target,
        case_id=case_id("probe", workload, target, 1),
    )  # fmt: skip
    rank = dist.get_rank()
    return RankContext(case, 0, 1, rank, rank, RANKS, torch.device("cpu"), Path())


def _bare_all_reduce(size: int, times: int) -> Loop:
    buffer = torch.empty(size // 4)

    def loop() -> float:
        buffer.fill_(2.0**-64)  # doubled `times` times: stays finite
        dist.barrier()
        start = time.perf_counter()
        for _ in range(times):
            dist.all_reduce(buffer)
        seconds = (time.perf_counter() - start) / times
        assert bool((buffer == 2.0 ** (times - 64)).all())
        return seconds

    return loop


def _bare_all_to_all(size: int, times: int) -> Loop:
    rank, part = dist.get_rank(), size // 4 // RANKS
    outgoing = torch.arange(RANKS).repeat_interleave(part) + 10.0 * rank
    incoming = torch.empty_like(outgoing)
    expected = 10.0 * torch.arange(RANKS).repeat_interleave(part) + rank

    def loop() -> float:
        dist.barrier()
        start = time.perf_counter()
        for _ in range(times):
            dist.all_to_all_single(incoming, outgoing)
        seconds = (time.perf_counter() - start) / times
        assert torch.equal(incoming, expected)
        return seconds

    return loop


BARE: dict[str, Callable[[int, int], Loop]] = {"all_reduce": _bare_all_reduce, "all_to_all": _bare_all_to_all}


def _compare(operation: str, words: str, size: int) -> Result:
    times = LOOP_BYTES // size
    turns = Turns(BARE[operation](size, times), _ours(operation, size, times))
    name = f"{operation} of {words} over gloo, bandwidth of ours / bare loop"
    result = paired_ratio(
        name, lambda: turns.take("bare"), lambda: turns.take("ours"), BAR, lambda: turns.seconds, math.inf
    )
    if size < BARRED:
        result.bar, result.holds = None, None
    return result


def main(found: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    compared = [_compare(operation, words, size) for operation in BARE for words, size in SIZES.items()]
    if dist.get_rank() == 0:
        found.write_text(json.dumps([asdict(result) for result in compared]), encoding="utf-8")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
