"""Telemetry beside a run: one daemon thread on each rank reads its accelerator's and its host's sensors.

What each figure covers:

- *run*: from the sampler's first reading (`start` waits for it) to its last (`stop`).
- *training*: the part of it in which the training clock ran, told by `pause` and `resume`.
- `telemetry.energy` of `cuda:N` is that accelerator's board (AMD: its socket), of `cpu` and `dram` the whole
  host's, with whatever else runs there. Fans, network, power supplies and cooling are in none of them, and
  figures of different devices are never added here.
- All other metrics are the readings before which the training clock ran since the reading before. The series
  (`<repeat>.telemetry.parquet`) has all readings.

A resumed run: readings are of this attempt. Energy adds up if the checkpoint's `state` is given to `restore`; what
an attempt spent after its last checkpoint is lost with it, as are the steps that it trained there.
"""

from __future__ import annotations

import bisect
import logging
import queue
import threading
import time
from array import array
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from seatrial.config.metrics import METRICS
from seatrial.record import Measurement, measurement
from seatrial.telemetry.accelerator import Device, accelerator_of
from seatrial.telemetry.amd import amd_smi
from seatrial.telemetry.host import host_utilisation, process_utilisation, rapl
from seatrial.telemetry.nvml import nvml
from seatrial.telemetry.rounds import Rounds, open_sources
from seatrial.telemetry.sensors import OpenSource, Sensor, SensorAbsent, Source
from seatrial.telemetry.series import Series, Span, energy_within, measurements_of

log = logging.getLogger(__name__)

SHORTEST_GAP_SECONDS = 0.1
"""Averages between two readings (GPM, CPU time) over less say nothing."""
SLACK_SECONDS = 2.0
"""How far a busy host may delay a reading before a counter counts as silent."""
Totals = dict[str, Any]
"""`seconds` by scope (run, training) and `energy` (J) by device and scope: plain data for a checkpoint."""


def sources_of(device: Device, *, host: bool) -> list[OpenSource]:
    """What can be read beside a run on `device`; `host` adds the host's own sensors. Imports happen here."""
    sources: list[OpenSource] = []
    accelerator = accelerator_of(device)
    if accelerator is not None:
        try:
            sources.append((amd_smi if accelerator.vendor == "amd" else nvml)(accelerator))
        except SensorAbsent as reason:
            log.warning("telemetry: none of %s: %s", accelerator.name, reason)
    if host:
        sources += [rapl(), host_utilisation()]
    return [*sources, process_utilisation()]


