"""One run of a test program, as read from its output: nothing is judged here yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Statistic = Literal["max", "mean", "min", "rank0"]
"""What nccl-tests makes of the processes' times (-a): ours is the maximum, its default the mean."""
STATISTICS: dict[int, Statistic] = {0: "rank0", 1: "mean", 2: "min", 3: "max"}
"""By the number that -a takes."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Lines that could not be read, and why. `line` is 1-based, None for a whole file."""

    file: str
    line: int | None
    problem: str

    def in_words(self) -> str:
        return f"{self.file}{'' if self.line is None else f', line {self.line}'}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number as printed: `half` is half a unit of its last printed digit, so the true one lies within it."""

    value: float
    half: float


@dataclass(frozen=True, slots=True)
class Side:
    """The out-of-place or the in-place half of a row."""

    time: Figure
    """Microseconds: the mean over the run's iterations, over the processes by the run's statistic."""
    algorithm: Figure
    """GB/s."""
    bus: Figure
    """GB/s."""
    wrong: float | None
    """Wrong elements; None where results were not checked, or by the greatest error (`checked`)."""
    checked: bool
    """Whether the results were checked at all."""
    iterations: tuple[float, ...] = ()
    """Microseconds of each iteration, the maximum over ranks, where they were kept (-I 1, JSON)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One size. A side is None where the test has none (trace replay)."""

    line: int | None
    """None in JSON."""
    size: int
    """Bytes as nccl-tests counts them: the larger of what one rank sends and receives."""
    count: int
    type: str
    redop: str | None
    root: int | None
    out_of_place: Side | None
    in_place: Side | None

    @property
    def sides(self) -> list[tuple[bool, Side]]:
        """The sides that are there, each with whether it is in place."""
        both = ((False, self.out_of_place), (True, self.in_place))
        return [(in_place, side) for in_place, side in both if side is not None]

    @property
    def place(self) -> str:
        return f"size {self.size}" if self.line is None else f"line {self.line}"


@dataclass(frozen=True, slots=True)
class Device:
    """One device as the run's heading names it."""

    rank: int
    group: int
    host: str
    index: int
    name: str


@dataclass(frozen=True, slots=True)
class Failure:
    """What the log says went wrong; `kind` is one of a record's error kinds."""

    kind: str
    message: str


@dataclass(frozen=True)
class ProgramRun:
    """One invocation of a test program."""

    file: str
    form: Literal["text", "json"]
    first_line: int | None = None
    program: str | None = None
    """`all_reduce_perf`, as the output itself or a command before it says; None where neither does."""
    arguments: str = ""
    """Of the program, where the output or a command before it has them."""
    ranks: int | None = None
    """Ranks of the communicator that is measured; None where nothing says."""
    processes: int | None = None
    """Processes whose times are put together."""
    settings: Mapping[str, int | str] = field(default_factory=dict)
    """nthreads, ngpus, warmup_iters, iterations, aggregated_iterations, validation, graph, ... as stated."""
    devices: tuple[Device, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    statistic: Statistic | None = None
    """None where nothing says."""
    statistic_basis: str = ""
    cpu_time: bool = False
    """The time column is that of the host's calls (-C 1), not that of the operation."""
    rows: tuple[Row, ...] = ()
    out_of_bounds: int | None = None
    """Rows with wrong results as the footer counts them; None without a footer."""
    average_bus_bandwidth: float | None = None
    below_minimum: bool = False
    """NCCL_TESTS_MIN_BW was set and not reached."""
    failures: tuple[Failure, ...] = ()
    mixed: bool = False
    """The lines of several processes without labels: which belongs to which cannot be told."""
    warnings: tuple[str, ...] = ()
    """NCCL WARN lines."""
    json_file: str | None = None
    """The file that the run said it writes as JSON too."""
    started: str | None = None
    ended: str | None = None

    @property
    def concluded(self) -> bool:
        """Whether the run printed its footer: without one it did not end by itself."""
        return self.out_of_bounds is not None

    @property
    def hosts(self) -> list[str]:
        return list(dict.fromkeys(device.host for device in self.devices))

    @property
    def place(self) -> str:
        return self.file if self.first_line is None else f"{self.file}, line {self.first_line}"
