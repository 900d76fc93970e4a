"""What has become of every repeat so far."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from seatrial.analysis.attempts import Attempts, cause, read_attempts
from seatrial.analysis.inputs import is_ingested, read_cases, read_plan
from seatrial.case import Case
from seatrial.errors import UnreadableFile
from seatrial.own_record import not_its_own
from seatrial.paths import StudyPaths
from seatrial.record import Record
from seatrial.status.estimate import Estimate, estimate
from seatrial.status.jobs import SECONDS, Job, Jobs, jobs_under_way
from seatrial.status.nodes import OutOfService, out_of_service
from seatrial.study_lock import Holder, working

STATES = (
    "completed",
    "running",
    "suspended",
    "pending",
    "submitted",
    "ended",
    "waiting",
    "failed",
    "unsupported",
    "aborted",
    "missing",
)
"""In the order in which they are told. `waiting`: not submitted yet; `missing`: no record, nothing under way."""


@dataclass(frozen=True)
class RepeatState:
    """One repeat: its state, and what is known with it (None: not known, or not of this state)."""

    case: Case
    repeat: int
    state: str
    kind: str | None = None
    """Of a failure: the kind of error."""
    why: str | None = None
    """Why it failed, is missing, or (Slurm's reason) why its job waits or is suspended."""
    job_id: str | None = None
    nodes: str | None = None
    since: dt.datetime | None = None
    minutes: float | None = None
    """Of a completed repeat: how long it took."""

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "experiment": self.case.experiment,
            "case_id": self.case.case_id,
            **{name: value for name, value in vars(self).items() if name != "case"},
            "since": None if self.since is None else self.since.isoformat(),
        }


@dataclass(frozen=True)
class Standing:
    """A study at one moment."""

    study: str
    at: dt.datetime
    holder: Holder | None
    repeats: tuple[RepeatState, ...]
    estimate: Estimate
    silent: str | None
    """What Slurm or the executor's folder did not say, and why."""
    out_of_service: tuple[OutOfService, ...] = ()
    """Nodes that take no jobs; asked for only while a job waits."""

    @property
    def counts(self) -> dict[str, int]:
        """How many repeats are in each state, in the order of STATES; only those that occur."""
        return _in_order(repeat.state for repeat in self.repeats)

    @property
    def case_counts(self) -> dict[str, int]:
        """How many cases are in each state: completed if all repeats are, else the first in STATES of the others.

        So a case is under way while anything of it is.
        """
        states: dict[str, set[str]] = defaultdict(set)
        for repeat in self.repeats:
            states[repeat.case.case_id].add(repeat.state)
        return _in_order(min(found - {"completed"} or {"completed"}, key=STATES.index) for found in states.values())

    def to_json(self) -> dict[str, Any]:
        """The same as plain values; times are ISO 8601 in UTC."""
        return {
            "study": self.study,
            "at": self.at.isoformat(timespec="seconds"),
            "worked_on_by": None if self.holder is None else vars(self.holder),
            "counts": self.counts,
            "cases": self.case_counts,
            "estimate": self.estimate.to_json(),
            "not_known": self.silent,
            "out_of_service": [nodes.to_json() for nodes in self.out_of_service],
            "repeats": [r.to_json() for r in self.repeats],
        }


def standing(paths: StudyPaths, at: dt.datetime, seconds: float = SECONDS) -> Standing:
    """How the study stands at `at` (now, in UTC); Slurm may take `seconds` to answer, each of two times.

    Raises UnreadableFile where study.json or a case file cannot be read.
    """
    plan = read_plan(paths)
    paths = StudyPaths(paths.root.resolve())
    holder, jobs = working(paths.lock), jobs_under_way(paths, seconds)
    cases = read_cases(paths, plan)
    repeats = tuple(_state(paths, case, n, jobs, holder) for case, n in _planned(cases))
    left = estimate([(r.case, r.state, r.since, r.minutes) for r in repeats], at)
    # why a job waits for nodes stands with the nodes: of the job Slurm says no more than that it does
    waiting = {r.case.target.launcher.partition for r in repeats if r.state == "pending"}
    nodes, unsaid = out_of_service(waiting, seconds) if waiting else ((), None)
    return Standing(plan.study.name, at, holder, repeats, left, jobs.silent or unsaid, nodes)


def _in_order(states: Iterable[str]) -> dict[str, int]:
    found = Counter(states)
    return {state: found[state] for state in STATES if found[state]}


def _planned(cases: list[Case]) -> Iterator[tuple[Case, int]]:
    return ((case, number) for case in cases for number in range(case.repeats))


def _state(paths: StudyPaths, case: Case, number: int, jobs: Jobs, holder: Holder | None) -> RepeatState:
    path = paths.record(case.case_id, number)
    log = paths.measure_log(case.case_id, number)
    job, problem = jobs.by_log.get(log), None
    if path.exists():
        try:
            record = Record.read(path)
            problem = not_its_own(record, case, number)
        except UnreadableFile as unreadable:
            problem = f"cannot be read: {unreadable.problem.splitlines()[0]}"
        else:
            if problem is None and (job is None or job.state == "ended"):
                return _of_record(case, number, record)
    if job is not None and (job.state != "ended" or holder is not None):
        return _of_job(case, number, job)
    if problem is not None:
        return RepeatState(case, number, "missing", why=f"{path.name} {problem}; the next start puts it aside")
    attempts = read_attempts(paths.attempts(case.case_id, number))
    if holder is not None and not is_ingested(case) and not _tried(attempts, holder):
        return RepeatState(case, number, "waiting")
    why = cause(attempts, log)
    return RepeatState(case, number, "missing", kind=why.kind, why=why.message)


def _tried(attempts: Attempts | None, holder: Holder) -> bool:
    """Whether the Snakemake that works on the study has seen an attempt of it end (it may begin another)."""
    last = attempts.last if attempts is not None else None
    ended = None if last is None else last.get("ended_at")
    return isinstance(ended, str) and (_minutes(holder.since, ended) or 0.0) > 0


def _of_record(case: Case, number: int, record: Record) -> RepeatState:
    if record.error is not None:
        return RepeatState(case, number, record.outcome, kind=record.error.kind, why=record.error.message)
    return RepeatState(case, number, record.outcome, minutes=_minutes(record.started_at, record.finished_at))


def _of_job(case: Case, number: int, job: Job) -> RepeatState:
    return RepeatState(case, number, job.state, why=job.reason, job_id=job.job_id, nodes=job.nodes, since=job.since)


def _minutes(begin: str, end: str) -> float | None:
    try:
        return (dt.datetime.fromisoformat(end) - dt.datetime.fromisoformat(begin)).total_seconds() / 60
    except (ValueError, TypeError):
        return None
