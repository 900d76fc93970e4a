"""Sensors of an AMD accelerator, through AMD SMI (package amdsmi, which comes with ROCm and fits its driver).

All of them are the socket's: where it is partitioned, its partitions share one power, energy and clock.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from seatrial.telemetry.accelerator import Accelerator
from seatrial.telemetry.sensors import Group, OpenSource, Sensor, SensorAbsent, SensorFailed, single
from seatrial.units import GB

log = logging.getLogger(__name__)

STATUS_NOT_SUPPORTED = 2
STATUS_NOT_YET_IMPLEMENTED = 3
STATUS_NO_PERM = 10
"""Of amdsmi_status_t; the package does not export the numbers."""
ABSENT = (STATUS_NOT_SUPPORTED, STATUS_NOT_YET_IMPLEMENTED, STATUS_NO_PERM)

THROTTLING = {
    "power_cap": "active_ppt_pwr",
    "thermal_slowdown": "active_socket_thrm",
    "memory_thermal_slowdown": "active_hbm_thrm",
    "regulator_thermal_slowdown": "active_vr_thrm",
    "hardware_slowdown": "active_prochot_thrm",
}
"""Our words for AMD SMI's violations (MI300 and later)."""
NO_WATTS = 0xFFFF
"""Stands for no reading, as does any larger number."""


def amd_smi(accelerator: Accelerator) -> OpenSource:
    """Import AMD SMI now; the result opens `accelerator`'s sensors later. Raises SensorAbsent without it."""
    try:
        module = importlib.import_module("amdsmi")
    # importing it loads ROCm's library: a KeyError without one, an AttributeError with one of another release
    except (ImportError, OSError, KeyError, AttributeError) as problem:
        raise SensorAbsent(f"the package amdsmi does not load: {type(problem).__name__}: {problem}") from problem
    return lambda: AmdSmi(accelerator, module)


class AmdSmi:
    """The sensors of one AMD accelerator. Raises SensorAbsent where AMD SMI or the device is not to be had."""

    def __init__(self, accelerator: Accelerator, module: ModuleType | Any) -> None:
        self._smi = module
        self._name = accelerator.name
        if accelerator.pci is None:
            raise SensorAbsent(f"torch does not say the PCI address of {accelerator.name}")
        try:
            module.amdsmi_init()
        except module.AmdSmiException as problem:
            raise SensorAbsent(f"AMD SMI does not start: {_words(problem)}") from problem
        try:
            self._handle = module.amdsmi_get_processor_handle_from_bdf(accelerator.pci)
        except module.AmdSmiException as problem:
            self.close()
            raise SensorAbsent(f"AMD SMI does not know {accelerator}: {_words(problem)}") from problem

    def groups(self) -> list[Group]:
        """Energy, power, clocks, utilisation, memory, temperature and what throttles."""
        smi, name = self._smi, self._name

        def one(sensor: str, read: Callable[[], float | None]) -> Group:
            return single(name, sensor, lambda: self._asked(read))

        return [
            one("energy", self._energy),
            one("power", self._power),
            one("sm_clock", lambda: self._clock(smi.AmdSmiClkType.GFX)),
            one("memory_clock", lambda: self._clock(smi.AmdSmiClkType.MEM)),
            one("memory_used", self._memory_used),
            one("temperature", self._temperature),
            Group((Sensor(name, "utilisation"), Sensor(name, "memory_activity")), self._activity),
            Group(tuple(Sensor(name, f"throttled.{reason}") for reason in THROTTLING), self._throttling),
        ]

    def close(self) -> None:
        """End our use of AMD SMI."""
        try:
            self._smi.amdsmi_shut_down()
        except self._smi.AmdSmiException as problem:
            log.warning("AMD SMI did not shut down: %s", _words(problem))

    def _asked(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except self._smi.AmdSmiLibraryException as problem:
            kind = SensorAbsent if problem.get_error_code() in ABSENT else SensorFailed
            raise kind(_words(problem)) from problem

    def _energy(self) -> float | None:
        """Joules since the driver was loaded: a count times its resolution, which is in microjoules."""
        found = self._smi.amdsmi_get_energy_count(self._handle)
        if "energy_accumulator" not in found:
            raise SensorAbsent("this release of AMD SMI names its energy counter otherwise")
        return found["energy_accumulator"] * found["counter_resolution"] / 1e6

    def _power(self) -> float | None:
        """Watts: MI300 and later say what it is now, MI200 and earlier its average."""
        found = self._smi.amdsmi_get_power_info(self._handle)
        for name in ("current_socket_power", "average_socket_power"):
            watts = _number(found.get(name))
            if watts is not None and 0 < watts < NO_WATTS:
                return watts
        return None

    def _clock(self, kind: Any) -> float | None:
        return _number(self._smi.amdsmi_get_clock_info(self._handle, kind)["clk"])

    def _memory_used(self) -> float:
        return self._smi.amdsmi_get_gpu_memory_usage(self._handle, self._smi.AmdSmiMemoryType.VRAM) / GB

    def _temperature(self) -> float:
        smi = self._smi
        return smi.amdsmi_get_temp_metric(
            self._handle, smi.AmdSmiTemperatureType.HOTSPOT, smi.AmdSmiTemperatureMetric.CURRENT
        )

    def _activity(self) -> Sequence[float | None]:
        found = self._asked(lambda: self._smi.amdsmi_get_gpu_activity(self._handle))
        return _number(found["gfx_activity"]), _number(found["umc_activity"])

    def _throttling(self) -> list[float | None]:
        """Takes 100 ms, waiting in the library: it compares two readings of its own."""
        found = self._asked(lambda: self._smi.amdsmi_get_violation_status(self._handle))
        return [_number(found.get(name)) for name in THROTTLING.values()]


def _number(value: object) -> float | None:
    """`value` as a float; None for AMD SMI's "N/A"."""
    return float(value) if isinstance(value, bool | int | float) else None


def _words(problem: Exception) -> str:
    return " ".join(str(problem).split())
