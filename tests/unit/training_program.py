"""What one rank runs in the tests of a training: `python training_program.py CASE RECORD CHANGE`.

CHANGE is one of the functions below: it makes the training slow, wrong or short-lived in one way. What a change
measured of itself lies in `notes.RANK` beside the case.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CASE, RECORD = Path(sys.argv[1]), Path(sys.argv[2])
SLEEP = 0.25


def note(key: str, value: Any) -> None:
    """Written at once: a rank may end at any moment."""
    with CASE.with_name(f"notes.{os.environ['RANK']}").open("a") as file:
        file.write(json.dumps([key, value]) + "\n")


def slept(seconds: float = SLEEP) -> None:
    """Sleep, and note how long it really was."""
    begin = time.perf_counter()
    time.sleep(seconds)
    note("slept", time.perf_counter() - begin)


def after(objective: Any, act: Callable[[int], None]) -> None:
    """Call `act(step)` after every update (0-based)."""
    right = objective.after_update

    def after_update(step: int) -> None:
        right(step)
        act(step)

    objective.after_update = after_update


def every_other(right: Callable[..., Any]) -> Callable[..., Any]:
    """`right`, slept in at every other call, beginning with the second."""
    calls = [0]

    def slow(*given: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] % 2 == 0:
            slept()
        return right(*given, **named)

    return slow


def as_it_is(objective: Any, ctx: Any) -> None:
    """Nothing changes."""


def slow_data(objective: Any, ctx: Any) -> None:
    objective.fetch = every_other(objective.fetch)


def late_rank(objective: Any, ctx: Any) -> None:
    """Rank 1 computes longer."""
    if ctx.rank == 1:
        objective.loss = every_other(objective.loss)


def slow_collective(objective: Any, ctx: Any) -> None:
    """Gradients take longer to be averaged, on all ranks."""
    import torch.distributed as dist

    from seatrial.train import buckets

    class Slow:
        def __init__(self, work: Any) -> None:
            self.work = work

        @every_other
        def wait(self) -> None:
            self.work.wait()

    class Distributed:
        @staticmethod
        def all_reduce(*given: Any, **named: Any) -> Any:
            return Slow(dist.all_reduce(*given, **named))

    buckets.dist = Distributed  # type: ignore[attr-defined]


def slow_checkpoint(objective: Any, ctx: Any) -> None:
    from seatrial.train.checkpoint import _Writer

    right = _Writer.write_data

    def write_data(self: Any, *given: Any) -> Any:
        note("writes", time.monotonic())
        slept(4 * SLEEP)
        done = right(self, *given)
        note("written", time.monotonic())
        return done

    _Writer.write_data = write_data  # type: ignore[method-assign]
    after(objective, lambda step: note("steps", time.monotonic()))


def steps_take_a_while(objective: Any, ctx: Any) -> None:
    after(objective, lambda step: time.sleep(0.05))
    after(objective, lambda step: note("steps", time.monotonic()))


def slow_steps_and_checkpoints(objective: Any, ctx: Any) -> None:
    slow_checkpoint(objective, ctx)
    steps_take_a_while(objective, ctx)


def killed(objective: Any, ctx: Any) -> None:
    """SIGKILL after the steps of KILLED_AT, one for each start of the run."""
    started = CASE.with_name(f"started.{ctx.rank}")
    start = int(started.read_text()) if started.exists() else 0
    started.write_text(str(start + 1))
    at = [int(step) for step in os.environ["KILLED_AT"].split(",")]
    due = at[start] if start < len(at) else None

    def act(step: int) -> None:
        if step == due:
            os.kill(os.getpid(), signal.SIGKILL)

    after(objective, act)


def killed_while_writing(objective: Any, ctx: Any) -> None:
    """SIGKILL while the second checkpoint is being written, at the first start."""
    marker = CASE.with_name(f"killed.{ctx.rank}")
    if marker.exists():
        return
    from seatrial.train.checkpoint import _Writer

    right, writes = _Writer.write_data, [0]

    def write_data(self: Any, *given: Any) -> Any:
        done = right(self, *given)
        writes[0] += 1
        if writes[0] == 2:
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    _Writer.write_data = write_data  # type: ignore[method-assign]


def disk_full(objective: Any, ctx: Any) -> None:
    """The last rank's second checkpoint finds no room."""
    from seatrial.train.checkpoint import _Writer

    right, writes = _Writer.write_data, [0]

    def write_data(self: Any, *given: Any) -> Any:
        writes[0] += 1
        if writes[0] == 2 and ctx.rank == ctx.world_size - 1:
            raise OSError(28, "No space left on device")
        return right(self, *given)

    _Writer.write_data = write_data  # type: ignore[method-assign]


def lacks_memory(objective: Any, ctx: Any) -> None:
    """The last rank asks for more than it may have, in step 15."""
    import torch

    def act(step: int) -> None:
        if step == 15 and ctx.rank == ctx.world_size - 1:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            used = pages * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), resource.RLIM_INFINITY))
            try:
                torch.ones(1 << 28).sum()  # 1 GiB
            finally:
                resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    after(objective, act)


def becomes_nan(objective: Any, ctx: Any) -> None:
    """The last rank's loss is no number from step 15 on."""
    right, steps = objective.loss, [0]

    def loss(batch: Any) -> Any:
        steps[0] += 1
        value = right(batch)
        return value * math.nan if steps[0] > 15 and ctx.rank == ctx.world_size - 1 else value

    objective.loss = loss


def raises(objective: Any, ctx: Any) -> None:
    """The last rank has a bug in step 15; the first is deep in adding up what it has when it hears of it."""

    def act(step: int) -> None:
        if step == 15 and ctx.rank == ctx.world_size - 1:
            raise RuntimeError("the widget broke")

    after(objective, act)


if __name__ == "__main__":
    import small_training

    from seatrial.case import Case
    from seatrial.measure.session import run_repeat

    def work(ctx: Any) -> None:
        note("updates", int(small_training.run(ctx, globals()[sys.argv[3]]).updates))

    run_repeat(Case.read(CASE), 0, RECORD, work)
