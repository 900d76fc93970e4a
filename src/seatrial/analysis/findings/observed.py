"""The meeting point of gathering and judging: what was observed of one workload, and what was found.

`Observed` is filled from a study's tables and records, or from logs that somebody already has; `diagnose` uses
nothing else. Whatever was not measured is None or empty, and never stands for "fine".

Shares are of the whole time of the training clock and the checkpoints that it stood still for, 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from seatrial.analysis.findings.shift import Shift

Cause = Literal[
    "interconnect",
    "storage",
    "data_loading",
    "compute",
    "framework",
    "straggler_node",
    "failed_node",
    "noise",
    "none",
]
Severity = Literal["major", "minor", "inconclusive", "none", "not_known"]
"""`major` and `minor`: found, its threshold lies below the whole interval; `inconclusive`: the interval holds the
threshold, or what would tell two causes apart was not measured; `none`: looked for and not found; `not_known`: what
it takes to tell was not measured. The last two go with the cause `none`."""
Part = Literal["compute", "communication", "data_wait", "checkpoint_stall", "other"]
"""What a run's time is made of; communication is what no computation hides, waiting for late ranks included."""
PARTS: tuple[Part, ...] = ("compute", "communication", "data_wait", "checkpoint_stall", "other")
Direction = Literal["write", "read"]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval (`low`, `high` None where there is none); `method` says how it was found."""

    value: float
    low: float | None = None
    high: float | None = None
    method: str = "none (one value)"
    n: int = 1
    """Of how many values: steps where the method is a bootstrap of steps, else runs."""

    def over(self, bound: float) -> bool:
        """Whether the whole interval lies over `bound`; without an interval nothing does."""
        return self.low is not None and self.low > bound

    def under(self, bound: float) -> bool:
        """Whether the whole interval lies under `bound`; without an interval nothing does."""
        return self.high is not None and self.high < bound

    def times(self, factor: float) -> Estimate:
        """The figure times a factor that is taken as known (at least 0)."""
        low, high = (None if end is None else end * factor for end in (self.low, self.high))
        return Estimate(self.value * factor, low, high, self.method, self.n)


@dataclass(frozen=True)
class RankTime:
    """One rank's median step: `own_seconds` without waiting for others, `wait_seconds` in communication."""

    rank: int
    own_seconds: float
    host: str | None = None
    wait_seconds: float | None = None


@dataclass(frozen=True)
class Lateness:
    """How long the others wait for whoever is last, as shares of the whole time.

    `total`: mean over steps of (slowest rank's own time - mean own time). `random`: the same if every place had the
    others' median own time, so that only chance decides who is last. `persistent`: what the time would be shorter
    without the slowest place, the next slowest being last. A place is a host; a rank where there is one host, or
    where its host is fine otherwise. `place` names it, `robust_z` is its distance from the other places (None: too
    few), `slowest_in` the share of the steps in which it was last. Where several places are slower than the fastest
    half, all that is said of the place is said of them together (`slow_places` of them, on `hosts`).
    """

    total: Estimate
    random: Estimate | None = None
    persistent: Estimate | None = None
    place: str | None = None
    host: str | None = None
    ranks: tuple[int, ...] = ()
    places: int = 0
    """How many places were compared."""
    over_median: Estimate | None = None
    """The place's own time over the others' median own time."""
    robust_z: float | None = None
    slowest_in: float | None = None
    hosts: tuple[str, ...] = ()
    slow_places: int = 1


@dataclass(frozen=True)
class Noise:
    """Spread of the step time within runs: CoV, P95/P50, share of steps over 1.5 medians (hiccups).

    `lost`: mean step time less the usual level, over the mean: the share of time that slow steps add. The level is
    the run's median, of a run with a shift its lower one. Never below 0; steps under it that save more are `saved`.
    """

    cov: Estimate | None = None
    p95_over_p50: Estimate | None = None
    hiccups: Estimate | None = None
    lost: Estimate | None = None
    saved: float = 0.0
    shifts: tuple[Shift, ...] = ()


@dataclass(frozen=True)
class Reading:
    """A figure of a probe: what was measured, and how near it comes to its ceiling and to its fleet."""

    what: str
    value: Estimate
    unit: str
    fraction_of_ceiling: Estimate | None = None
    ceiling_basis: str | None = None
    case_id: str | None = None


@dataclass(frozen=True)
class SlowPair:
    """Two ends of the fabric (or one end with all of its pairs) that stand out below the typical pair."""

    first: str
    second: str | None
    gbps: float
    ratio: float
    """To the typical pair."""
    p: float | None = None
    """That a uniform fabric shows it."""


@dataclass(frozen=True)
class Fabric:
    """What probes of the interconnect read; `pairs` is how many pairs were compared (0: none was)."""

    collectives: tuple[Reading, ...] = ()
    bisection: tuple[Reading, ...] = ()
    pairs: int = 0
    typical_pair: Reading | None = None
    slow: tuple[SlowPair, ...] = ()
    untold: str = ""
    """Why no slow pair can be told from the others, where that is so."""


