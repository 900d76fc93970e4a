"""Bandwidth of our collectives beside a bare loop in torch, over gloo, two ranks of one core each.

Both sides run in the same processes in turns. Ours refills its buffer and re-aligns the ranks before each timed
iteration; the bare loop is timed as a whole. The time of either is the maximum over ranks, so that all ranks see
the same ratios and agree when enough has been measured.
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

from seatrial.measure import collective
from seatrial.measure.timing import time_iterations

RANKS = 2
BAR = 0.98
SIZES = {"1 MiB": 2**20, "16 MiB": 2**24}
TURN_BYTES = 2**27
"""What a side moves before it is the other's turn."""
LIMIT_S = 300.0


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


class Meter:
    """Adds up the seconds that the timed regions took, the maximum over ranks."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        slowest = torch.tensor(seconds, dtype=torch.float64)
        dist.all_reduce(slowest, op=dist.ReduceOp.MAX)
        self.seconds += float(slowest)


def _all_reduce(size: int) -> tuple[Callable[[Meter], None], Callable[[Meter], None]]:
    """A turn of the bare loop and a turn of ours, on buffers of `size` bytes."""
    times = max(4, TURN_BYTES // size)
    theirs, buffer, together = torch.ones(size // 4), torch.empty(size // 4), torch.zeros(1)
    mine = collective.contribution(dist.get_rank(), RANKS)

    def bare(meter: Meter) -> None:
        theirs.fill_(2.0**-64)  # doubled `times` times at most: never infinite
        dist.barrier()
        start = time.perf_counter()
        for _ in range(times):
            dist.all_reduce(theirs)
        meter.add((time.perf_counter() - start) / times)
        assert bool((theirs == 2.0 ** (times - 64)).all())

    def before() -> None:
        collective.fill(buffer, mine)
        dist.all_reduce(together)

    def ours(meter: Meter) -> None:
        seconds = time_iterations(buffer.device, lambda: collective.reduce(buffer), 0, times, before)
        collective.check_sums(buffer, RANKS)
        meter.add(sum(seconds) / times)

    return bare, ours


def _compare(name: str, size: int) -> Result:
    bare, ours = _all_reduce(size)
    meter = Meter()
    return paired_ratio(
        f"{name}, ours / bare loop", lambda: bare(meter), lambda: ours(meter), BAR, lambda: meter.seconds, math.inf
    )


def main(found: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    compared = [_compare(f"all_reduce of {words} over gloo", size) for words, size in SIZES.items()]
    if dist.get_rank() == 0:
        found.write_text(json.dumps([asdict(result) for result in compared]), encoding="utf-8")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
