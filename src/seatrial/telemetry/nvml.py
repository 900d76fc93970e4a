"""Sensors of an NVIDIA accelerator, through NVML (package nvidia-ml-py).

Power is NVML's own: from Ampere on an average over one second. Energy is the driver's counter since it was
loaded, which misses nothing between readings. GPM (Hopper and later) gives averages between two readings.
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

ABSENT = (
    "NVML_ERROR_NOT_SUPPORTED",
    "NVML_ERROR_NO_PERMISSION",
    "NVML_ERROR_FUNCTION_NOT_FOUND",
    "NVML_ERROR_ARGUMENT_VERSION_MISMATCH",
    "NVML_ERROR_DEPRECATED",
)
"""Errors that do not go away: the device, the driver or our rights have no such sensor."""
UNKNOWN_CALL = ("NVML_ERROR_FUNCTION_NOT_FOUND", "NVML_ERROR_ARGUMENT_VERSION_MISMATCH")

THROTTLING = {
    "power_cap": "nvmlClocksEventReasonSwPowerCap",
    "hardware_slowdown": "nvmlClocksEventReasonHwSlowdown",
    "thermal_slowdown": "nvmlClocksEventReasonSwThermalSlowdown",
    "hardware_thermal_slowdown": "nvmlClocksEventReasonHwThermalSlowdown",
    "power_brake": "nvmlClocksEventReasonHwPowerBrakeSlowdown",
}
"""Our words for NVML's reasons that hold a clock down. Idle and a clock that somebody set are none."""

GPM = {
    "sm_utilisation": "NVML_GPM_METRIC_SM_UTIL",
    "tensor_utilisation": "NVML_GPM_METRIC_ANY_TENSOR_UTIL",
    "memory_bandwidth_utilisation": "NVML_GPM_METRIC_DRAM_BW_UTIL",
}


def nvml(accelerator: Accelerator) -> OpenSource:
    """Import NVML's bindings now; the result opens `accelerator`'s sensors later, on the sampler's thread."""
    module = importlib.import_module("pynvml")
    return lambda: Nvml(accelerator, module)