@dataclass(frozen=True)
class Storage:
    """What probes of the storage read, and what the training's own checkpoints say."""

    bandwidth: Mapping[Direction, Reading] = field(default_factory=dict)
    """Of checkpoints, by direction, as far as storage was reached."""
    other: tuple[Reading, ...] = ()
    """Results of storage benchmarks (fio, MLPerf Storage)."""
    optimum_share: float | None = None
    """Share of time that checkpoints cost at least, at the interval that costs least (Young, Daly)."""
    interval_seconds: float | None = None
    """Between the training's own checkpoints."""
    stall_seconds: float | None = None
    """The training's own median stall for one checkpoint."""
    checkpoint_gbps: float | None = None
    """The training's own: bytes of a checkpoint over its stall."""
    note: str = ""


@dataclass(frozen=True)
class Loading:
    """What the data loader supplies against what the training needs, in samples/s of all ranks."""

    supply: Reading
    needed: float | None = None
    from_storage: bool | None = None
    """Whether the bytes were seen to come from storage; None: nothing counts them."""
    storage_gbps: float | None = None
    workers: int | None = None
    workers_needed: int | None = None


@dataclass(frozen=True)
class DeviceReading:
    """One device's figure of a probe beside its fleet; `slow` None where the fleet is too small to tell."""

    host: str
    rank: int
    device: str
    metric: str
    value: float
    unit: str
    ratio: float | None = None
    """To the fleet's median."""
    robust_z: float | None = None
    slow: bool | None = None
    fraction_of_ceiling: float | None = None


@dataclass(frozen=True)
class DeviceTelemetry:
    """What was sampled of one device beside the workload: MHz, W, °C; utilisation and `throttled` 0 to 1."""

    host: str
    device: str
    throttled: Mapping[str, float] = field(default_factory=dict)
    """Share of the readings at which the clock was held down, by reason."""
    sm_clock: float | None = None
    power: float | None = None
    utilisation: float | None = None
    temperature: float | None = None


@dataclass(frozen=True)
class Failure:
    """A repeat or an attempt that ended badly, and the host that it is laid to (None: not known)."""

    kind: str
    """One of seatrial.errors.ERROR_KINDS, or `xid` for a device error in a log."""
    message: str
    host: str | None = None
    where: str = ""
    """The case and repeat, or the log."""
    lost_seconds: float | None = None


@dataclass(frozen=True)
class Observed:
    """All that is known of one workload: a training's case with the probes of its study, or one folder of logs.

    With `shares` empty the split of the step was not measured. `whole_seconds` is the time that shares are of, all
    runs together.
    """

    where: str
    """A case id, or what the logs call it."""
    title: str
    source: Literal["study", "logs"] = "study"
    runs: int = 0
    runs_planned: int | None = None
    hosts: tuple[str, ...] = ()
    ranks: int | None = None
    whole_seconds: float | None = None
    step_seconds: Estimate | None = None
    minutes_to_quality: Estimate | None = None
    shares: Mapping[Part, Estimate] = field(default_factory=dict)
    transfer: Estimate | None = None
    """Share of communication that is no waiting for whoever was late; None where lateness was not measured."""
    productive: Estimate | None = None
    split_note: str = ""
    """Why the split, or a part of it, is not there."""
    profiled_exposed: Estimate | None = None
    """Share of the step with communication and no computation beside it, from profiles of the devices."""
    rank_times: tuple[RankTime, ...] = ()
    lateness: Lateness | None = None
    work_lateness: Lateness | None = None
    """The same of ranks' own work without their waiting for data; None where that is not known by rank."""
    data_held: Estimate | None = None
    """Share of the time that would not be there if no rank waited for data, nor others for one that does."""
    noise: Noise | None = None
    mfu: Estimate | None = None
    over_reference: Estimate | None = None
    """Time to quality over the reference's (1.3: 30 % slower)."""
    slower_than_reference: bool | None = None
    """Whether that is beyond the study's threshold, by the whole interval; None: no reference, or not known."""
    fabric: Fabric | None = None
    storage: Storage | None = None
    loading: tuple[Loading, ...] = ()
    devices: tuple[DeviceReading, ...] = ()
    gemm: tuple[Reading, ...] = ()
    telemetry: tuple[DeviceTelemetry, ...] = ()
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True)
class Finding:
    """A cause with the evidence for it and what to do next; an entry of findings.json has these names."""

    cause: Cause
    severity: Severity
    title: str
    """One sentence: what holds the workload back, and where."""
    where: str
    """The case or log that it is of, with the host, device or pair where one is named."""
    evidence: tuple[str, ...]
    """The numbers that it rests on."""
    action: str
    """What to do next, in one sentence."""
    counter_evidence: tuple[str, ...] = ()
    """What would speak against it, looked for: found, not found, or not measured."""
    cost: Estimate | None = None
    """Share of the time that it costs; None where that is not known."""
    without_it: str = ""
    """What step time and time to quality would be without it, and on what assumption."""
    next_step: str = ""
    """What to measure or change, with the command where there is one."""
    remedy_cost: str = ""
    """What the remedy costs, in words: what must be bought, stopped or measured first."""
    place: Mapping[str, Any] = field(default_factory=dict)
    """The case, and the host, device, rank or pair where one is named."""
