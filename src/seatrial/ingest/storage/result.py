"""What a storage benchmark states, whichever wrote it: nothing is judged by a study here yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from seatrial.ingest.files import Remark
from seatrial.record import Error, Outcome

Direction = Literal["write", "read"]
Label = str | int | float | bool


@dataclass(frozen=True)
class Reading:
    """One figure: a metric's samples with their labels."""

    metric: str
    samples: tuple[float, ...]
    labels: Mapping[str, Label]
    bounded: Direction | None = None
    """Which of the storage's declared rates is its ceiling; None: none is."""


@dataclass(frozen=True)
class StorageResult:
    """One run of a benchmark."""

    place: str
    """How the file is named to the user."""
    source: Path
    sha256: str
    readings: tuple[Reading, ...] = ()
    outcome: Outcome = "completed"
    error: Error | None = None
    hosts: tuple[str, ...] = ()
    host_count: int | None = None
    processes: int | None = None
    """Of all hosts together; None where nothing says."""
    suite: str | None = None
    """`checkpointing` or `training` of MLPerf Storage."""
    model: str | None = None
    jobs: tuple[str, ...] = ()
    """Names of fio's jobs."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What provenance says of it."""
    versions: Mapping[str, str] = field(default_factory=dict)
    started: str = ""
    ended: str = ""


@dataclass(frozen=True)
class Results:
    """Everything that was handed over, in order of path, and what was not read."""

    results: tuple[StorageResult, ...]
    remarks: tuple[Remark, ...]
