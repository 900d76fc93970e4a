"""Reading sensors round by round: what each failure means, so that none of them ends the sampling."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence

from seatrial.telemetry.sensors import Group, OpenSource, Sensor, SensorAbsent, SensorFailed, Source

log = logging.getLogger(__name__)

FAILURES_IN_A_ROW = 10
"""After so many a sensor is not asked again."""


def open_sources(openers: Sequence[OpenSource], opened: list[Source]) -> list[Group]:
    """Open what can be opened, adding it to `opened` for the caller to close; the groups of all of it."""
    groups: list[Group] = []
    for opener in openers:
        try:
            source = opener()
            opened.append(source)
            groups.extend(source.groups())
        except (SensorAbsent, SensorFailed) as reason:
            log.info("telemetry: %s", reason)
    return groups


class Rounds:
    """Reads groups and hands every value that is a number to `keep(sensor, at, value)`, `at` from `clock`."""

    def __init__(
        self, groups: Sequence[Group], clock: Callable[[], float], keep: Callable[[Sensor, float, float], None]
    ) -> None:
        # energy first: its reading belongs to a moment, the others to a while
        self._groups = sorted(groups, key=lambda group: not group.counts_energy)
        self._clock, self._keep = clock, keep
        self._failures: dict[Group, int] = {}
        self._counted: dict[Sensor, float] = {}

    def read_all(self) -> None:
        """Read every sensor that is still there."""
        for group in list(self._groups):
            self._read(group)

    def read_energy(self) -> None:
        """Read the energy counters only."""
        for group in [group for group in self._groups if group.counts_energy]:
            self._read(group)

    def _read(self, group: Group) -> None:
        at = self._clock()
        try:
            values = group.read()
        except SensorAbsent as reason:
            log.info("telemetry: no %s: %s", group, reason)
            self._groups.remove(group)
            return
        except SensorFailed as reason:
            self._failed(group, reason)
            return
        self._failures.pop(group, None)
        for sensor, value in zip(group.sensors, values, strict=True):
            if value is None or not math.isfinite(value):
                continue
            if sensor.name == "energy" and value < self._counted.get(sensor, 0.0):
                log.warning("telemetry: %s went back (the driver was loaded again?); it is not read on", sensor)
                self._groups.remove(group)
                return
            self._counted[sensor] = value
            self._keep(sensor, at, float(value))

    def _failed(self, group: Group, reason: SensorFailed) -> None:
        self._failures[group] = failures = self._failures.get(group, 0) + 1
        if failures == 1:
            log.warning("telemetry: %s failed: %s", group, reason)
        if failures >= FAILURES_IN_A_ROW:
            log.warning("telemetry: %s failed %d times in a row; it is not read on", group, failures)
            self._groups.remove(group)
