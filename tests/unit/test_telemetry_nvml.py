"""The calls that NVIDIA's sensors make, through the real bindings onto a made-up libnvidia-ml.

The library's functions are replaced below the package nvidia-ml-py, so that names, argument order, structures and
error codes are the package's own. That a driver answers like this has to be shown on a device (tests/gpu).
"""

from __future__ import annotations

import ctypes
import logging
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest
import torch

from seatrial.telemetry.accelerator import Accelerator, accelerator_of
from seatrial.telemetry.nvml import nvml
from seatrial.telemetry.sampler import Sampler, sources_of
from seatrial.telemetry.sensors import Group, SensorAbsent, SensorFailed

UUID = "5d1c2a3b-0000-1111-2222-333344445555"
H100 = Accelerator("cuda:0", "nvidia", UUID, "0000:1b:00.0")
NEWER_CALLS = {"nvmlDeviceGetTemperatureV", "nvmlDeviceGetCurrentClocksEventReasons"}
"""Calls that older drivers do not know."""


def put(reference: Any, value: Any) -> int:
    reference._obj.value = value
    return pynvml.NVML_SUCCESS


class Library:
    """libnvidia-ml with one accelerator at UUID, in front of it another that CUDA_VISIBLE_DEVICES hides."""

    def __init__(self) -> None:
        self.millijoules, self.reasons, self.prefix = 5_000_000, 0x4 | 0x40 | 0x1, "GPU-"
        self.users = 0
        self.buffers: set[int] = set()
        self.gpm_samples: list[int] = []
        self.broken: dict[str, int] = {}
        self.gpm_result = {2: 81.5, 5: 43.25, 10: 30.0}
        self.supports_gpm = 1

    def function(self, name: str) -> Callable[..., int]:
        if name in self.broken and self.broken[name] == pynvml.NVML_ERROR_FUNCTION_NOT_FOUND:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
        known = getattr(self, name, None)
        if known is None:
            raise AssertionError(f"{name} is not a call that was expected")
        return lambda *words: self.broken.get(name) or known(*words)

    def nvmlInitWithFlags(self, flags: int) -> int:
        self.users += 1
        return pynvml.NVML_SUCCESS

    def nvmlShutdown(self) -> int:
        self.users -= 1
        return pynvml.NVML_SUCCESS

    def nvmlDeviceGetHandleByUUID(self, uuid: Any, handle: Any) -> int:
        if uuid.value != f"{self.prefix}{UUID}".encode():
            return pynvml.NVML_ERROR_NOT_FOUND
        ctypes.memmove(handle, ctypes.byref(ctypes.c_void_p(77)), ctypes.sizeof(ctypes.c_void_p))
        return pynvml.NVML_SUCCESS

    def nvmlDeviceGetHandleByPciBusId_v2(self, pci: Any, handle: Any) -> int:
        return pynvml.NVML_SUCCESS if pci.value == b"0000:1b:00.0" else pynvml.NVML_ERROR_NOT_FOUND

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, value: Any) -> int:
        self.is_ours(handle)
        self.millijoules += 350_000
        return put(value, self.millijoules)

    def nvmlDeviceGetPowerUsage(self, handle: Any, value: Any) -> int:
        self.is_ours(handle)
        return put(value, 698_400)

    def nvmlDeviceGetClockInfo(self, handle: Any, kind: Any, value: Any) -> int:
        return put(value, {pynvml.NVML_CLOCK_SM: 1980, pynvml.NVML_CLOCK_MEM: 2619}[kind.value])

    def nvmlDeviceGetMemoryInfo_v2(self, handle: Any, memory: Any) -> int:
        assert memory._obj.version == pynvml.nvmlMemory_v2
        memory._obj.total, memory._obj.reserved, memory._obj.used = 85_000_000_000, 600_000_000, 71_250_000_000
        return pynvml.NVML_SUCCESS

    def nvmlDeviceGetTemperatureV(self, handle: Any, temperature: Any) -> int:
        assert temperature._obj.sensorType == pynvml.NVML_TEMPERATURE_GPU
        temperature._obj.temperature = 61
        return pynvml.NVML_SUCCESS

    def nvmlDeviceGetTemperature(self, handle: Any, sensor: Any, value: Any) -> int:
        assert sensor.value == pynvml.NVML_TEMPERATURE_GPU
        return put(value, 62)

    def nvmlDeviceGetUtilizationRates(self, handle: Any, rates: Any) -> int:
        rates._obj.gpu, rates._obj.memory = 97, 55
        return pynvml.NVML_SUCCESS

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: Any, value: Any) -> int:
        return put(value, self.reasons)

    nvmlDeviceGetCurrentClocksThrottleReasons = nvmlDeviceGetCurrentClocksEventReasons

    def nvmlGpmQueryDeviceSupport(self, handle: Any, support: Any) -> int:
        assert support._obj.version == pynvml.NVML_GPM_SUPPORT_VERSION
        support._obj.isSupportedDevice = self.supports_gpm
        return pynvml.NVML_SUCCESS

    def nvmlGpmSampleAlloc(self, sample: Any) -> int:
        address = 0x1000 * (len(self.buffers) + 1)
        self.buffers.add(address)
        ctypes.memmove(sample, ctypes.byref(ctypes.c_void_p(address)), ctypes.sizeof(ctypes.c_void_p))
        return pynvml.NVML_SUCCESS

    def nvmlGpmSampleFree(self, sample: Any) -> int:
        self.buffers.remove(address_of(sample))
        return pynvml.NVML_SUCCESS

    def nvmlGpmSampleGet(self, handle: Any, sample: Any) -> int:
        self.is_ours(handle)
        self.gpm_samples.append(address_of(sample))
        return pynvml.NVML_SUCCESS

    def nvmlGpmMetricsGet(self, wanted: Any) -> int:
        wanted = wanted._obj
        assert wanted.version == pynvml.NVML_GPM_METRICS_GET_VERSION
        # the older sample first, or every average would be that of a negative time
        assert [address_of(wanted.sample1), address_of(wanted.sample2)] == self.gpm_samples[-2:]
        for metric in wanted.metrics[: wanted.numMetrics]:
            found = self.gpm_result.get(metric.metricId)
            metric.nvmlReturn = pynvml.NVML_ERROR_NOT_SUPPORTED if found is None else pynvml.NVML_SUCCESS
            metric.value = found or 0.0
        return pynvml.NVML_SUCCESS

    @staticmethod
    def is_ours(handle: Any) -> None:
        assert address_of(handle) == 77


