"""What telemetry says of the devices, by device, and what it does not say: how much of the time was productive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from seatrial.analysis.findings.observed import DeviceTelemetry
from seatrial.ingest.audit.facts import DeviceSeries, Quantity

NOT_PRODUCTIVE = (
    "utilization.gpu (nvidia-smi), sm (dmon), GPUTL and DCGM_FI_DEV_GPU_UTIL say in how much of the time a kernel "
    "ran, waiting for other ranks in NCCL's kernels included: no productive fraction, and none is made of it"
)
BUSY = 0.05
"""A device whose kernels ran in a smaller share of the readings' time was idle; its other figures say nothing."""
UNITS: dict[Quantity, str] = {"sm_clock": "MHz", "power": "W", "temperature": "°C"}
PROFILING: tuple[Quantity, ...] = ("sm_active", "tensor_active", "dram_active")
"""DCGM's profiling counters (DCGM_FI_PROF_*)."""


@dataclass(frozen=True)
class Activity:
    """One quantity of one device: mean of a share, median of anything else."""

    host: str
    device: str
    quantity: str
    value: float
    unit: str
    readings: int
    file: str


def activities(devices: Iterable[tuple[str, DeviceSeries]]) -> tuple[Activity, ...]:
    """Each series in one figure."""
    found = []
    for file, series in devices:
        unit = UNITS.get(series.quantity, "")
        value = median(series.values) if unit else sum(series.values) / len(series.values)
        name = f"{series.quantity} ({series.label})" if series.label else series.quantity
        found.append(Activity(series.host or "", series.device, name, value, unit, len(series.values), file))
    return tuple(found)


def telemetry(devices: Sequence[tuple[str, DeviceSeries]]) -> tuple[DeviceTelemetry, ...]:
    """Each device that worked, in the form in which a study's telemetry is judged.

    Where the log names no host, each file is one by itself: GPU 0 of two files is two devices. Idle devices are
    left out: that their clocks are low is no fault.
    """
    groups: dict[tuple[str, str], dict[tuple[Quantity, str], list[float]]] = {}
    for file, series in devices:
        mine = groups.setdefault((series.host or f"the host of {file}", series.device), {})
        mine.setdefault((series.quantity, series.label), []).extend(series.values)
    found = []
    for (host, device), mine in groups.items():
        middle = {quantity: median(values) for (quantity, label), values in mine.items() if not label}
        if middle.get("utilisation", 1.0) < BUSY:
            continue
        found.append(
            DeviceTelemetry(
                host=host,
                device=f"GPU {device}",
                throttled={
                    label: sum(values) / len(values)
                    for (quantity, label), values in mine.items()
                    if quantity == "throttled"
                },
                sm_clock=middle.get("sm_clock"),
                power=middle.get("power"),
                utilisation=middle.get("utilisation"),
                temperature=middle.get("temperature"),
            )
        )
    return tuple(found)


def lines(found: Sequence[Activity]) -> list[str]:
    """What a person reads of it: shares of all devices together, and what they do not mean."""
    said = []
    words = {
        "utilisation": "a kernel ran in",
        "engine_active": "the engine was active in",
        "sm_active": "multiprocessors had work (SM active)",
        "tensor_active": "tensor cores were busy",
        "dram_active": "device memory was busy",
    }
    for quantity, text in words.items():
        mine = [one.value for one in found if one.quantity == quantity]
        if mine:
            ends = f" ({100 * min(mine):.3g} to {100 * max(mine):.3g} %)" if len(mine) > 1 else ""
            said.append(f"{text}: {100 * sum(mine) / len(mine):.3g} % of the time on {len(mine)} devices{ends}")
    return said
