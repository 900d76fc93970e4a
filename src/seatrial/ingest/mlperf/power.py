"""Power logs of a run -> mean watts, as MLCommons' result summarizer reckons them.

A node's mean power is the sum of reading x (its time - the time before it) over the measured window;
`conversion_eff` scales it. A switch log states one estimate (`interconnect_power_est`). Energy is mean power x time
to train.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

from seatrial.mllog import parse, scan


@dataclass(frozen=True, slots=True)
class MeanPower:
    """What one power log says: watts, or why it says nothing; a remark on how they were found."""

    watts: float | None
    node: bool
    """Of a node; False: of a switch."""
    problem: str | None = None
    remark: str | None = None


def node_power(stream: BinaryIO) -> MeanPower:
    """Mean power of one node (`node_*.txt`).

    Where the stop is missing, or not after the start (a known fault of published logs, on which the official tool
    dies), the last reading ends the window, as the official tool does for a missing stop.
    """
    lines = sorted(_lines(stream), key=lambda line: line[0])
    start = next((time for time, key, _ in reversed(lines) if key == "power_measurement_start"), None)
    if start is None:
        return MeanPower(None, True, "no power_measurement_start")
    stops = [time for time, key, _ in lines if key == "power_measurement_stop" and time > start]
    window = [line for line in lines if line[0] >= start and (not stops or line[0] <= stops[0])]
    readings = [(time, value) for time, key, value in window if key == "power_reading"]
    if any(not isinstance(value, (int, float)) for _, value in readings):
        return MeanPower(None, True, "a power_reading that is not a number")
    end = stops[-1] if stops else max((time for time, _ in readings), default=start)
    if end <= start:
        return MeanPower(None, True, "no power_reading after power_measurement_start")
    times = [start, *(time for time, _ in readings)]
    energy = sum(value * (time - before) for (time, value), before in zip(readings, times, strict=False))
    remark = None if stops else "no stop after the start: the last reading taken as the end"
    return MeanPower(_efficiency(lines) * energy / (end - start), True, remark=remark)


def switch_power(stream: BinaryIO) -> MeanPower:
    """The power that a switch log (`sw_*.txt`) states."""
    lines = list(_lines(stream))
    stated = next((value for _, key, value in lines if key == "interconnect_power_est"), None)
    if not isinstance(stated, (int, float)):
        return MeanPower(None, False, "no interconnect_power_est that is a number")
    return MeanPower(_efficiency(lines) * stated, False)


def _efficiency(lines: list[tuple[float, str, Any]]) -> float:
    stated = [value for _, key, value in lines if key == "conversion_eff" and isinstance(value, (int, float))]
    return float(stated[-1]) if stated else 1.0


def _lines(stream: BinaryIO) -> list[tuple[float, str, Any]]:
    """Time, key and value of every whole line; broken ones are left out, as the official tool does here."""
    found = []
    for _, text in scan(stream):
        try:
            content = parse(text)
            found.append((float(content["time_ms"]), str(content["key"]), content["value"]))
        except (ValueError, TypeError, KeyError):
            continue
    return found
