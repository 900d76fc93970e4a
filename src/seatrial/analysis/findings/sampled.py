"""What was sampled of the devices beside the runs."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from seatrial.analysis.findings.observed import DeviceTelemetry
from seatrial.record import Record

PREFIX = "telemetry."
PROCESSORS = ("cpu", "dram")
"""Devices that are no accelerators."""
FIGURES = ("sm_clock", "power", "utilisation", "temperature")


READ = tuple(f"{PREFIX}{name}" for name in (*FIGURES, "throttled"))
"""What of a record is looked at."""


def sampled(records: Sequence[tuple[Record, Sequence[str]]]) -> tuple[DeviceTelemetry, ...]:
    """Medians over runs of each device's medians; hosts are those of each record's ranks. Accelerators only."""
    figures: dict[tuple[str, str], dict[str, list[float]]] = {}
    held: dict[tuple[str, str], dict[str, list[float]]] = {}
    for record, hosts in records:
        for m in record.measurements:
            device, rank = m.labels.get("device"), m.labels.get("rank")
            if not m.metric.startswith(PREFIX) or device in (None, *PROCESSORS):
                continue
            host = hosts[rank] if isinstance(rank, int) and rank < len(hosts) else "unknown"
            name, place = m.metric.removeprefix(PREFIX), (host, str(device))
            if name == "throttled":
                held.setdefault(place, {}).setdefault(str(m.labels.get("reason")), []).append(median(m.samples))
            elif name in FIGURES:
                figures.setdefault(place, {}).setdefault(name, []).append(median(m.samples))
    found = []
    for host, device in sorted({*figures, *held}):
        own = {name: median(values) for name, values in figures.get((host, device), {}).items()}
        throttled = {reason: median(v) for reason, v in sorted(held.get((host, device), {}).items())}
        share = own["utilisation"] / 100 if "utilisation" in own else None
        found.append(
            DeviceTelemetry(
                host,
                device,
                throttled,
                own.get("sm_clock"),
                own.get("power"),
                share,
                own.get("temperature"),
            )
        )
    return tuple(found)
