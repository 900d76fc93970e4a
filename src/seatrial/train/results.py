"""What a training leaves however it ends: measurements and quality in the record, the last line of its log."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from seatrial.config.training import Training
from seatrial.measure.context import RankContext
from seatrial.mllog import TrainingLog
from seatrial.record import Measurement, measurement
from seatrial.train.beside import Beside, Telemetry
from seatrial.train.history import History
from seatrial.train.ranks import Ranks
from seatrial.train.utilisation import utilisation_measurements

if TYPE_CHECKING:
    from seatrial.train.flops import FlopCount, Undefined


class Results:
    """Everything measured by one training, brought into the context when its record is written.

    The training itself concludes; where another rank ended it the thread that writes the record does.
    """

    def __init__(
        self, ctx: RankContext, workload: Training, flops: FlopCount | Undefined | None, history: History,
        log: TrainingLog | None, telemetry: Telemetry, beside: Beside,
    ) -> None:  # fmt: skip
        self._ctx, self._workload, self._flops, self._history = ctx, workload, flops, history
        self._log, self._telemetry, self._beside = log, telemetry, beside
        self._lock = threading.Lock()
        self._concluded = False
        self._sampled: list[Measurement] | None = None
        self._clock: list[Measurement] = []

    def conclude(self, ranks: Ranks | None) -> None:
        """The training has ended. `ranks`: all of them call this, so that what each sampled can be brought here."""
        history = self._history
        with self._lock:
            if self._concluded:
                return
            self._concluded = True
            if self._log is not None:
                success = history.reached and ranks is not None
                self._log.run_stop(
                    "success" if success else "aborted", history.samples, history.step, history.minutes
                )
                if success:
                    self._clock = [measurement("train.mlperf_minutes", [self._log.run_minutes()])]
        # Without the lock: a rank that is waited for may be gone, and another thread then writes the record.
        sampled = self._telemetry.conclude(ranks)
        with self._lock:
            self._sampled = sampled
            self._bring()

    def refresh(self) -> None:
        """Bring what there is into the context; from any thread."""
        self.conclude(None)
        with self._lock:
            self._bring()

    def _bring(self) -> None:
        sampled = self._telemetry.stop()[1] if self._sampled is None else self._sampled
        found = [*self._history.measurements(), *self._utilisation(), *self._beside.profile, *self._beside.own]
        self._ctx.measurements[:] = [*found, *self._clock, *sampled]
        self._ctx.quality = self._history.quality()

    def _utilisation(self) -> list[Measurement]:
        """One value for each stretch, or in the record's provenance why there is none."""
        rates = list(self._history.rates)
        if not rates:
            return []
        target = self._ctx.case.target
        found, refused = utilisation_measurements(self._flops, rates, target, self._workload.dtype)
        if refused is not None:
            self._ctx.facts["utilisation"] = refused
        return found
