"""The timed region of every probe, and how the ranks' samples come together."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from seatrial.measure.context import RankContext
from seatrial.record import measurement

if TYPE_CHECKING:
    import torch

BUSY_BYTES = 2**28
"""30 to 130 us at the 2 to 8 TB/s of accelerators' memory."""


def busy_bytes(device: torch.device) -> int:
    """What an accelerator clears before each iteration, so that the host has launched the operation by then.

    Otherwise the launch would count as time of the smallest messages. Nothing on a CPU.
    """
    return BUSY_BYTES if device.type == "cuda" else 0


def start_together(
    device: torch.device, refill: Callable[[], object] = lambda: None, check: Callable[[], object] = lambda: None
) -> Callable[[], None]:
    """What runs untimed before each iteration of an exchange between ranks: `before` of `time_iterations`.

    First `check`, which may wait for the device. Then the device is kept busy while the host launches what follows,
    `refill` (which must not wait) fills the buffers, and last the ranks meet, so that none is charged for
    another's delay: nothing that takes a rank its own time may come after that. Every rank must call it.
    """
    import torch
    import torch.distributed as dist

    together = torch.zeros(1, device=device)
    busy = torch.empty(busy_bytes(device), dtype=torch.uint8, device=device)

    def before() -> None:
        check()
        busy.zero_()
        refill()
        dist.all_reduce(together)

    return before


def time_iterations(
    device: torch.device,
    operation: Callable[[], object],
    warmup: int,
    iterations: int,
    before: Callable[[], object] = lambda: None,
    on_host: bool | None = None,
) -> list[float]:
    """Seconds that each of `iterations` runs of `operation` took, after `warmup` untimed ones.

    `before` runs untimed before every one of them. An accelerator is timed by events on its stream, so that
    the host's launches stay outside; a CPU (or `on_host`, for work that the host waits for) by the host's clock.
    """
    import torch

    for _ in range(warmup):
        before()
        operation()
    if on_host is None:
        on_host = device.type == "cpu"
    if on_host:
        return [_host_seconds(device, operation, before) for _ in range(iterations)]
    events = []
    for _ in range(iterations):
        before()
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        operation()
        end.record()
        events.append((start, end))
    torch.cuda.synchronize(device)
    return [start.elapsed_time(end) / 1e3 for start, end in events]


def _host_seconds(device: torch.device, operation: Callable[[], object], before: Callable[[], object]) -> float:
    before()
    synchronize(device)
    start = time.perf_counter_ns()
    operation()
    synchronize(device)
    return (time.perf_counter_ns() - start) / 1e9


def synchronize(device: torch.device) -> None:
    """Wait until an accelerator has done all that was asked of it; nothing on a CPU."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def wait_for_all(ctx: RankContext) -> None:
    """Start together: what ranks measure at the same time is what a machine delivers under full load."""
    if ctx.world_size > 1:
        import torch.distributed as dist

        dist.barrier()


def gather_samples(ctx: RankContext, samples: list[float]) -> list[list[float]]:
    """Every rank's samples (equally many on each), by rank; on ranks other than 0 an empty list."""
    if ctx.world_size == 1:
        return [samples]
    import torch
    import torch.distributed as dist

    mine = torch.tensor(samples, dtype=torch.float64, device=ctx.device)
    everyone = [torch.empty_like(mine) for _ in range(ctx.world_size)] if ctx.rank == 0 else None
    dist.gather(mine, everyone, dst=0)
    return [theirs.tolist() for theirs in everyone or []]


def everyones(ctx: RankContext, mine: Any) -> list[Any]:
    """What every rank says, by rank."""
    if ctx.world_size == 1:
        return [mine]
    import torch.distributed as dist

    said: list[Any] = [None] * ctx.world_size
    dist.all_gather_object(said, mine)
    return said


def slowest_rank(ctx: RankContext, seconds: list[float]) -> list[float]:
    """The maximum over ranks of each iteration's time: a collective is done when its last rank is."""
    if ctx.world_size == 1:
        return seconds
    import torch
    import torch.distributed as dist

    slowest = torch.tensor(seconds, dtype=torch.float64, device=ctx.device)
    dist.all_reduce(slowest, op=dist.ReduceOp.MAX)
    return slowest.tolist()


def add_per_rank(
    ctx: RankContext,
    metric: str,
    samples: list[float],
    labels: dict[str, str | int | float | bool],
    bound: tuple[float, str] | None,
) -> None:
    """Add one measurement of `metric` for each rank to rank 0's, labelled with rank and device."""
    value, basis = bound if bound else (None, None)
    for rank, theirs in enumerate(gather_samples(ctx, samples)):
        device = ctx.devices[rank] if ctx.devices else str(ctx.device)
        ctx.measurements.append(
            measurement(metric, theirs, {"rank": rank, "device": device, **labels}, value, basis)
        )
