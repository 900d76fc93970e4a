"""Throughput of our products beside a bare loop of torch.mm, on one core.

Both sides multiply the same operands into the same memory, so that neither is favoured by where they lie, and both
are checked. What counts is CPU seconds for as many products, all that either side does around them included: one
thread that never waits, on a machine that may be shared. A side's time in a pair is the median of several loops:
what else the machine does comes in bursts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from measure import Result, paired_ratio, publish

from seatrial.case import Case, case_id
from seatrial.config.probe import Gemm
from seatrial.config.target import Target
from seatrial.measure.context import RankContext
from seatrial.measure.gemm.burst import Burst, matmul_precision

BAR = 0.99
SIDES = (512, 1024)
"""Of smaller products CPU seconds would show what keeping every sample costs, which is in no reading of ours."""
LOOP_FLOPS, LOOPS = 1e10, 7
"""Operations of a loop, and loops of a side before it is the other's turn."""
LIMIT_S = 120.0
Loop = Callable[[], None]


def results() -> list[Result]:
    """Ours over the bare loop, for a small and a large product."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with matmul_precision("float32"):
            return [_compare(side) for side in SIDES]
    finally:
        torch.set_num_threads(threads)


class Meter:
    """Adds up the seconds of the sides' turns."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def turn(self, loop: Loop) -> None:
        """Let a side do its loops."""
        self.seconds += statistics.median(_spent(loop) for _ in range(LOOPS))


def _spent(loop: Loop) -> float:
    start = time.process_time()
    loop()
    return time.process_time() - start


def _compare(side: int) -> Result:
    times = max(5, round(LOOP_FLOPS / (2 * side**3)))
    ctx, workload = _context(side, times)
    burst = Burst(ctx, workload, (side, side, side), torch.Generator().manual_seed(1))
    (on,) = burst.products

    def ours() -> None:
        on.c.fill_(torch.nan)
        burst.seconds(1, times)

    def bare() -> None:
        on.c.fill_(torch.nan)
        for _ in range(1 + times):
            torch.mm(on.a, on.b, out=on.c)
        burst.check()

    ours()  # what is done first takes longer
    meter = Meter()
    name = f"product of {side} x {side} x {side} float32, throughput of ours / bare torch.mm loop"
    return paired_ratio(
        name, lambda: meter.turn(bare), lambda: meter.turn(ours), BAR, lambda: meter.seconds, LIMIT_S
    )


def _context(side: int, times: int) -> tuple[RankContext, Gemm]:
    target = Target(
        name="bench", description="one core", nodes=1, accelerators_per_node=0, tasks_per_node=1, device="cpu"
    )
    workload = Gemm(kind="gemm", m=side, n=side, k=side, iterations=times)
    case = Case(
        study="bench", experiment="probe", repeats=1, base_seed=1, workload=workload, target=target,
        case_id=case_id("probe", workload, target, 1),
    )  # fmt: skip
    return RankContext(case, 0, 1, 0, 0, 1, torch.device("cpu"), Path()), workload


if __name__ == "__main__":
    publish("probes_gemm", results())
