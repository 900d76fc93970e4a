"""The calls that AMD's sensors make, onto a stand-in for the package amdsmi (7.0.2's names, units and refusals).

The package comes with ROCm and does not load without it. That a driver answers like this has to be shown on a
device.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from seatrial.telemetry.accelerator import Accelerator, accelerator_of
from seatrial.telemetry.amd import STATUS_NOT_SUPPORTED, amd_smi
from seatrial.telemetry.sensors import Group, SensorAbsent, SensorFailed

MI300X = Accelerator("cuda:0", "amd", "6431", "0000:c1:00.0")
BUSY = 30


class AmdSmiException(Exception):
    pass


class AmdSmiLibraryException(AmdSmiException):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code

    def __str__(self) -> str:
        return f"Error code:\n\t{self.code} | made up"

    def get_error_code(self) -> int:
        return self.code


class ClkType(IntEnum):
    SYS = 0
    MEM = 4
    GFX = SYS


class TemperatureType(IntEnum):
    EDGE = 0
    HOTSPOT = 1


class TemperatureMetric(IntEnum):
    CURRENT = 0


class MemoryType(IntEnum):
    VRAM = 0


class StandIn:
    """The module amdsmi with one MI300X."""

    AmdSmiException = AmdSmiException
    AmdSmiLibraryException = AmdSmiLibraryException
    AmdSmiClkType = ClkType
    AmdSmiTemperatureType = TemperatureType
    AmdSmiTemperatureMetric = TemperatureMetric
    AmdSmiMemoryType = MemoryType

    def __init__(self) -> None:
        self.users = 0
        self.broken: dict[str, int] = {}
        self.power: dict[str, Any] = {
            "current_socket_power": 731,
            "average_socket_power": "N/A",
            "power_limit": 750,
        }
        self.activity: dict[str, Any] = {"gfx_activity": 99, "umc_activity": 41, "mm_activity": "N/A"}

    def __getattribute__(self, name: str) -> Any:
        broken = object.__getattribute__(self, "__dict__").get("broken", {})
        if name in broken:

            def refuse(*words: Any) -> None:
                raise AmdSmiLibraryException(broken[name])

            return refuse
        return object.__getattribute__(self, name)

    def amdsmi_init(self) -> None:
        self.users += 1

    def amdsmi_shut_down(self) -> None:
        self.users -= 1

    def amdsmi_get_processor_handle_from_bdf(self, bdf: str) -> str:
        if bdf != "0000:c1:00.0":
            raise AmdSmiLibraryException(31)
        return "handle"

    def amdsmi_get_energy_count(self, handle: str) -> dict[str, Any]:
        assert handle == "handle"
        return {"energy_accumulator": 1_000_000_000, "counter_resolution": 15.3, "timestamp": 1}

    def amdsmi_get_power_info(self, handle: str) -> dict[str, Any]:
        return self.power

    def amdsmi_get_clock_info(self, handle: str, kind: ClkType) -> dict[str, Any]:
        assert isinstance(kind, ClkType)
        return {"clk": {ClkType.GFX: 2100, ClkType.MEM: 1300}[kind], "min_clk": 132, "max_clk": 2100}

    def amdsmi_get_gpu_memory_usage(self, handle: str, kind: MemoryType) -> int:
        assert kind is MemoryType.VRAM
        return 150_000_000_000

    def amdsmi_get_temp_metric(self, handle: str, sensor: TemperatureType, metric: TemperatureMetric) -> int:
        return {(TemperatureType.HOTSPOT, TemperatureMetric.CURRENT): 78}[sensor, metric]

    def amdsmi_get_gpu_activity(self, handle: str) -> dict[str, Any]:
        return self.activity

    def amdsmi_get_violation_status(self, handle: str) -> dict[str, Any]:
        return {
            "active_prochot_thrm": False,
            "active_ppt_pwr": True,
            "active_socket_thrm": False,
            "active_vr_thrm": "N/A",
            "active_hbm_thrm": True,
        }


@pytest.fixture
def amdsmi(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setitem(sys.modules, "amdsmi", stand_in)
    return stand_in


def values(groups: Sequence[Group]) -> dict[str, float | None]:
    return {s.name: v for g in groups for s, v in zip(g.sensors, g.read(), strict=True)}


def test_every_sensor_is_read_in_its_unit_without_device(amdsmi: StandIn) -> None:
    source = amd_smi(MI300X)()
    found = values(source.groups())
    assert found.pop("energy") == pytest.approx(15_300.0)
    assert found == {
        "power": 731.0,
        "sm_clock": 2100.0,
        "memory_clock": 1300.0,
        "memory_used": 150.0,
        "temperature": 78,
        "utilisation": 99.0,
        "memory_activity": 41.0,
        "throttled.power_cap": 1.0,
        "throttled.thermal_slowdown": 0.0,
        "throttled.memory_thermal_slowdown": 1.0,
        "throttled.regulator_thermal_slowdown": None,
        "throttled.hardware_slowdown": 0.0,
    }
    source.close()
    assert amdsmi.users == 0


@pytest.mark.parametrize(
    ("power", "watts"),
    [
        ({"current_socket_power": "N/A", "average_socket_power": 412}, 412.0),
        ({"current_socket_power": 0xFFFFFFFF, "average_socket_power": 0xFFFF}, None),
        ({"current_socket_power": "N/A", "average_socket_power": "N/A"}, None),
    ],
)
def test_power_that_is_not_available_has_no_value_without_device(
    amdsmi: StandIn, power: dict[str, Any], watts: float | None
) -> None:
    amdsmi.power = power
    assert values(amd_smi(MI300X)().groups())["power"] == watts


def test_activity_that_is_not_available_has_no_value_without_device(amdsmi: StandIn) -> None:
    amdsmi.activity = {"gfx_activity": "N/A", "umc_activity": 12, "mm_activity": "N/A"}
    found = values(amd_smi(MI300X)().groups())
    assert (found["utilisation"], found["memory_activity"]) == (None, 12.0)


@pytest.mark.parametrize(("code", "kind"), [(STATUS_NOT_SUPPORTED, SensorAbsent), (BUSY, SensorFailed)])
def test_error_says_whether_the_sensor_is_absent_or_failed_without_device(
    amdsmi: StandIn, code: int, kind: type[Exception]
) -> None:
    groups = amd_smi(MI300X)().groups()
    amdsmi.broken = {"amdsmi_get_power_info": code, "amdsmi_get_violation_status": code}
    for name in ("power", "throttled.power_cap"):
        (found,) = [g for g in groups if name in [s.name for s in g.sensors]]
        with pytest.raises(kind, match=f"Error code: {code}"):
            found.read()


def test_device_that_amd_smi_does_not_know_is_absent_and_nothing_stays_open_without_device(amdsmi: StandIn) -> None:
    with pytest.raises(SensorAbsent, match="does not know"):
        amd_smi(Accelerator("cuda:0", "amd", None, "0000:05:00.0"))()
    assert amdsmi.users == 0


def test_driver_that_is_not_loaded_leaves_no_sensors_without_device(amdsmi: StandIn) -> None:
    amdsmi.broken = {"amdsmi_init": 34}
    with pytest.raises(SensorAbsent, match="does not start"):
        amd_smi(MI300X)()


def test_machine_without_the_package_has_no_sensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amdsmi", None)
    with pytest.raises(SensorAbsent, match="does not load"):
        amd_smi(MI300X)


def test_device_is_named_by_its_pci_address_without_device(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = SimpleNamespace(uuid="6431", pci_domain_id=0, pci_bus_id=0xC1, pci_device_id=0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", {3: shown}.__getitem__)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert accelerator_of(torch.device("cuda")) == Accelerator("cuda:3", "amd", "6431", "0000:c1:00.0")


def test_torch_that_tells_no_pci_address_leaves_amd_without_sensors(amdsmi: StandIn) -> None:
    with pytest.raises(SensorAbsent, match="PCI address"):
        amd_smi(Accelerator("cuda:0", "amd", "6431", None))()
