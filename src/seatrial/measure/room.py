"""Whether there is memory for what a probe is about to allocate: said before it tries, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from seatrial.config.local import usable_memory_mb
from seatrial.errors import MeasurementFailed
from seatrial.measure.context import RankContext
from seatrial.units import MIB

if TYPE_CHECKING:
    import torch

RESERVE = 0.95
"""Of the memory that is free, how much may be asked for: libraries need room of their own."""
GIB = 1024**3


def require_room(
    ctx: RankContext, size: int, what: str, key: str, where: Literal["device", "host"] = "device"
) -> None:
    """Raise MeasurementFailed (out_of_memory) where `size` bytes for `what` are more than is free.

    `key` is the parameter that decides the size. On a CPU the ranks of a node share its memory evenly.
    """
    on_host = where == "host" or ctx.device.type == "cpu"
    free = host_memory(ctx.case.target.tasks_per_node) if on_host else device_memory(ctx.device)
    if size <= RESERVE * free:
        return
    place = "this host for each of its ranks" if on_host else str(ctx.device)
    raise MeasurementFailed(
        "out_of_memory",
        f"{what} take {size / GIB:.3g} GiB, more than the {free / GIB:.3g} GiB that are free on {place}; "
        f"lower {key} (allowed here: at most {RESERVE * free / GIB:.3g} GiB)",
    )


def device_memory(device: torch.device) -> int:
    """Bytes that are free on an accelerator."""
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    return int(free)


def host_memory(tasks: int) -> int:
    """Bytes of this host's memory that are free for each of its `tasks` ranks, within the control group's limit."""
    import psutil

    return min(int(psutil.virtual_memory().available), usable_memory_mb() * MIB) // tasks
