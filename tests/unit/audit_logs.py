"""Where the logs for the tests of the audit lie, and how one is read."""

from __future__ import annotations

from pathlib import Path

from seatrial.ingest.audit.facts import DeviceSeries, Facts, TrainingLog
from seatrial.ingest.audit.read import FileReading, read_content, read_file
from seatrial.ingest.files import HandedFile

DATA = Path(__file__).parents[1] / "data" / "audit"
CAPTURED, BY_HAND = DATA / "captured", DATA / "by_hand"


def read(path: Path) -> FileReading:
    """One file's reading."""
    return read_file(HandedFile(path, path.name))


def read_text(text: str) -> FileReading:
    """The reading of a text."""
    return read_content(text.encode(), "log")


def values(facts: Facts, device: str, quantity: str, label: str = "", host: str | None = None) -> tuple[float, ...]:
    """A device's readings of one quantity."""
    found: list[DeviceSeries] = [
        series
        for series in facts.devices
        if (series.device, series.quantity, series.label, series.host) == (device, quantity, label, host)
    ]
    assert len(found) == 1, [(s.host, s.device, s.quantity, s.label) for s in facts.devices]
    return found[0].values


def training(facts: Facts) -> TrainingLog:
    """The only training."""
    assert len(facts.trainings) == 1
    return facts.trainings[0]
