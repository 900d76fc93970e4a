"""What a sensor is, and the two ways in which it gives no value: it is not there, or it failed this time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class SensorAbsent(Exception):
    """This machine, driver or permission has no such sensor: it is left out, and no value stands for it."""


class SensorFailed(Exception):
    """A sensor that exists gave no value this time."""


class Sensor(NamedTuple):
    """One quantity of one device.

    `name` is the metric without `telemetry.`; `throttled.<reason>` is 1.0 while that reason holds, else 0.0.
    """

    device: str
    """The accelerator as torch names it (`cuda:0`), `cpu` (all processors of the host) or `dram`."""
    name: str

    def __str__(self) -> str:
        return f"{self.name} of {self.device}"


@dataclass(frozen=True)
class Group:
    """Sensors that one call reads. `read` gives one value for each, None where one has none this time.

    `read` raises SensorAbsent or SensorFailed; any other exception is a fault of ours and ends the sampling.
    """

    sensors: tuple[Sensor, ...]
    read: Callable[[], Sequence[float | None]]

    @property
    def counts_energy(self) -> bool:
        """Whether it reads joules that only grow: read first, and whenever the training clock starts or stops."""
        return any(sensor.name == "energy" for sensor in self.sensors)

    def __str__(self) -> str:
        return ", ".join(str(sensor) for sensor in self.sensors)


class Source(Protocol):
    """A library or file tree that sensors are read from."""

    def groups(self) -> Sequence[Group]:
        """Its sensors, by call."""

    def close(self) -> None:
        """Give back what opening took."""


OpenSource = Callable[[], Source]
"""Opens a source on the sampler's thread; raises SensorAbsent where this machine has none."""


def single(device: str, name: str, read: Callable[[], float | None]) -> Group:
    """A group of one sensor."""
    return Group((Sensor(device, name),), lambda: (read(),))