def address_of(pointer: Any) -> int | None:
    return ctypes.cast(pointer, ctypes.c_void_p).value


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    made_up = Library()
    monkeypatch.setattr(pynvml, "_LoadNvmlLibrary", lambda: None)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer", made_up.function)
    return made_up


def values(groups: Sequence[Group]) -> dict[str, float | None]:
    return {s.name: v for g in groups for s, v in zip(g.sensors, g.read(), strict=True)}


def group(groups: Sequence[Group], name: str) -> Group:
    (found,) = [g for g in groups if name in [s.name for s in g.sensors]]
    return found


def test_every_sensor_is_read_in_its_unit_without_device(library: Library) -> None:
    source = nvml(H100)()
    groups = source.groups()
    first, second = values(groups), values(groups)
    assert first.pop("energy") == 5350.0 and second.pop("energy") == 5700.0
    assert {
        name: first.pop(name) for name in list(first) if name.endswith("utilisation") and name != "utilisation"
    } == {
        "sm_utilisation": None,
        "tensor_utilisation": None,
        "memory_bandwidth_utilisation": None,
    }
    assert second == {
        **first,
        "sm_utilisation": 81.5,
        "tensor_utilisation": 43.25,
        "memory_bandwidth_utilisation": 30.0,
    }
    assert first == {
        "power": 698.4,
        "sm_clock": 1980,
        "memory_clock": 2619,
        "memory_used": 71.25,
        "temperature": 61,
        "utilisation": 97,
        "memory_activity": 55,
        "throttled.power_cap": 1.0,
        "throttled.hardware_slowdown": 0.0,
        "throttled.thermal_slowdown": 0.0,
        "throttled.hardware_thermal_slowdown": 1.0,
        "throttled.power_brake": 0.0,
    }
    source.close()
    assert library.users == 0 and library.buffers == set()


