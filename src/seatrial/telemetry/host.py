"""Sensors of the host: energy of its processors and memory (RAPL), their utilisation, and this process's share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from seatrial.telemetry.sensors import Group, OpenSource, SensorAbsent, SensorFailed, single
from seatrial.units import GB

POWERCAP = Path("/sys/class/powercap")


def rapl(root: Path = POWERCAP) -> OpenSource:
    """RAPL's counters below `root`."""
    return lambda: Rapl(root)


def host_utilisation() -> OpenSource:
    """How busy all cores of the host are. It is the whole host's: one rank of each host should read it."""
    import psutil

    return lambda: _Host(psutil.cpu_times)


def process_utilisation() -> OpenSource:
    """CPU time and memory of this process (children, such as data loader workers, are not in it)."""
    import psutil

    return lambda: _Process(psutil.Process(os.getpid()))


class Rapl:
    """Energy counters of the kernel's powercap tree, which are the whole host's; mostly readable by root alone.

    `cpu` is the sum of all packages, `dram` of all memory controllers, which no package includes. Raises
    SensorAbsent where there is no package at `root`.
    """

    def __init__(self, root: Path) -> None:
        # intel-rapl-mmio counts the same packages once more, by another way
        found = {zone: _text(zone / "name") for zone in sorted(root.glob("intel-rapl:*"))}
        packages = [zone for zone, name in found.items() if name.startswith("package-")]
        if not packages:
            raise SensorAbsent(f"no RAPL package at {root}")
        memories = [zone for zone, name in found.items() if name == "dram"]
        self._domains = {"cpu": packages} | ({"dram": memories} if memories else {})

    def groups(self) -> list[Group]:
        """Energy and power of `cpu` and, where counted, of `dram`."""
        groups = []
        for device, zones in self._domains.items():
            counters = [_Counter(zone) for zone in zones]
            groups.append(single(device, "energy", _total(counters)))
            groups.append(single(device, "power", _Rate(_total([_Counter(zone) for zone in zones]))))
        return groups

    def close(self) -> None:
        """Nothing is held."""


class _Counter:
    """Joules since its first reading. The kernel counts microjoules and begins again at max_energy_range_uj."""

    def __init__(self, zone: Path) -> None:
        self._energy = zone / "energy_uj"
        self._range = _whole(zone / "max_energy_range_uj")
        self._last: int | None = None
        self._total = 0

    def __call__(self) -> float:
        now = _whole(self._energy)
        if self._last is not None:
            step = now - self._last
            self._total += step if step >= 0 else step + self._range
        self._last = now
        return self._total / 1e6


class _Rate:
    """How fast a counter grew since the last reading; the first one gives none."""

    def __init__(self, count: Callable[[], float]) -> None:
        self._count = count
        self._last: tuple[float, float] | None = None

    def __call__(self) -> float | None:
        now = (time.monotonic(), self._count())
        last, self._last = self._last, now
        if last is None or now[0] <= last[0]:
            return None
        return (now[1] - last[1]) / (now[0] - last[0])


class _Host:
    def __init__(self, cpu_times: Callable[[], Any]) -> None:
        self._cpu_times = cpu_times
        self._last: tuple[float, float] | None = None

    def groups(self) -> Sequence[Group]:
        return [single("cpu", "utilisation", self._utilisation)]

    def close(self) -> None:
        """Nothing is held."""

    def _utilisation(self) -> float | None:
        # psutil.cpu_percent keeps its last reading by thread, and its first answer is a 0.0 that nobody measured
        times = self._cpu_times()
        # on Linux a guest's time is counted in the user's too
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        now = (total, total - times.idle - getattr(times, "iowait", 0.0))
        last, self._last = self._last, now
        if last is None or now[0] <= last[0]:
            return None
        return min(100.0, max(0.0, 100.0 * (now[1] - last[1]) / (now[0] - last[0])))


class _Process:
    def __init__(self, process: Any) -> None:
        self._process = process
        self._rate = _Rate(self._cpu_seconds)

    def groups(self) -> Sequence[Group]:
        return [
            single("cpu", "process_utilisation", self._utilisation),
            single("cpu", "process_memory", lambda: self._process.memory_info().rss / GB),
        ]

    def close(self) -> None:
        """Nothing is held."""

    def _cpu_seconds(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system

    def _utilisation(self) -> float | None:
        share = self._rate()
        return None if share is None else 100.0 * share


def _total(counters: Sequence[Callable[[], float]]) -> Callable[[], float]:
    return lambda: sum(count() for count in counters)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except PermissionError as problem:
        raise SensorAbsent(f"{file} is not readable by this user") from problem
    except FileNotFoundError as problem:
        raise SensorAbsent(f"{file} is not there") from problem
    except (OSError, UnicodeDecodeError) as problem:
        raise SensorFailed(f"{file}: {problem}") from problem


def _whole(file: Path) -> int:
    text = _text(file)
    if not text.isdigit():
        raise SensorFailed(f"{file} holds {text!r}, not a whole number")
    return int(text)