class Nvml:
    """The sensors of one NVIDIA accelerator. Raises SensorAbsent where NVML or the device is not to be had."""

    def __init__(self, accelerator: Accelerator, module: ModuleType | Any) -> None:
        self._nvml = module
        self._name = accelerator.name
        self._samples: list[Any] = []
        self._sampled = False
        self._absent = {getattr(module, name) for name in ABSENT}
        self._unknown_call = {getattr(module, name) for name in UNKNOWN_CALL}
        try:
            module.nvmlInit()
        except module.NVMLError as problem:
            raise SensorAbsent(f"NVML does not start: {problem}") from problem
        try:
            self._handle = self._find(accelerator)
        except SensorAbsent:
            self.close()
            raise

    def groups(self) -> list[Group]:
        """Power, energy, clocks, utilisation, memory, temperature, what throttles, and GPM where there is any."""
        nvml, device, name = self._nvml, self._handle, self._name

        def one(sensor: str, read: Callable[[], float]) -> Group:
            return single(name, sensor, lambda: self._asked(read))

        def temperature() -> float:
            return self._newer_or_older(
                lambda: nvml.nvmlDeviceGetTemperatureV(device, nvml.NVML_TEMPERATURE_GPU),
                lambda: nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU),
            )

        def memory_used() -> float:
            # version 2 tells what the driver reserved apart from what is used
            return nvml.nvmlDeviceGetMemoryInfo(device, version=nvml.nvmlMemory_v2).used / GB

        groups = [
            one("energy", lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(device) / 1000.0),
            one("power", lambda: nvml.nvmlDeviceGetPowerUsage(device) / 1000.0),
            one("sm_clock", lambda: nvml.nvmlDeviceGetClockInfo(device, nvml.NVML_CLOCK_SM)),
            one("memory_clock", lambda: nvml.nvmlDeviceGetClockInfo(device, nvml.NVML_CLOCK_MEM)),
            one("memory_used", memory_used),
            one("temperature", temperature),
            Group((Sensor(name, "utilisation"), Sensor(name, "memory_activity")), self._utilisation),
            Group(tuple(Sensor(name, f"throttled.{reason}") for reason in THROTTLING), self._throttling),
        ]
        if self._has_gpm():
            groups.append(Group(tuple(Sensor(name, sensor) for sensor in GPM), self._gpm))
        return groups

    def close(self) -> None:
        """Free GPM's buffers and end our use of NVML (it counts its users)."""
        try:
            for sample in self._samples:
                self._nvml.nvmlGpmSampleFree(sample)
            self._nvml.nvmlShutdown()
        except self._nvml.NVMLError as problem:
            log.warning("NVML did not shut down: %s", problem)

    def _find(self, accelerator: Accelerator) -> Any:
        """NVML's handle: by UUID, of a whole GPU or of a MIG instance; by PCI address where torch gives no UUID."""
        nvml = self._nvml
        try:
            if accelerator.uuid is None:
                if accelerator.pci is None:
                    raise SensorAbsent(f"torch says neither UUID nor PCI address of {accelerator.name}")
                return nvml.nvmlDeviceGetHandleByPciBusId(accelerator.pci)
            try:
                return nvml.nvmlDeviceGetHandleByUUID(f"GPU-{accelerator.uuid}")
            except nvml.NVMLError_NotFound:
                return nvml.nvmlDeviceGetHandleByUUID(f"MIG-{accelerator.uuid}")
        except nvml.NVMLError as problem:
            raise SensorAbsent(f"NVML does not know {accelerator}: {problem}") from problem

    def _asked(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except self._nvml.NVMLError as problem:
            kind = SensorAbsent if problem.value in self._absent else SensorFailed
            raise kind(str(problem)) from problem

    def _newer_or_older(self, newer: Callable[[], Any], older: Callable[[], Any]) -> Any:
        """What `newer` gives, or `older` where the driver does not know the newer call."""
        try:
            return newer()
        except self._nvml.NVMLError as problem:
            if problem.value not in self._unknown_call:
                raise
        return older()

    def _utilisation(self) -> Sequence[float]:
        found = self._asked(lambda: self._nvml.nvmlDeviceGetUtilizationRates(self._handle))
        return found.gpu, found.memory

    def _throttling(self) -> Sequence[float]:
        nvml, device = self._nvml, self._handle
        reasons = self._asked(
            lambda: self._newer_or_older(
                lambda: nvml.nvmlDeviceGetCurrentClocksEventReasons(device),
                lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(device),
            )
        )
        return [float(bool(reasons & getattr(nvml, name))) for name in THROTTLING.values()]

    def _has_gpm(self) -> bool:
        nvml = self._nvml
        try:
            if not nvml.nvmlGpmQueryDeviceSupport(self._handle).isSupportedDevice:
                log.info("%s has no GPM (Hopper and later have): no utilisation of its tensor cores", self._name)
                return False
            for _ in range(2):
                self._samples.append(nvml.nvmlGpmSampleAlloc())
        except nvml.NVMLError as problem:
            log.info("no GPM of %s: %s", self._name, problem)
            return False
        return True

    def _gpm(self) -> list[float | None]:
        """Averages since the last reading, which should lie 100 ms back or more; the first reading gives none."""
        nvml = self._nvml
        before, now = self._samples
        self._asked(lambda: nvml.nvmlGpmSampleGet(self._handle, now))
        self._samples = [now, before]
        if not self._sampled:
            self._sampled = True
            return [None] * len(GPM)
        wanted = nvml.c_nvmlGpmMetricsGet_t()
        wanted.version = nvml.NVML_GPM_METRICS_GET_VERSION
        wanted.numMetrics = len(GPM)
        wanted.sample1, wanted.sample2 = before, now
        for i, name in enumerate(GPM.values()):
            wanted.metrics[i].metricId = getattr(nvml, name)
        self._asked(lambda: nvml.nvmlGpmMetricsGet(wanted))
        found = wanted.metrics[: len(GPM)]
        return [m.value if m.nvmlReturn == nvml.NVML_SUCCESS else None for m in found]
