"""`nvidia-smi --query-gpu=... --format=csv`, with units or without them, again and again the same heading.

The heading is `timestamp, utilization.gpu [%], power.draw [W]`, in any order; `index`, `uuid` or `pci.bus_id` names
the device. Rows without a heading (`noheader`) name no columns and are not read. Without such a column the
readings are of devices that are not named.
"""

from __future__ import annotations

import csv
import re

from seatrial.ingest.audit.device_columns import QUERY, DeviceReadings, unit_of
from seatrial.ingest.audit.facts import Facts, Quantity
from seatrial.ingest.audit.lines import READ, figure

_NAMES = re.compile(r"^[a-z][a-z0-9_.]*(?: \[[^\]]{1,12}\])?$")
DEVICE = ("index", "pci.bus_id", "gpu_bus_id")
"""Columns that name the device on its host, the one that is taken first in front."""
UNIQUE = ("uuid", "gpu_uuid", "serial", "gpu_serial")
"""Columns that tell devices of several hosts in one file apart."""
NOT_NAMED = "not named"
REASONS = ("clocks_throttle_reasons.", "clocks_event_reasons.")
"""Columns of Active or Not Active; their newer name from driver 535 on."""
NOT_HELD_DOWN = ("gpu_idle", "active", "supported", "applications_clocks_setting")
"""Reasons that do not hold a busy device down: nothing to do, a bit mask, a clock that the user set."""


class QueryReader:
    """Reads the rows below the last heading."""

    name = "nvidia-smi --query-gpu"

    def __init__(self) -> None:
        self._columns: list[str] = []
        self._units: dict[str, str] = {}
        self._readings = DeviceReadings()

    def take(self, line: str) -> str | None:
        """READ, why a row is not read, or None where the line is neither heading nor row."""
        cells = _cells(line)
        if len(cells) < 2 or any(len(cell) > 200 for cell in cells):
            return self._lone(cells)
        names = [cell.split(" [")[0] for cell in cells]
        if all(map(_NAMES.match, cells)) and any(name in QUERY or name.startswith(REASONS) for name in names):
            self._columns, self._units = names, _units(cells)
            return READ
        if not self._columns:
            return None
        if len(cells) != len(self._columns):
            return "a row with more or fewer columns than its heading" if _row_like(cells) else None
        return self._row(dict(zip(self._columns, cells, strict=True)))

    def _lone(self, cells: list[str]) -> str | None:
        """A file of one column: its heading, and figures with a unit below it."""
        if len(cells) != 1:
            return None
        name = cells[0].split(" [")[0]
        if name in QUERY and _NAMES.match(cells[0]):
            self._columns, self._units = [name], _units(cells)
            return READ
        if len(self._columns) == 1 and re.fullmatch(r"\[?[\w/ .,]{1,20}%?\]?", cells[0]):
            return self._row({self._columns[0]: cells[0]})
        return None

    def _row(self, row: dict[str, str]) -> str | None:
        named = [next((row[name] for name in columns if name in row), "") for columns in (DEVICE, UNIQUE)]
        device = " ".join(filter(None, named))
        found: list[tuple[Quantity, float, str]] = []
        try:
            for name, cell in row.items():
                quantity, factor = QUERY.get(name, ("throttled", 1.0))
                given, wanted = self._units.get(name, ""), unit_of(quantity, factor)
                value = figure(cell, given, wanted) if name in QUERY else _active(name, cell)
                if value is not None:
                    found.append((quantity, value * factor, "" if name in QUERY else name.split(".", 1)[1]))
            self._readings.note(None, device or NOT_NAMED, found)
        except ValueError as problem:
            return f"a row with {problem}" if _row_like(list(row.values())) else None
        return READ if found else "a row without a figure that is used"

    def facts(self) -> Facts:
        """Readings by device."""
        return Facts(devices=self._readings.series())


def _units(heading: list[str]) -> dict[str, str]:
    """The unit in brackets of every column that has one."""
    split = [cell.partition(" [") for cell in heading]
    return {name: unit.rstrip("]") for name, _, unit in split if unit}


def _cells(line: str) -> list[str]:
    try:
        rows = list(csv.reader([line], skipinitialspace=True))
    except csv.Error:
        return []
    return [cell.strip() for cell in rows[0]] if rows else []


def _row_like(cells: list[str]) -> bool:
    """Whether a line can be a row: most of its cells are figures, with a unit or without, or stand for none."""
    known = 0
    for cell in cells:
        try:
            figure(cell)
            known += 1
        except ValueError:
            continue
    return known * 2 >= len(cells)


def _active(name: str, cell: str) -> float | None:
    """1 or 0 of a reason that holds the clock down; None of every other column."""
    if not name.startswith(REASONS) or name.split(".", 1)[1] in NOT_HELD_DOWN:
        return None
    word = cell.strip("[] ").lower()
    if word in ("active", "not active"):
        return float(word == "active")
    if word in ("n/a", "not supported", ""):
        return None
    raise ValueError(f"{cell[:40]!r} for {name}")
