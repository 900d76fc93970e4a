"""Power, clocks and utilisation beside a command: what each rank's sampler reads, but for the rank's own process.

The rank itself only waits; its CPU time and memory would say nothing of the command.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import cast

from seatrial.measure.context import RankContext
from seatrial.record import Measurement
from seatrial.telemetry.sampler import Sampler
from seatrial.telemetry.series import Series, write_series
from seatrial.train.ranks import Ranks

OF_THE_RANK_ITSELF = "process_"


class Telemetry:
    """The sensors of this rank's device and, on the first rank of a node, of the host, read until `stack` ends."""

    def __init__(self, ctx: RankContext, interval_seconds: float | None, stack: contextlib.ExitStack) -> None:
        self._rank = ctx.rank
        self._sampler: Sampler | None = None
        if interval_seconds is not None:
            self._sampler = Sampler(ctx.device, interval_seconds, host=ctx.local_rank == 0)
            stack.enter_context(self._sampler)

    def measurements(self) -> list[Measurement]:
        """What this rank has read so far."""
        if self._sampler is None:
            return []
        found = self._sampler.measurements({"rank": self._rank})
        return [m for m in found if not m.metric.startswith(f"telemetry.{OF_THE_RANK_ITSELF}")]

    def of_all_ranks(self, ranks: Ranks, path: Path) -> list[Measurement]:
        """Stop sampling; what all ranks have read, on every rank. Rank 0 writes the series to `path`. All ranks
        call it."""
        if self._sampler is None:
            return []
        self._sampler.stop()
        series = [one for one in self._sampler.series() if not one.sensor.startswith(OF_THE_RANK_ITSELF)]
        told = cast(list[tuple[list[Measurement], list[Series]]], ranks.gathered((self.measurements(), series)))
        if ranks.first:
            write_series(path, [of_rank for _, of_rank in told])
        return [m for found, _ in told for m in found]
