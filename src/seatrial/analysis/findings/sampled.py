"""What was sampled of the devices beside the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.analysis.findings.observed import DeviceTelemetry
from seatrial.analysis.medians import Rows
from seatrial.analysis.once import once
from seatrial.analysis.order import group_medians

PREFIX = "telemetry."
PROCESSORS = ("cpu", "dram")
"""Devices that are no accelerators."""
FIGURES = ("sm_clock", "power", "utilisation", "temperature")


READ = tuple(f"{PREFIX}{name}" for name in (*FIGURES, "throttled"))
"""What of a record is looked at."""


Sensor = tuple[str, str, str]
"""Host, device, and what of it is sampled: a figure, or the reason for which its clock is held down."""
HELD = "throttled "
"""Begins the last of a Sensor where it is a reason."""


def sampled(repeats: Sequence[Rows]) -> tuple[DeviceTelemetry, ...]:
    """Medians over runs of each device's medians; hosts are those of each record's ranks. Accelerators only."""
    numbers: dict[Sensor, int] = once("numbers of sensors", dict)
    keys, values = [np.empty(0, dtype=np.int64)], [np.empty(0)]
    for repeat in repeats:
        own = _sensors(repeat, numbers)
        known = np.flatnonzero(own >= 0)
        keys.append(own[known])
        values.append(repeat.columns.medians(repeat.rows[known]))
    found, medians = group_medians(np.concatenate(keys), np.concatenate(values))
    sensors = list(numbers)
    figures: dict[tuple[str, str], dict[str, float]] = {}
    for key, value in zip(found.tolist(), medians.tolist(), strict=True):
        host, device, name = sensors[key]
        figures.setdefault((host, device), {})[name] = value
    return tuple(_device(*place, figures[place]) for place in sorted(figures))


def _device(host: str, device: str, own: Mapping[str, float]) -> DeviceTelemetry:
    throttled = {name.removeprefix(HELD): own[name] for name in sorted(own) if name.startswith(HELD)}
    share = own["utilisation"] / 100 if "utilisation" in own else None
    return DeviceTelemetry(
        host, device, throttled, own.get("sm_clock"), own.get("power"), share, own.get("temperature")
    )


def _sensors(repeat: Rows, numbers: dict[Sensor, int]) -> NDArray[np.int64]:
    """[rows]: the number of the sensor that each is of, -1 of none that counts. The same for repeats on the same
    hosts that sampled the same."""
    of, rows = repeat.columns, repeat.rows
    metrics, labels = of.metric[rows], of.labels[rows]
    key = "sensors", id(of), repeat.hosts, metrics.tobytes(), labels.tobytes()

    def found() -> NDArray[np.int64]:
        sensors = [
            _sensor(of.texts[metric], of.labels_of(code), repeat.hosts)
            for metric, code in zip(metrics.tolist(), labels.tolist(), strict=True)
        ]
        own = [-1 if sensor is None else numbers.setdefault(sensor, len(numbers)) for sensor in sensors]
        return np.array(own, dtype=np.int64)

    return once(key, found)


def _sensor(metric: str, labels: Mapping[str, Any], hosts: Sequence[str]) -> Sensor | None:
    device, rank = labels.get("device"), labels.get("rank")
    if metric not in READ or device in (None, *PROCESSORS):
        return None
    host = hosts[rank] if isinstance(rank, int) and rank < len(hosts) else "unknown"
    name = metric.removeprefix(PREFIX)
    return host, str(device), f"{HELD}{labels.get('reason')}" if name == "throttled" else name
