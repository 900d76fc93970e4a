"""`dcgmi dmon -e FIELDS`: a heading of short names, a line of units, one row a device; the heading comes again.

    #Entity   GPUTL  SMACT  TENSO  POWER
    ID                                 W
    GPU 0     75     0.512  0.204  185.300

Up to DCGM 2 the heading is `# Entity` and rows of a GPU begin with `GPU 0` all the same. Rows of CPUs, switches and
instances of a divided device are not read.
"""

from __future__ import annotations

import re

from seatrial.ingest.audit.device_columns import DCGMI_DMON, DeviceReadings, unit_of
from seatrial.ingest.audit.facts import Facts, Quantity
from seatrial.ingest.audit.lines import READ, figure

_HEADING = re.compile(r"^#\s?Entity\s+(\S.*)$")
_ROW = re.compile(r"^(GPU(?:-I|-CI)?|CPU|Switch|NvSwitch|Link|CORE)\s+(\d{1,6}(?:[/:]\d{1,6})*)\s+(\S.*)$")
BLANK = (2147483632, 9.2233720368547758e18, 140737488355328.0)
"""Values from which DCGM means 'blank' (DCGM_INT32_BLANK, DCGM_INT64_BLANK, DCGM_FP64_BLANK)."""


class DcgmiDmonReader:
    """Reads the rows below the last heading."""

    name = "dcgmi dmon"

    def __init__(self) -> None:
        self._columns: list[str] = []
        self._readings = DeviceReadings()

    def take(self, line: str) -> str | None:
        """READ, why a row is not read, or None where the line is neither heading nor row."""
        text = line.strip()
        if heading := _HEADING.match(text):
            self._columns = heading[1].split()
            return READ
        if not self._columns:
            return None
        if re.match(r"^ID\b", text):
            return READ
        row = _ROW.match(text)
        if row is None:
            return None
        if row[1] != "GPU":
            return f"a row of a {row[1]}"
        words = row[3].split()
        if len(words) != len(self._columns):
            return "a row with more or fewer columns than its heading"
        return self._row(row[2], dict(zip(self._columns, words, strict=True)))

    def _row(self, device: str, row: dict[str, str]) -> str:
        found: list[tuple[Quantity, float, str]] = []
        try:
            for name in DCGMI_DMON:
                quantity, factor = DCGMI_DMON[name]
                value = figure(row[name], wanted=unit_of(quantity, factor)) if name in row else None
                if value is not None and value < min(BLANK):
                    found.append((quantity, value * factor, ""))
            self._readings.note(None, device, found)
        except ValueError as problem:
            return f"a row with {problem}"
        return READ if found else "a row without a figure that is used"

    def facts(self) -> Facts:
        """Readings by device."""
        return Facts(devices=self._readings.series())
