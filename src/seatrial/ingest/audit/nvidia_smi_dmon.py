"""`nvidia-smi dmon`: columns of text, or with `--format csv` the same with commas; its heading comes again.

    # gpu    pwr  gtemp  mtemp     sm    mem    enc    dec    jpg    ofa   mclk   pclk
    # Idx      W      C      C      %      %      %      %      %      %    MHz    MHz
        0    294     81      -     98     57      0      0      0      0  13365   1897

`-o DT` puts date and time in front, which the heading names as well. `pmon`, with a heading of `pid`, is not read.
"""

from __future__ import annotations

from seatrial.ingest.audit.device_columns import SMI_DMON, DeviceReadings, unit_of
from seatrial.ingest.audit.facts import Facts, Quantity
from seatrial.ingest.audit.lines import READ, figure


class SmiDmonReader:
    """Reads the rows below the last heading."""

    name = "nvidia-smi dmon"

    def __init__(self) -> None:
        self._columns: list[str] = []
        self._readings = DeviceReadings()

    def take(self, line: str) -> str | None:
        """READ, why a row is not read, or None where the line is neither heading nor row."""
        text = line.strip()
        if text.startswith("#"):
            return self._heading(_words(text[1:]))
        words = _words(text)
        if not self._columns or not words or not words[0][:1].isdigit():
            return None
        if len(words) != len(self._columns):
            return "a row with more or fewer columns than its heading"
        return self._row(dict(zip(self._columns, words, strict=True)))

    def _heading(self, words: list[str]) -> str | None:
        names = [word.lower() for word in words]
        if "gpu" in names and "pid" in names:
            self._columns = []
            return "processes (nvidia-smi pmon) are not read"
        if "gpu" in names and any(name in SMI_DMON for name in names):
            self._columns = names
            return READ
        if len(names) == len(self._columns) and "idx" in names:  # the line of units below it
            return READ
        return None

    def _row(self, row: dict[str, str]) -> str:
        found: list[tuple[Quantity, float, str]] = []
        try:
            device = int(row["gpu"])
            for name in SMI_DMON:
                quantity, factor = SMI_DMON[name]
                value = figure(row[name], wanted=unit_of(quantity, factor)) if name in row else None
                if value is not None:
                    found.append((quantity, value * factor, ""))
            self._readings.note(None, str(device), found)
        except ValueError as problem:
            return f"a row with {problem}"
        return READ if found else "a row without a figure that is used"

    def facts(self) -> Facts:
        """Readings by device."""
        return Facts(devices=self._readings.series())


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")] if "," in text else text.split()
