"""What one rank runs in the tests of the session: `python rank_program.py CASE RECORD WORK`.

WORK is a probe, or one of the works below that fail in a way that the tests ask about.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from seatrial.case import Case
from seatrial.errors import MeasurementFailed, SeatrialError, Unsupported
from seatrial.measure.context import RankContext
from seatrial.measure.session import run_repeat
from seatrial.record import measurement


def probe(ctx: RankContext) -> None:
    from seatrial.train.kinds import WORK

    WORK[ctx.case.workload.kind](ctx)


def wait_in_collective() -> None:
    import torch
    import torch.distributed as dist

    dist.all_reduce(torch.ones(4))


def one_rank_raises(ctx: RankContext) -> None:
    if ctx.rank == 0:
        ctx.measurements.append(measurement("collective.time", [0.5]))
    if ctx.rank == ctx.world_size - 1:
        time.sleep(0.5)
        raise RuntimeError("the widget broke")
    wait_in_collective()


def first_rank_raises(ctx: RankContext) -> None:
    if ctx.rank == 0:
        raise KeyError("a bug")
    wait_in_collective()


def raises_in_words(ctx: RankContext) -> None:
    if ctx.rank == ctx.world_size - 1:
        raise MeasurementFailed("diverged", "loss is NaN at step 3")
    wait_in_collective()


def not_supported(ctx: RankContext) -> None:
    raise Unsupported("no such unit here")


def one_rank_vanishes(ctx: RankContext) -> None:
    if ctx.rank == ctx.world_size - 1:
        time.sleep(0.5)
        os._exit(7)
    wait_in_collective()


def first_rank_vanishes(ctx: RankContext) -> None:
    if ctx.rank == 0:
        time.sleep(0.5)
        os._exit(7)
    wait_in_collective()


def one_rank_is_killed(ctx: RankContext) -> None:
    if ctx.rank == ctx.world_size - 1:
        os.kill(os.getpid(), signal.SIGKILL)
    wait_in_collective()


def one_rank_sleeps(ctx: RankContext) -> None:
    if ctx.rank == ctx.world_size - 1:
        time.sleep(3600)
    wait_in_collective()


def lacks_memory(ctx: RankContext) -> None:
    import torch

    torch.empty(2**60, dtype=torch.uint8)


def one_sum_wrong(ctx: RankContext) -> None:
    from seatrial.measure.collective.exchange import AllReduce

    right = AllReduce.perform

    def wrong(exchange):  # type: ignore[no-untyped-def]
        right(exchange)
        if ctx.rank == 1:
            exchange.buffers[0][5] += 1

    AllReduce.perform = wrong
    probe(ctx)


def killed_in_mid_collective(ctx: RankContext) -> None:
    """Rank 1 is killed from outside while it exchanges."""
    import threading

    from seatrial.measure.collective.exchange import AllReduce

    right, calls = AllReduce.perform, []

    def killed(exchange):  # type: ignore[no-untyped-def]
        calls.append(1)
        if ctx.rank == 1 and len(calls) == 3:
            threading.Timer(0.005, os.kill, (os.getpid(), signal.SIGKILL)).start()
        right(exchange)

    AllReduce.perform = killed
    probe(ctx)


def second_rank_is_slow(ctx: RankContext) -> None:
    """Every timed operation takes 0.1 s longer on rank 1."""
    from seatrial.measure.collective.exchange import AllReduce
    from seatrial.measure.gemm import product

    def slowed(right):  # type: ignore[no-untyped-def]
        def operation(*tensors):  # type: ignore[no-untyped-def]
            right(*tensors)
            time.sleep(0.1 if ctx.rank == 1 else 0)

        return operation

    AllReduce.perform, product.multiply = slowed(AllReduce.perform), slowed(product.multiply)
    probe(ctx)


def second_rank_reads_slowly(ctx: RankContext) -> None:
    """Every sample takes 10 ms longer on rank 1."""
    from seatrial.measure.dataload.samples import FileSamples

    right = FileSamples.read

    def read(samples, number):  # type: ignore[no-untyped-def]
        time.sleep(0.01 if ctx.rank == 1 else 0)
        return right(samples, number)

    FileSamples.read = read  # type: ignore[method-assign]
    probe(ctx)


def environment(ctx: RankContext) -> None:
    print(os.environ.get("GLOO_SOCKET_IFNAME"), flush=True)


def threads(ctx: RankContext) -> None:
    import torch

    print(torch.get_num_threads(), flush=True)


def modules(ctx: RankContext) -> None:
    probe(ctx)
    print(" ".join(sys.modules), flush=True)


if __name__ == "__main__":
    _, case_file, record_file, work = sys.argv
    assert "torch" not in sys.modules
    try:
        run_repeat(Case.read(Path(case_file)), 0, Path(record_file), globals()[work])
    except SeatrialError as problem:
        print(problem, file=sys.stderr)
        sys.exit(problem.exit_code)
    if work == "modules":
        print(" ".join(sys.modules), flush=True)