class Sampler:
    """Samples the sensors of `device` (a torch.device) every `interval_seconds` on a thread of its own.

    `host` says whether this rank also reads what is the whole host's: True on one rank of each host. `paused`
    starts with the training clock stopped. `sources` replaces what is read. Nothing here ends or holds up the run:
    a sensor that is absent or fails is left out and said so in the log; the calls below never touch a sensor, and
    `start` and `stop` wait `timeout_seconds` at most. Raises ValueError for an interval outside 0 to 60 s.
    """

    def __init__(
        self,
        device: Device,
        interval_seconds: float = 1.0,
        *,
        host: bool = True,
        paused: bool = False,
        timeout_seconds: float = 5.0,
        sources: Sequence[OpenSource] | None = None,
    ) -> None:
        if not 0.0 < interval_seconds <= 60.0:
            raise ValueError(f"interval_seconds is {interval_seconds}; allowed: more than 0, at most 60")
        self._device, self._host, self._sources = device, host, sources
        self._interval, self._timeout = interval_seconds, timeout_seconds
        self._inbox: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._first_read = threading.Event()
        self._lock = threading.Lock()
        self._readings: dict[Sensor, tuple[array[float], array[float]]] = {}
        self._clock_marks: list[tuple[float, bool]] = [(0.0, not paused)]
        self._thread: threading.Thread | None = None
        self._begin: float | None = None
        self._opened: float | None = None
        self._end: float | None = None
        self._earlier: Totals | None = None
        self._told: set[str] = set()
        self.cpu_seconds = 0.0
        """CPU time that the thread has used so far."""

    def start(self) -> None:
        """Start to sample; returns once every sensor was read for the first time, or after the time-out."""
        sources = self._sources if self._sources is not None else sources_of(self._device, host=self._host)
        self._begin = time.monotonic()
        self._thread = threading.Thread(target=self._run, args=(sources,), name="telemetry", daemon=True)
        self._thread.start()
        if not self._first_read.wait(self._timeout):
            log.warning("telemetry: no first reading within %g s; the run does not wait for it", self._timeout)

    def stop(self) -> None:
        """Read a last time and end; after the time-out the thread is left alone (it ends with the process)."""
        if self._thread is None or self._end is not None:
            return
        died = not self._thread.is_alive()
        self._end = self._now()
        self._inbox.put("stop")
        self._thread.join(self._timeout)
        if died:
            log.warning("telemetry ended before the run did; its error stands above")
        elif self._thread.is_alive():
            log.warning("telemetry: a sensor does not answer; the last readings are missing")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def pause(self) -> None:
        """The training clock stops (an evaluation, a checkpoint). Sampling goes on."""
        self._mark(False)

    def resume(self) -> None:
        """The training clock runs again."""
        self._mark(True)

    def series(self) -> list[Series]:
        """All readings so far, by sensor; energy is in joules since the first reading of this attempt."""
        with self._lock:
            kept = [(sensor, list(times), list(values)) for sensor, (times, values) in self._readings.items()]
            at, running = zip(*self._clock_marks, strict=True)
        found = []
        for sensor, times, values in kept:
            if sensor.name == "energy":
                values = [value - values[0] for value in values]
            # a reading may be an average since the one before: the clock must have run all that time
            mark = [bisect.bisect_right(at, t) - 1 for t in times]
            training = [running[now] and now == last for last, now in zip([*mark[:1], *mark], mark, strict=False)]
            unit = METRICS[f"telemetry.{sensor.name.partition('.')[0]}"].unit
            found.append(Series(sensor.device, sensor.name, unit, times, values, training))
        return found

    def measurements(self, labels: dict[str, str | int | float | bool]) -> list[Measurement]:
        """What was measured, with `labels` (rank) and the label device on each; call it after `stop`."""
        found = measurements_of(self.series(), labels)
        for device, by_scope in self.state()["energy"].items():
            for scope, joules in by_scope.items():
                named = {**labels, "device": device, "scope": scope}
                found.append(measurement("telemetry.energy", [joules], named))
        return found

    def state(self) -> Totals:
        """Totals of this attempt and of those restored, for the checkpoint: seconds and energy by scope.

        Energy is that up to the last reading, as a rule at most one interval ago. A device whose counter stopped
        answering, in this attempt or in one before, has none: part of a sum is not the sum.
        """
        now = self._now() if self._end is None else self._end
        # opening a vendor's library can take seconds, and the run has not begun then
        opened = now if self._opened is None else self._opened
        training = [(max(begin, opened), max(end, opened)) for begin, end in self._training(now)]
        spans = {"run": [(opened, now)], "training": training}
        energy = {}
        for one in self.series():
            if one.sensor != "energy":
                continue
            if self._is_stale(one.time_s[-1], now):
                self._tell(
                    f"energy of {one.device} is unknown: its counter was last read {now - one.time_s[-1]:.1f} s ago"
                )
                continue
            energy[one.device] = {s: energy_within(one.time_s, one.value, parts) for s, parts in spans.items()}
        seconds = {scope: sum(end - begin for begin, end in parts) for scope, parts in spans.items()}
        return self._with_earlier(seconds, energy)

    def restore(self, state: Totals) -> None:
        """Take up the totals of the attempts before, as `state` gave them."""
        self._earlier = state

    def _now(self) -> float:
        return 0.0 if self._begin is None else time.monotonic() - self._begin

    def _mark(self, running: bool) -> None:
        with self._lock:
            if self._clock_marks[-1][1] == running:
                return
            self._clock_marks.append((self._now(), running))
        self._inbox.put("clock")

    def _training(self, end: float) -> list[Span]:
        with self._lock:
            marks = list(self._clock_marks)
        ends = [*[at for at, _ in marks[1:]], end]
        return [(at, until) for (at, running), until in zip(marks, ends, strict=True) if running]

    def _is_stale(self, last: float, now: float) -> bool:
        """Whether a counter last read at `last` misses energy: after `stop` its last reading must be there."""
        return last < now - (max(2 * self._interval, SLACK_SECONDS) if self._end is None else 0.0)

    def _with_earlier(self, seconds: dict[str, float], energy: dict[str, dict[str, float]]) -> Totals:
        if self._earlier is None:
            return {"seconds": seconds, "energy": energy}
        before = self._earlier["energy"]
        for device in before.keys() ^ energy.keys():
            self._tell(f"energy of {device} is unknown: not every attempt of this run could read it")
        both = [device for device in energy if device in before]
        return {
            "seconds": {scope: self._earlier["seconds"][scope] + value for scope, value in seconds.items()},
            "energy": {d: {scope: before[d][scope] + joules for scope, joules in energy[d].items()} for d in both},
        }

    def _tell(self, words: str) -> None:
        """Log a warning once, whatever its figures."""
        about = words.partition(":")[0]
        if about not in self._told:
            self._told.add(about)
            log.warning("telemetry: %s", words)

    def _run(self, openers: Sequence[OpenSource]) -> None:
        """The thread. An exception here is a fault of ours: Python prints it, the run goes on without telemetry."""
        sources: list[Source] = []
        try:
            rounds = Rounds(open_sources(openers, sources), self._now, self._keep)
            self._opened = self._now()
            rounds.read_all()
            self._first_read.set()
            self._listen(rounds)
        finally:
            self._first_read.set()
            for source in sources:
                source.close()

    def _listen(self, rounds: Rounds) -> None:
        """Read everything every interval, and energy at once where the training clock starts or stops."""
        last = due = self._now()
        word = ""
        while word != "stop":
            while due <= self._now():
                due += self._interval
            try:
                word = self._inbox.get(timeout=max(0.0, due - self._now()))
            except queue.Empty:
                word = "time"
            if word == "time" or (word == "stop" and self._now() - last >= SHORTEST_GAP_SECONDS):
                last = self._now()
                rounds.read_all()
            else:
                rounds.read_energy()
            self.cpu_seconds = time.thread_time()

    def _keep(self, sensor: Sensor, at: float, value: float) -> None:
        with self._lock:
            times, values = self._readings.setdefault(sensor, (array("d"), array("d")))
            times.append(at)
            values.append(value)
