"""The sampler beside real work on an accelerator: figures that must agree with each other and with torch."""

from __future__ import annotations

import logging
import statistics
import time

import pytest
import torch

from seatrial.record import Measurement
from seatrial.telemetry.accelerator import accelerator_of
from seatrial.telemetry.sampler import Sampler

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator here: torch.cuda finds none"),
]
BUSY_SECONDS = 6.0


def multiply(seconds: float) -> None:
    left = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for _ in range(20):
            torch.mm(left, left)
        torch.cuda.synchronize()


@pytest.fixture(scope="module")
def busy() -> tuple[Sampler, dict[str, Measurement]]:
    """A sampler that saw products of matrices and then a pause, and what it measured by metric and scope."""
    multiply(1.0)
    with Sampler(torch.device("cuda", 0), 0.25) as found:
        multiply(BUSY_SECONDS)
        found.pause()
        time.sleep(1.0)
    by_name = {}
    for m in found.measurements({"rank": 0}):
        if m.labels["device"] == "cuda:0":
            by_name["/".join([m.metric, *[str(m.labels[k]) for k in ("scope", "reason") if k in m.labels]])] = m
    return found, by_name


def test_energy_of_the_counter_agrees_with_power_over_time(busy: tuple[Sampler, dict[str, Measurement]]) -> None:
    found, by_name = busy
    power = statistics.mean(by_name["telemetry.power"].samples[4:])  # NVML averages over the second before
    seconds = found.state()["seconds"]
    training, run = (by_name[f"telemetry.energy/{scope}"].samples[0] for scope in ("training", "run"))
    assert training / seconds["training"] == pytest.approx(power, rel=0.2)
    assert training < run < training * 1.3
    assert power > 100.0


def test_busy_device_reads_as_busy(busy: tuple[Sampler, dict[str, Measurement]]) -> None:
    _, by_name = busy
    assert statistics.median(by_name["telemetry.utilisation"].samples) > 80.0
    assert statistics.median(by_name["telemetry.sm_clock"].samples) > 500.0
    assert 20.0 < statistics.median(by_name["telemetry.temperature"].samples) < 110.0
    assert max(by_name["telemetry.memory_used"].samples) > torch.cuda.max_memory_allocated() / 1e9
    for name, m in by_name.items():
        if name.startswith("telemetry.throttled/"):
            assert 0.0 <= m.samples[0] <= 1.0


@pytest.mark.skipif(
    torch.version.hip is not None or not torch.cuda.is_available() or torch.cuda.get_device_capability() < (9, 0),
    reason="no GPM here: NVIDIA's Hopper and later have it",
)
def test_tensor_cores_read_as_busy_by_gpm(busy: tuple[Sampler, dict[str, Measurement]]) -> None:
    _, by_name = busy
    tensor = statistics.median(by_name["telemetry.tensor_utilisation"].samples)
    assert 30.0 < tensor <= 100.0
    assert 50.0 < statistics.median(by_name["telemetry.sm_utilisation"].samples) <= 100.0
    assert 0.0 < statistics.median(by_name["telemetry.memory_bandwidth_utilisation"].samples) <= 100.0


def test_sampling_costs_less_than_one_percent_of_a_core(busy: tuple[Sampler, dict[str, Measurement]]) -> None:
    found, _ = busy
    # four times as often as by default
    assert found.cpu_seconds / found.state()["seconds"]["run"] < 0.04


@pytest.mark.skipif(torch.version.hip is not None, reason="not NVIDIA")
def test_sensors_are_those_of_the_device_that_torch_uses() -> None:
    import pynvml

    accelerator = accelerator_of(torch.device("cuda", 0))
    assert accelerator is not None and accelerator.uuid is not None
    pynvml.nvmlInit()
    try:
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{accelerator.uuid}")
        assert pynvml.nvmlDeviceGetName(handle) == torch.cuda.get_device_name(0)
        assert accelerator.pci is None or pynvml.nvmlDeviceGetPciInfo(handle).busId.lower().endswith(
            accelerator.pci
        )
    finally:
        pynvml.nvmlShutdown()


def test_absent_sensors_are_named(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="seatrial")
    with Sampler(torch.device("cuda", 0), 0.2) as found:
        time.sleep(0.7)
    read = {s.sensor for s in found.series() if s.device == "cuda:0"}
    told = " ".join(record.message for record in caplog.records)
    for name in ("power", "energy", "sm_clock", "memory_clock", "utilisation", "memory_used", "temperature"):
        assert name in read or f"no {name} of cuda:0" in told
