"""Which column of which program is which quantity, and what turns its figures into ours."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.ingest.audit.facts import DeviceSeries, Quantity

PERCENT = 0.01
Columns = dict[str, tuple[Quantity, float]]

QUERY: Columns = {
    "utilization.gpu": ("utilisation", PERCENT),
    "utilization.memory": ("memory_utilisation", PERCENT),
    "clocks.current.sm": ("sm_clock", 1.0),
    "clocks.sm": ("sm_clock", 1.0),
    "power.draw": ("power", 1.0),
    "power.draw.average": ("power", 1.0),
    "power.draw.instant": ("power", 1.0),
    "temperature.gpu": ("temperature", 1.0),
}
"""`nvidia-smi --query-gpu`: `nvidia-smi --help-query-gpu` lists them."""
SMI_DMON: Columns = {
    "sm": ("utilisation", PERCENT),
    "mem": ("memory_utilisation", PERCENT),
    "pwr": ("power", 1.0),
    "gtemp": ("temperature", 1.0),
    "temp": ("temperature", 1.0),
    "pclk": ("sm_clock", 1.0),
    "gract": ("engine_active", PERCENT),
    "smutil": ("sm_active", PERCENT),
    "smocc": ("sm_occupancy", PERCENT),
    "mmaact": ("tensor_active", PERCENT),
}
"""`nvidia-smi dmon`; `sm` is the share of the time in which a kernel ran, as utilization.gpu; `temp` is of old
drivers, the last four are of `--gpm-metrics`, on Hopper and later."""
DCGMI_DMON: Columns = {
    "GPUTL": ("utilisation", PERCENT),
    "MCUTL": ("memory_utilisation", PERCENT),
    "GRACT": ("engine_active", 1.0),
    "SMACT": ("sm_active", 1.0),
    "SMOCC": ("sm_occupancy", 1.0),
    "TENSO": ("tensor_active", 1.0),
    "DRAMA": ("dram_active", 1.0),
    "SMCLK": ("sm_clock", 1.0),
    "POWER": ("power", 1.0),
    "TMPTR": ("temperature", 1.0),
}
"""`dcgmi dmon`, by short name (`dcgmi dmon --list`)."""
DCGM_FIELDS: Columns = {
    "DCGM_FI_DEV_GPU_UTIL": ("utilisation", PERCENT),
    "DCGM_FI_DEV_MEM_COPY_UTIL": ("memory_utilisation", PERCENT),
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": ("engine_active", 1.0),
    "DCGM_FI_PROF_SM_ACTIVE": ("sm_active", 1.0),
    "DCGM_FI_PROF_SM_OCCUPANCY": ("sm_occupancy", 1.0),
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": ("tensor_active", 1.0),
    "DCGM_FI_PROF_DRAM_ACTIVE": ("dram_active", 1.0),
    "DCGM_FI_DEV_SM_CLOCK": ("sm_clock", 1.0),
    "DCGM_FI_DEV_POWER_USAGE": ("power", 1.0),
    "DCGM_FI_DEV_GPU_TEMP": ("temperature", 1.0),
}
"""dcgm-exporter's metrics (etc/default-counters.csv and dcp-metrics-included.csv)."""
UNIT: dict[Quantity, str] = {"sm_clock": "MHz", "power": "W", "temperature": "C"}
"""Of what is no share."""
MOST = 1e6
"""Of MHz, W and degrees."""
SHARES = frozenset(
    {
        "utilisation",
        "memory_utilisation",
        "engine_active",
        "sm_active",
        "sm_occupancy",
        "tensor_active",
        "dram_active",
        "throttled",
    }
)


def unit_of(quantity: Quantity, factor: float) -> str:
    """The unit that a column's figures must have where they have one; of a share that counts to 1 it is none."""
    return UNIT.get(quantity, "%" if factor == PERCENT else "")


class DeviceReadings:
    """Readings as they come, put together by device and quantity."""

    def __init__(self) -> None:
        self._values: dict[tuple[str | None, str, Quantity, str], list[float]] = {}

    def note(self, host: str | None, device: str, readings: Sequence[tuple[Quantity, float, str]]) -> None:
        """Readings of one moment: quantity, value, label. Raises ValueError, and keeps none, where one is not
        possible."""
        for quantity, value, _ in readings:
            if not 0 <= value <= (1 + PERCENT if quantity in SHARES else MOST):
                raise ValueError(f"{quantity} of {value:g}, which is not possible")
        for quantity, value, label in readings:
            self._values.setdefault((host, device, quantity, label), []).append(value)

    def series(self) -> tuple[DeviceSeries, ...]:
        """In the order in which devices and quantities came."""
        return tuple(
            DeviceSeries(device, quantity, tuple(values), host, label)
            for (host, device, quantity, label), values in self._values.items()
        )
