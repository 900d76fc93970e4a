"""tables/checkpoint_interval.csv: from the bandwidth to the interval between checkpoints and what it costs.

A row for the probe's own size, one for every model that the case names (extrapolated: the measured bandwidth at
another size, with the failures of the model's own accelerators), and one for every training of the study that stood
still for checkpoints, by its measured stall. A model with many times the bytes that were measured, or with many
more or fewer accelerators that write them, has no standing.
Ends of intervals are carried through: every figure here rises or falls with the seconds of a checkpoint, and the
share that is lost with those of a restart too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seatrial.analysis.checkpointing import (
    FIRST_ORDER,
    HOUR,
    NO_PROGRESS,
    blocking_share,
    checkpoint_bytes,
    daly_interval,
    required_bandwidth,
    seconds_between_failures,
    waste,
    young_interval,
)
from seatrial.analysis.measurements import medians_by_repeat, read_measurements
from seatrial.analysis.statistics import median, median_interval
from seatrial.analysis.tables import write_csv
from seatrial.case import Case
from seatrial.config.probe import Checkpoint
from seatrial.config.probe.checkpoint import Model, Schedule
from seatrial.config.target import Reliability
from seatrial.config.training import Training
from seatrial.paths import StudyPaths
from seatrial.units import GB, format_figure

FIGURES = ("seconds", "young_seconds", "daly_seconds", "blocking_share", "waste")
COLUMNS = (
    "study",
    "target",
    "experiment",
    "case_id",
    "source",
    "model",
    "parameters",
    "checkpoint_bytes",
    "extrapolated",
    "times_measured",
    "write_gbps",
    *(f"{name}{end}" for name in FIGURES for end in ("", "_low", "_high")),
    "restart_seconds",
    "restart_seconds_low",
    "restart_seconds_high",
    "accelerators",
    "accelerators_basis",
    "hours_between_failures",
    "failure_source",
    "interval_seconds",
    "interval_basis",
    "overhead",
    "overhead_source",
    "required_gbps",
    "standing",
    "note",
)
"""`source`: probe or training; `standing`: whether blocking_share is within, beyond or not told apart from overhead
(inconclusive), none where too much was extrapolated; `times_measured`: bytes over those that were measured;
`restart_seconds`: reading the checkpoint once, in `waste` where a read reached storage."""
MEASURED = "as measured"
NO_RESTART = "restarting is not in what is lost: no read of it was measured"
SCHEDULES_DIFFER = "the study's checkpoint cases have different schedules, and none of them is this training's"
STALL = "train.checkpoint_stall_time"
Row = dict[str, Any]


@dataclass(frozen=True)
class Seconds:
    """Of one checkpoint written or read, with the interval where there is one."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Job:
    """What is saved, and how often it fails."""

    accelerators: int
    basis: str
    reliability: Reliability
    schedule: Schedule

    @property
    def between_failures(self) -> float | None:
        """Seconds; None where the fact has no value."""
        hours = self.reliability.accelerator_hours_between_failures.value
        return None if hours is None else seconds_between_failures(hours, self.accelerators)


def checkpoint_interval(
    paths: StudyPaths, cases: Sequence[Case], measured: Sequence[Row], everything: Sequence[Case]
) -> None:
    """Write the table from the rows of checkpoint.csv and the trainings among `everything`."""
    rows: list[Row] = []
    for case in cases:
        assert isinstance(case.workload, Checkpoint)
        of_case = {r["direction"]: r for r in measured if r["case_id"] == case.case_id and _stored(r)}
        rows += _of_probe(case, case.workload, of_case.get("write"), of_case.get("read"))
    rows += _of_trainings(paths, cases, everything)
    write_csv(paths.probe_table("checkpoint_interval"), COLUMNS, rows)


def _stored(row: Row) -> bool:
    return row.get("reached") == "storage"


