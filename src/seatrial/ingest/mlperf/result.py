"""What an MLPerf Training result folder holds, as read: nothing here is scored yet.

Times are milliseconds since 1970, as the logs write them, unless a name says minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MS_PER_MINUTE = 60_000.0


@dataclass(frozen=True, slots=True)
class Unread:
    """A folder or log that could not be read, and why. `path` is inside what was read."""

    path: str
    problem: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation of a run: when, after how much training, and what it gave."""

    time_ms: float
    position: float | None
    """metadata.samples_count, else epoch_num: the unit is the benchmark's."""
    value: float
    metric: str | None = None
    """metadata.metric (FID or CLIP of stable_diffusion), None elsewhere."""


@dataclass(frozen=True, slots=True)
class Run:
    """One `result_*.txt`."""

    path: str
    """Inside what was read, with `/`."""
    benchmark: str | None
    """submission_benchmark."""
    division: str | None
    """submission_division."""
    problems: tuple[str, ...]
    """Why the compliance check of the round refuses the log, in words; empty: it passes."""
    status: str | None
    """metadata.status of run_stop (success, aborted); None without run_stop."""
    started_ms: float | None
    """run_start."""
    stopped_ms: float | None
    """run_stop."""
    converged: bool
    """Whether the reference-convergence check counts the run as converged."""
    to_quality: float | None
    """Samples or epochs (the benchmark's unit) at which the quality was reached; None where it was not."""
    global_batch_size: float | None
    convergence_problem: str | None
    """Why MLCommons' convergence check cannot read the log; None: it can."""
    seeds: tuple[int, ...]
    evaluations: tuple[Evaluation, ...]
    throughputs: tuple[float, ...]
    """tracked_stats.throughput, samples per second; empty where the stack logs none."""
    broken_lines: int
    """Lines with the token that could not be parsed."""
    energy_joules: float | None = None
    """From the power logs, where the folder has them."""

    @property
    def minutes(self) -> float | None:
        """Time to train, run_start to run_stop."""
        if self.started_ms is None or self.stopped_ms is None:
            return None
        return (self.stopped_ms - self.started_ms) / MS_PER_MINUTE


@dataclass(frozen=True, slots=True)
class System:
    """A system description, `<Submitter>/systems/<system_id>.json`; None where a field is absent or no number."""

    submitter: str | None
    division: str | None
    status: str | None
    """As written; ten spellings of four availabilities."""
    name: str | None
    nodes: int | None
    accelerators_per_node: int | None
    accelerator_model: str | None
    """Free text; empty or 'N/A' on machines without accelerators."""
    framework: str | None
    description: Mapping[str, Any]
    """The whole file."""

    @property
    def accelerators(self) -> int | None:
        """nodes x accelerators_per_node; 0 on machines without accelerators."""
        if self.nodes is None or self.accelerators_per_node is None:
            return None
        return self.nodes * self.accelerators_per_node


@dataclass(frozen=True, slots=True)
class ResultFolder:
    """`<Submitter>/results/<system_id>/<benchmark>`: the runs of one system on one benchmark."""

    round: str
    path: str
    """Inside what was read, with `/`."""
    submitter_folder: str
    system_id: str
    benchmark: str
    """The folder's name, as that round spells the benchmark."""
    system: System | None
    """None where the folder was handed over without a system description."""
    scaling_factor: float | None
    """The committed scaling.json; None where there is none."""
    scaling_problem: str | None
    """Why a scaling.json that is there cannot be read: without it there is no score."""
    power: bool
    """Whether the folder holds power logs."""
    remarks: tuple[str, ...]
    """What was read otherwise than it stands there, in words."""
    runs: tuple[Run, ...]
    """By file name."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything found in what was read."""

    folders: tuple[ResultFolder, ...]
    """By path."""
    unread: tuple[Unread, ...]
    """By path."""
