"""What logs of other programs say, as they say it: seconds, shares from 0 to 1, MHz, W and degrees Celsius.

What a log does not say is None, absent or empty. Nothing here is derived beyond the change of a unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Quantity = Literal[
    "utilisation",
    "memory_utilisation",
    "engine_active",
    "sm_active",
    "sm_occupancy",
    "tensor_active",
    "dram_active",
    "sm_clock",
    "power",
    "temperature",
    "throttled",
]
"""`utilisation`: share of the time in which a kernel ran, however little of the device it used; `engine_active` the
same as DCGM counts it; `sm_active`: mean share of the multiprocessors that had a warp (DCGM_FI_PROF_SM_ACTIVE)."""
Doing = Literal["compute", "communication", "data_wait", "checkpoint_stall", "other"]


@dataclass(frozen=True, slots=True)
class DeviceSeries:
    """All readings of one quantity of one device, in the order of the log."""

    device: str
    quantity: Quantity
    values: tuple[float, ...]
    host: str | None = None
    label: str = ""
    """Of `throttled`: the reason."""


@dataclass(frozen=True, slots=True)
class StepTime:
    """Mean seconds of `count` steps that end with step `step`.

    `stretch` counts how often the steps' numbers went back before it, as they do where a training was restarted.
    """

    step: int
    seconds: float
    count: int = 1
    stretch: int = 0


@dataclass(frozen=True, slots=True)
class Save:
    """Seconds that a training stood still for one checkpoint, as the training says."""

    seconds: float
    step: int | None = None
    stretch: int = 0


@dataclass(frozen=True, slots=True)
class StepParts:
    """What a step's time was spent on, as far as that is told, and how far the ranks lay apart."""

    step: int | None
    seconds: Mapping[Doing, float]
    own_seconds: Mapping[int, float] = field(default_factory=dict)
    """By rank: time in computation, loading data included where `data_seconds` has it."""
    data_seconds: Mapping[int, float] = field(default_factory=dict)
    """By rank: what of `own_seconds` is waiting for data; empty where that is not told by rank."""
    spread: tuple[float, float] | None = None
    """The fastest and the slowest rank's time in computation."""
    stretch: int = 0


@dataclass(frozen=True)
class TrainingLog:
    """One training as its own log tells it."""

    framework: str
    steps: tuple[StepTime, ...] = ()
    saves: tuple[Save, ...] = ()
    parts: tuple[StepParts, ...] = ()
    seconds: float | None = None
    """Of the whole training, where the log states that; saving and evaluating included."""
    steps_done: int | None = None
    unmeasured_saves: int = 0
    """Checkpoints that the log mentions without saying how long they took."""
    mfu: tuple[float, ...] = ()
    """Model FLOPs utilisation as the framework reckons it, 0 to 1."""
    ranks: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One step of one rank's profile: its seconds, and what they went to; the parts add up to `seconds`."""

    step: int
    seconds: float
    parts: Mapping[Doing, float]


@dataclass(frozen=True)
class Trace:
    """One profile (Kineto) of one device of one rank, or of a rank's main thread where no device was profiled."""

    steps: tuple[TraceStep, ...]
    basis: str
    """Whose time is split: which device's kernels, or which thread."""
    rank: int | None = None
    world_size: int | None = None
    host: str | None = None
    backend: str | None = None


@dataclass(frozen=True, slots=True)
class LogFailure:
    """A line that tells of a failure: `kind` as in seatrial.errors.ERROR_KINDS, or `xid`."""

    kind: str
    message: str
    host: str | None = None


@dataclass(frozen=True)
class Facts:
    """All that one file says."""

    devices: tuple[DeviceSeries, ...] = ()
    trainings: tuple[TrainingLog, ...] = ()
    traces: tuple[Trace, ...] = ()
    failures: tuple[LogFailure, ...] = ()

    def __add__(self, other: Facts) -> Facts:
        return Facts(
            self.devices + other.devices,
            self.trainings + other.trainings,
            self.traces + other.traces,
            self.failures + other.failures,
        )

    @property
    def empty(self) -> bool:
        """Whether nothing is in them."""
        return not (self.devices or self.trainings or self.traces or self.failures)
