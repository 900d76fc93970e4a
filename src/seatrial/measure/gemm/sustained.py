"""Products without a pause: what a device holds once its power and temperature limit it.

Batches are queued one ahead, so that an accelerator never waits for its host; a batch takes about SAMPLE_SECONDS
and is one sample.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

from seatrial.measure.context import RankContext

if TYPE_CHECKING:
    import torch

SAMPLE_SECONDS = 1.0


def sustain(device: torch.device, operation: Callable[[], object], seconds: float, each: float) -> list[float]:
    """Operations per second of batches that follow each other for `seconds` or longer.

    `each` is about how many seconds one operation takes.
    """
    batch = max(1, round(min(SAMPLE_SECONDS, seconds) / each))
    marks = _marks_on_host if device.type == "cpu" else _marks_on_device
    return [batch / took for took in marks(operation, batch, seconds)]


def _marks_on_host(operation: Callable[[], object], batch: int, seconds: float) -> list[float]:
    """Seconds of each batch."""
    begin = last = time.perf_counter()
    took: list[float] = []
    while not took or last - begin < seconds:
        for _ in range(batch):
            operation()
        now = time.perf_counter()
        took.append(now - last)
        last = now
    return took


def _marks_on_device(operation: Callable[[], object], batch: int, seconds: float) -> list[float]:
    """Seconds of each batch by events of the device; the next one is always queued before one is waited for."""
    import torch

    def queue() -> torch.cuda.Event:
        for _ in range(batch):
            operation()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    first = torch.cuda.Event(enable_timing=True)
    first.record()
    events = [first, queue()]
    enough = False
    while not enough:
        events.append(queue())
        events[-2].synchronize()
        enough = first.elapsed_time(events[-2]) / 1e3 >= seconds
    events[-1].synchronize()
    return [before.elapsed_time(after) / 1e3 for before, after in pairwise(events)]


def gather_uneven(ctx: RankContext, samples: list[float]) -> list[list[float]]:
    """Every rank's samples, by rank, where their numbers differ; on ranks other than 0 an empty list."""
    if ctx.world_size == 1:
        return [samples]
    import torch
    import torch.distributed as dist

    most = torch.tensor([len(samples)], device=ctx.device)
    dist.all_reduce(most, op=dist.ReduceOp.MAX)
    mine = torch.full((int(most),), math.nan, dtype=torch.float64, device=ctx.device)
    mine[: len(samples)] = torch.tensor(samples, dtype=torch.float64)
    everyone = [torch.empty_like(mine) for _ in range(ctx.world_size)] if ctx.rank == 0 else None
    dist.gather(mine, everyone, dst=0)
    return [[s for s in theirs.tolist() if not math.isnan(s)] for theirs in everyone or []]
