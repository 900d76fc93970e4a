"""What stands beside a training and is told of its pauses: telemetry, a profile, the workload's own figures."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.config.training import Training
from seatrial.measure.context import RankContext
from seatrial.record import Measurement, measurement
from seatrial.telemetry.sampler import Sampler
from seatrial.telemetry.series import Series, write_series
from seatrial.train.history import History
from seatrial.train.learner import Learner
from seatrial.train.overlap import start_profile, stop_profile
from seatrial.train.ranks import Ranks

if TYPE_CHECKING:
    from torch.profiler import profile

log = logging.getLogger(__name__)

READINGS = "telemetry.parquet"


class Telemetry:
    """Power, clocks and utilisation of every rank, brought together on rank 0. No fault here ends a training."""

    def __init__(self, ctx: RankContext, interval_seconds: float | None) -> None:
        self._rank, self._path = ctx.rank, ctx.beside(READINGS)
        self._sampler: Sampler | None = None
        if interval_seconds is not None:
            try:
                host = ctx.local_rank == 0
                self._sampler = Sampler(ctx.device, interval_seconds, host=host, paused=True)
                self._sampler.start()
            except (ValueError, RuntimeError, OSError, ImportError) as problem:
                self._sampler = None
                log.warning("telemetry: nothing is sampled: %s", problem)

    def resume(self) -> None:
        """The training clock runs."""
        if self._sampler is not None:
            self._sampler.resume()

    def pause(self) -> None:
        """The training clock stands still."""
        if self._sampler is not None:
            self._sampler.pause()

    def totals(self) -> dict[str, Any] | None:
        """This rank's seconds and energy so far, those of earlier attempts included."""
        return None if self._sampler is None else self._sampler.state()

    def restore(self, totals: dict[str, Any] | None) -> None:
        """Count on from the totals of the attempts before."""
        if self._sampler is not None and totals is not None:
            self._sampler.restore(totals)

    def stop(self) -> tuple[list[Series], list[Measurement]]:
        """End the sampling on this rank: all readings, and what they come to. It may be called again."""
        if self._sampler is None:
            return [], []
        self._sampler.stop()
        return self._sampler.series(), self._sampler.measurements({"rank": self._rank})

    def conclude(self, ranks: Ranks | None) -> list[Measurement]:
        """The measurements of all `ranks` (None: of this one, the others may be gone), and the file on rank 0.

        Called on all ranks where `ranks` are given; the others get what they do not need.
        """
        mine = self.stop()
        everyone = [mine] if ranks is None else ranks.gathered_on_first(mine)
        if self._rank == 0:
            _write(self._path, [series for series, _ in everyone])
        return [m for _, found in everyone for m in found]


class Beside:
    """The loop's watcher. `own` is what the workload measured of itself, as of the last pause."""

    def __init__(self, learner: Learner, telemetry: Telemetry, profiled: range) -> None:
        self._learner, self._telemetry, self._profiled = learner, telemetry, profiled
        self._profiler: profile | None = None
        self.own: list[Measurement] = []
        self.profile: list[Measurement] = []

    def training(self, history: History) -> None:
        """A stretch of training begins."""
        if self._profiled and history.step == self._profiled.start:
            self._profiler = start_profile()
        self._telemetry.resume()

    def paused(self, history: History) -> None:
        """A stretch has ended. All ranks call it: what is measured may have to be added up over them."""
        self._telemetry.pause()
        if self._profiler is not None:
            found = stop_profile(self._profiler)
            self._profiler = None
            steps = history.step - self._profiled.start
            everyone = self._learner.layout.ranks.gathered((found.communication / steps, found.exposed / steps))
            self.profile = profile_measurements(everyone)
        self.own = self._learner.objective.measurements()


def profile_measurements(ranks: list[Any]) -> list[Measurement]:
    """Of each rank's seconds per step in (communication, exposed communication)."""
    found = []
    for rank, (communication, exposed) in enumerate(ranks):
        found.append(measurement("train.profiled_communication_time", [communication], {"rank": rank}))
        found.append(measurement("train.profiled_exposed_communication_time", [exposed], {"rank": rank}))
    return found


def plan_profile(workload: Training, device: str, first: int) -> range:
    """The steps to profile: those after the first pause (at step `first`), on accelerators only."""
    steps = workload.profiled_steps(device == "cuda")
    return range(first, min(first + steps, workload.max_steps)) if steps else range(0)


def _write(path: Path, ranks: list[list[Series]]) -> None:
    try:
        write_series(path, ranks)
    except OSError as problem:
        log.warning("telemetry: %s could not be written: %s", path.name, problem)
