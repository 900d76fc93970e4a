"""What one machine says of itself: made on it by `seatrial.doctor.node`, judged where the doctor runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from pydantic import TypeAdapter


@dataclass(frozen=True)
class Asked:
    """What a machine is asked for."""

    written: Sequence[str] = ()
    """Folders that the study writes to."""
    read: Sequence[str] = ()
    """Files and folders that the study reads."""
    programs: Sequence[str] = ()
    """Programs that the study starts."""
    torch: bool = False
    """Whether torch is imported and its devices are used: it takes seconds."""
    write_mb: int = 0
    """MB written and synced in each folder; 0: none."""
    marker: str = ""
    """Name of the file that every machine must find in the folders; '': none is looked for."""
    seconds: float = 20.0
    """For each part."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Asked:
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Folder:
    """A folder as a machine sees it; sizes in bytes, speed in MB/s (1e6 bytes), None where not known."""

    path: str
    exists: bool = False
    is_folder: bool = False
    readable: bool = False
    writable: bool = False
    made_in: str | None = None
    """The nearest folder above that is there, where this one is not."""
    free: int | None = None
    speed: float | None = None
    marked: bool | None = None
    """Whether the marker was found; None: none was looked for."""
    problem: str = ""


@dataclass(frozen=True)
class Torch:
    """What torch says of itself and of the devices here."""

    version: str = ""
    cuda: str | None = None
    """The CUDA that it was built with."""
    hip: str | None = None
    driver_cuda: str | None = None
    """The newest CUDA that the driver knows."""
    driver: str | None = None
    """The driver's own version."""
    nccl: str | None = None
    has_nccl: bool = False
    devices: Sequence[str] = ()
    """Names of the devices that it reckoned something on."""
    problem: str = ""


@dataclass(frozen=True)
class NodeFacts:
    """One machine. Limits: None is unlimited."""

    host: str
    python: str
    seatrial: str
    at: float
    """Its clock, in seconds since 1970, when it began."""
    locked_memory: int | None
    open_files: int | None
    shared_memory: int | None
    """Bytes of /dev/shm; None: there is none."""
    clock_synchronised: bool | None
    clock_saw: str
    driver: str | None
    infiniband: Sequence[str] = ()
    """A line for each port: device, port, state, rate."""
    infiniband_gbit: float = 0.0
    """Gb/s of all active ports together."""
    vendor: str | None = None
    devices: Sequence[str] = ()
    device_notes: Sequence[str] = ()
    device_problem: str = ""
    torch: Torch | None = None
    folders: Sequence[Folder] = ()
    programs: dict[str, str | None] = field(default_factory=dict)
    """Where each program lies; None: not found."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> NodeFacts:
        """Raises ValueError where `text` is something else."""
        return TypeAdapter(cls).validate_json(text)
