"""Whether there is memory for what a probe is about to allocate: said before it tries, in words."""

from __future__ import annotations

from typing import Literal

from seatrial.errors import MeasurementFailed
from seatrial.measure.capacity import available_bytes
from seatrial.measure.context import RankContext

GIB = 1024**3


def require_room(
    ctx: RankContext, size: int, what: str, key: str, where: Literal["device", "host"] = "device"
) -> None:
    """Raise MeasurementFailed (out_of_memory) where `size` bytes for `what` are more than this rank may allocate.

    `key` is the parameter that decides the size. On a CPU the ranks of a node share its memory evenly.
    """
    import torch

    device = torch.device("cpu") if where == "host" else ctx.device
    available, whose = available_bytes(device, ctx.case.target.tasks_per_node)
    if size > available:
        raise MeasurementFailed(
            "out_of_memory",
            f"{what} take {size / GIB:.3g} GiB on rank {ctx.rank}, and {available / GIB:.3g} GiB are available "
            f"({whose}); lower {key}. Nothing was allocated for it",
        )