def _of_probe(case: Case, work: Checkpoint, write: Row | None, read: Row | None) -> list[Row]:
    if write is None:
        unknown = {"source": "probe", "model": MEASURED, "parameters": work.parameters, "extrapolated": False}
        unknown |= {"checkpoint_bytes": work.size_bytes, "note": "no write was seen to reach storage"}
        return [_head(case) | unknown]
    models = sorted(work.schedule.models.items(), key=lambda model: model[1].parameters)
    return [_of_model(case, work, MEASURED, None, write, read)] + [
        _of_model(case, work, name, model, write, read) for name, model in models
    ]


def _of_model(case: Case, work: Checkpoint, name: str, model: Model | None, write: Row, read: Row | None) -> Row:
    """The row of a model, or (None) of what the case itself wrote."""
    parameters = work.parameters if model is None else model.parameters
    size = checkpoint_bytes(parameters, work.bytes_per_parameter)
    times = size / work.size_bytes
    restart = None if read is None else _seconds(size, read)
    row = _head(case) | {
        "source": "probe",
        "model": name,
        "parameters": parameters,
        "checkpoint_bytes": size,
        "extrapolated": model is not None,
        "times_measured": times,
        "write_gbps": write["gbps"],
        **({} if restart is None else _ends("restart_seconds", restart, lambda r: r)),
    }
    job = _job(case, work.schedule, model)
    if job is None:
        return row | {"note": "neither the target nor the workload says how often something breaks"}
    row |= _reckoned(_seconds(size, write), job, size, restart)
    if model is not None and (far := _too_far(work.schedule, times, model.accelerators, _accelerators(case))):
        row |= {"standing": None, "note": "; ".join(filter(None, [far, row.get("note")]))}
    return row


def _too_far(schedule: Schedule, times: float, accelerators: int, measured: int) -> str | None:
    """Why a model is too far from what was measured to be held against the overhead; None: it is not."""
    reasons = []
    if times > (bound := schedule.extrapolation.value):
        reasons.append(
            f"the checkpoint is {format_figure(times, 3)} times as large as the one measured (bound {bound:g})"
        )
    if max(accelerators / measured, measured / accelerators) > (bound := schedule.scale.value):
        reasons.append(f"{accelerators:,} accelerators write it, {measured:,} did (bound: {bound:g} times)")
    return "; ".join(reasons) or None


def _accelerators(case: Case) -> int:
    """Of a case; on a target without any its ranks."""
    return case.target.accelerators or case.target.world_size


def _seconds(size: float, row: Row) -> Seconds:
    """Seconds at the bandwidth of a measured row: its upper end gives the lower one."""
    low, high = row["gbps_low"], row["gbps_high"]
    return Seconds(
        size / GB / row["gbps"],
        None if high is None else size / GB / high,
        None if low is None else size / GB / low,
    )


def _of_trainings(paths: StudyPaths, cases: Sequence[Case], everything: Sequence[Case]) -> list[Row]:
    """Trainings that stood still for checkpoints, with the schedule that all checkpoint cases share."""
    trainings = [case for case in everything if isinstance(case.workload, Training)]
    if not trainings:
        return []
    measurements, schedule = read_measurements(paths), _shared_schedule(cases)
    rows = []
    for case in trainings:
        stalls = medians_by_repeat(measurements, case.case_id, STALL)
        value = median(stalls)
        if value is None or value <= 0:
            continue
        interval = median_interval(stalls)
        seconds = Seconds(value, interval.low, interval.high)
        head = _head(case) | {"source": "training", "model": case.experiment, "extrapolated": False}
        if schedule is None:
            rows.append(head | _ends("seconds", seconds, lambda c: c) | {"note": SCHEDULES_DIFFER})
        elif (job := _job(case, schedule)) is not None:
            rows.append(head | _reckoned(seconds, job, None, None))
    return rows


def _shared_schedule(cases: Sequence[Case]) -> Schedule | None:
    """The schedule of all checkpoint cases; None where they differ in what concerns a training."""
    found = [case.workload.schedule for case in cases if isinstance(case.workload, Checkpoint)]
    said = [schedule.model_dump(exclude={"models", "extrapolation", "scale"}) for schedule in found]
    return found[0] if all(one == said[0] for one in said) else None