def test_third_gpm_reading_compares_with_the_second_without_device(library: Library) -> None:
    groups = nvml(H100)().groups()
    for _ in range(3):
        found = group(groups, "tensor_utilisation").read()
    assert found[1] == 43.25
    first, second, third = library.gpm_samples
    assert first == third != second


def test_gpm_metric_that_this_device_lacks_has_no_value_without_device(library: Library) -> None:
    del library.gpm_result[5]
    groups = nvml(H100)().groups()
    values(groups)
    found = values(groups)
    assert (found["sm_utilisation"], found["tensor_utilisation"]) == (81.5, None)


def test_device_older_than_hopper_has_no_gpm_without_device(
    library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="seatrial")
    library.supports_gpm = 0
    assert "tensor_utilisation" not in values(nvml(H100)().groups())
    assert "has no GPM" in caplog.text


def test_driver_without_the_newer_calls_is_asked_by_the_older_without_device(library: Library) -> None:
    for name in NEWER_CALLS:
        library.broken[name] = pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
    found = values(nvml(H100)().groups())
    assert (found["temperature"], found["throttled.power_cap"]) == (62, 1.0)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (pynvml.NVML_ERROR_NOT_SUPPORTED, SensorAbsent),
        (pynvml.NVML_ERROR_NO_PERMISSION, SensorAbsent),
        (pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, SensorAbsent),
        (pynvml.NVML_ERROR_GPU_IS_LOST, SensorFailed),
        (pynvml.NVML_ERROR_UNKNOWN, SensorFailed),
    ],
)
def test_error_says_whether_the_sensor_is_absent_or_failed_without_device(
    library: Library, code: int, kind: type[Exception]
) -> None:
    groups = nvml(H100)().groups()
    library.broken = dict.fromkeys(
        ["nvmlDeviceGetPowerUsage", "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetCurrentClocksEventReasons"], code
    )
    library.broken["nvmlDeviceGetCurrentClocksThrottleReasons"] = code
    for name in ("power", "utilisation", "throttled.power_cap"):
        with pytest.raises(kind):
            group(groups, name).read()


def test_mig_instance_is_found_by_its_own_uuid_without_device(library: Library) -> None:
    library.prefix = "MIG-"
    assert values(nvml(H100)().groups())["power"] == 698.4


def test_device_that_nvml_does_not_know_is_absent_and_nothing_stays_open_without_device(library: Library) -> None:
    with pytest.raises(SensorAbsent, match="does not know"):
        nvml(Accelerator("cuda:0", "nvidia", "another", None))()
    assert library.users == 0


def test_machine_without_a_driver_has_no_nvml_without_device(library: Library) -> None:
    library.broken["nvmlInitWithFlags"] = pynvml.NVML_ERROR_DRIVER_NOT_LOADED
    with pytest.raises(SensorAbsent, match="Driver Not Loaded"):
        nvml(H100)()


def test_hidden_devices_do_not_shift_the_sensors_without_device(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's device 0 is whatever CUDA_VISIBLE_DEVICES shows first: NVML is asked by UUID, never by index."""
    shown = SimpleNamespace(uuid=UUID, pci_domain_id=0, pci_bus_id=0x1B, pci_device_id=0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", {0: shown}.__getitem__)
    monkeypatch.setattr(torch.version, "hip", None)
    assert accelerator_of(torch.device("cuda", 0)) == H100
    with Sampler(torch.device("cuda", 0), 0.15, host=False) as found:
        time.sleep(0.4)
    by_name = {m.metric: m for m in found.measurements({"rank": 5})}
    assert set(by_name["telemetry.power"].samples) == {698.4}
    assert by_name["telemetry.power"].labels == {"rank": 5, "device": "cuda:0"}
    assert set(by_name["telemetry.tensor_utilisation"].samples) == {43.25}
    # each reading of the made-up counter adds 350 J
    readings = len(next(s for s in found.series() if s.sensor == "energy").value)
    assert 350.0 * (readings - 2) <= found.state()["energy"]["cuda:0"]["run"] <= 350.0 * (readings - 1)
    assert library.users == 0


def test_cpu_rank_never_asks_for_an_accelerator() -> None:
    names = {getattr(opener, "__qualname__", "") for opener in sources_of(torch.device("cpu"), host=True)}
    assert names == {f"{name}.<locals>.<lambda>" for name in ("rapl", "host_utilisation", "process_utilisation")}
