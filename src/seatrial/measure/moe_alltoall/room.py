"""Whether the rows of the busiest iteration fit into a rank's memory, before anything is allocated."""

from __future__ import annotations

from seatrial.config.probe import MoeAlltoall
from seatrial.measure import room
from seatrial.measure.context import RankContext
from seatrial.measure.moe_alltoall.rows import AT_ONCE
from seatrial.measure.moe_alltoall.traffic import Traffic
from seatrial.measure.moe_alltoall.volumes import row_bytes

SPARE = 9 / 8
"""Memory for what comes is made an eighth larger than was needed so far."""
CHECKING = 8 * 4 * AT_ONCE
"""What a check holds at once: some float32 copies of a piece."""


def require_room(ctx: RankContext, workload: MoeAlltoall, traffic: Traffic) -> None:
    """Raise MeasurementFailed (out_of_memory) where this rank cannot hold what it sends and receives.

    Packed rows and the outputs that come back for each of its choices; rows and outputs for each that it receives;
    the weighted sum of each token.
    """
    leaving = int(traffic.rows[:, ctx.rank].sum(axis=1).max())
    coming = int(traffic.rows[:, :, ctx.rank].sum(axis=1).max())
    dispatch, combine = (row_bytes(workload, direction).row for direction in ("dispatch", "combine"))
    sums = -(-leaving // workload.top_k) * workload.hidden_size * 4
    needed = int(SPARE * (leaving + coming) * (dispatch + combine) + SPARE * sums) + CHECKING
    rows = f"{leaving} rows to send and {coming} to receive"
    room.require_room(ctx, needed, rows, "workload.tokens, top_k or hidden_size")