def _head(case: Case) -> Row:
    return {
        "study": case.study,
        "target": case.target.name,
        "experiment": case.experiment,
        "case_id": case.case_id,
    }


def _job(case: Case, schedule: Schedule, model: Model | None = None) -> Job | None:
    """The job that trains `model` or is the case's own; None where nobody says how often something breaks."""
    reliability = case.target.reliability or schedule.reliability
    if reliability is None:
        return None
    if model is not None:
        basis = "of the model" if model.source is None else f"of the model: {model.source}"
        return Job(model.accelerators, basis, reliability, schedule)
    if schedule.accelerators is not None:
        return Job(schedule.accelerators, "given", reliability, schedule)
    basis = "of the case" if case.target.accelerators else "ranks, for want of accelerators"
    return Job(_accelerators(case), basis, reliability, schedule)


def _reckoned(seconds: Seconds, job: Job, size: float | None, restart: Seconds | None) -> Row:
    """Everything that follows from the seconds of a checkpoint, those of reading it and the failures of a job."""
    fact, schedule = job.reliability.accelerator_hours_between_failures, job.schedule
    mu = job.between_failures
    row: Row = {
        **_ends("seconds", seconds, lambda c: c),
        "accelerators": job.accelerators,
        "accelerators_basis": job.basis,
        "failure_source": fact.source,
        "overhead": schedule.overhead.value,
        "overhead_source": schedule.overhead.source,
    }
    if mu is None:
        return row | {"note": "how often something breaks is not known"}
    given = None if schedule.interval_minutes is None else schedule.interval_minutes * 60
    row["hours_between_failures"] = mu / HOUR
    if size is not None:
        row["required_gbps"] = required_bandwidth(size, schedule.overhead.value, mu, given) / GB
    if seconds.value >= NO_PROGRESS * mu:
        return row | {"standing": "beyond", "note": "a job that fails so often makes no progress at any interval"}

    def interval(c: float) -> float:
        return young_interval(c, mu) if given is None else given

    row |= {
        "interval_seconds": interval(seconds.value),
        "interval_basis": "Young" if given is None else "given",
        **_ends("young_seconds", seconds, lambda c: young_interval(c, mu)),
        **_ends("daly_seconds", seconds, lambda c: daly_interval(c, mu)),
        **_ends("blocking_share", seconds, lambda c: blocking_share(c, interval(c))),
        **_waste(seconds, restart, lambda c, r: min(1.0, waste(c, interval(c), mu, r))),
    }
    row["standing"] = _standing(row, schedule.overhead.value)
    notes = [] if restart is not None else [NO_RESTART]
    if seconds.value > FIRST_ORDER * mu:
        notes.insert(0, "a checkpoint takes more than a tenth of the time between failures: figures are rough")
    return row | {"note": "; ".join(notes) or None}


def _waste(seconds: Seconds, restart: Seconds | None, follows: Callable[[float, float], float]) -> Row:
    """The share that is lost, its ends from those of both times; without a restart where none was measured."""
    again = restart if restart is not None else Seconds(0.0, 0.0, 0.0)
    row: Row = {"waste": follows(seconds.value, again.value)}
    pairs = [(seconds.low, again.low), (seconds.high, again.high)]
    ends = [follows(c, r) for c, r in pairs if c is not None and r is not None]
    if len(ends) == len(pairs):
        row["waste_low"], row["waste_high"] = sorted(ends)
    return row


def _ends(name: str, seconds: Seconds, follows: Callable[[float], float]) -> Row:
    """What follows from the value and from both ends, in order of size."""
    row: Row = {name: follows(seconds.value)}
    if seconds.low is not None and seconds.high is not None:
        row[f"{name}_low"], row[f"{name}_high"] = sorted((follows(seconds.low), follows(seconds.high)))
    return row


def _standing(row: Mapping[str, Any], overhead: float) -> str:
    low, high = row.get("blocking_share_low"), row.get("blocking_share_high")
    if low is None or high is None:
        return "inconclusive"
    if high <= overhead:
        return "within"
    return "beyond" if low > overhead else "inconclusive"
