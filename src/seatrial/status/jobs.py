"""Which jobs of a study are under way: the executor's notes in its folder, and one question to Slurm's queue."""

from __future__ import annotations

import datetime as dt
import json
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from seatrial.paths import StudyPaths
from seatrial.status.slurm_commands import answer, time_of
from seatrial.study_lock import Holder, read_holder

SUBMISSIONS = ".snakemake/submitit"
"""The executor's folder where Snakemake was started, unless it says otherwise."""
SECONDS = 10.0
"""Squeue may take this long to answer."""
QUEUE_FORMAT = "%F|%K|%A|%T|%S|%N|%r"
WAITS = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD")

SUSPENDED = ("SUSPENDED", "STOPPED")
"""It has begun, and nothing of it goes on."""

JobState = Literal["pending", "running", "suspended", "submitted", "ended"]
"""`submitted`: it is not known whether it waits or runs; `ended`: Snakemake has not taken note of that yet."""


@dataclass(frozen=True)
class Job:
    """A job that was submitted and of whose end the executor has not noted anything."""

    job_id: str
    state: JobState
    reason: str | None = None
    """Why it waits or is suspended, in Slurm's word."""
    nodes: str | None = None
    since: dt.datetime | None = None
    """When it began to run, in UTC."""


@dataclass(frozen=True)
class Jobs:
    """The jobs of a study by their log files (resolved); `silent`: why no more is known of them, in words."""

    by_log: Mapping[Path, Job]
    silent: str | None = None


@dataclass(frozen=True)
class _Note:
    """What the executor noted of a job that was submitted."""

    log: Path
    folder: Path
    job_id: str
    cluster: str | None
    host: str | None
    """Where the processes of a local job are; None: where Snakemake is."""


def jobs_under_way(paths: StudyPaths, seconds: float = SECONDS) -> Jobs:
    """What is under way; Slurm is asked once, and only where a job of it is. Never raises for what it finds."""
    holder = read_holder(paths.lock)
    here, submissions = _where(holder)
    try:
        notes = list(_submitted(submissions / "ledger.jsonl", here))
    except PermissionError:
        return Jobs({}, f"{submissions} belongs to another user, and says alone which jobs wait and run")
    except (OSError, ValueError) as problem:
        return Jobs({}, f"{submissions / 'ledger.jsonl'} cannot be read ({problem}): which jobs wait is not known")
    queue, silent = None, None
    if any(note.cluster == "slurm" for note in notes):
        queue, silent = _queue(seconds)
    found, unseen = {}, set()
    for note in notes:
        job = _started(note.folder, note.job_id)
        if note.cluster == "slurm" and queue is not None:
            job = queue.get(job.job_id) or replace(job, state="ended")
        elif note.cluster == "local":
            host = note.host or (holder.host if holder is not None else socket.gethostname())
            if host != socket.gethostname():
                unseen.add(str(host))
            elif not _lives(note.folder, note.job_id):
                job = replace(job, state="ended")
        found[note.log] = job
    if unseen:
        hosts = ", ".join(sorted(unseen))
        unsaid = f"jobs of {hosts} cannot be seen from here: what their ranks have written last is told"
        silent = f"{silent}; {unsaid}" if silent else unsaid
    return Jobs(found, silent)


def _where(holder: Holder | None) -> tuple[Path, Path]:
    """Where Snakemake was started, and the executor's folder."""
    folder = Path.cwd() if holder is None else Path(holder.folder)
    return folder, folder / (holder.submissions if holder and holder.submissions else SUBMISSIONS)


def _submitted(ledger: Path, here: Path) -> Iterator[_Note]:
    """The executor's notes on jobs that were submitted and have not been seen to end: of each job its last one.

    A note of another form is passed over; paths are relative to `here`.
    """
    try:
        text = ledger.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    last: dict[str, dict[str, Any]] = {}
    for line in text.split("\n")[:-1]:  # what follows the last line's end is still being written
        entry = _read(line)
        if isinstance(entry.get("key"), str):
            last[entry["key"]] = entry
    for entry in last.values():
        note = _note(entry, here) if entry.get("status") == "submitted" else None
        if note is not None:
            yield note


def _note(entry: Mapping[str, Any], here: Path) -> _Note | None:
    log, folder, job_id = (_word(entry, name) for name in ("log", "folder", "job_id"))
    if log is None or folder is None:
        return None
    try:
        return _Note(
            # before the job is taken it has no id
            (here / log).resolve(), here / folder, job_id or "", _word(entry, "cluster"), _word(entry, "host"),
        )  # fmt: skip
    except (OSError, ValueError, RuntimeError):  # names that no file can have, a link that leads to itself
        return None


def _object(file: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where it holds none."""
    return _read(file.read_text(encoding="utf-8", errors="replace"))


def _read(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _word(entry: Mapping[str, Any], key: str) -> str | None:
    """The text under a key; None where it is none."""
    value = entry.get(key)
    return value if isinstance(value, str) and value else None


def _started(folder: Path, job_id: str) -> Job:
    """A job by what its first rank left in the folder of its submission."""
    try:
        report = _object(folder / f"{job_id}_0_rank.json")
    except (OSError, ValueError):  # also a name that is none
        return Job(job_id, "submitted")
    if not report:
        return Job(job_id, "submitted")
    if report.get("ended_at"):
        return Job(job_id, "ended")
    return Job(job_id, "running", nodes=_word(report, "node"), since=_time(report.get("started_at")))


def _lives(folder: Path, job_id: str) -> bool:
    """Whether the process of a local job runs here: numbers are used again, its command line names its folder."""
    if not (job_id.isascii() and job_id.isdigit()):
        return False
    try:
        # empty of a process that has ended
        return os.fsencode(folder) in Path("/proc", job_id, "cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return False


def _time(text: object) -> dt.datetime | None:
    """A time of ISO 8601 with its zone, in UTC; None for anything else."""
    try:
        found = dt.datetime.fromisoformat(text) if isinstance(text, str) else None
        return found.astimezone(dt.UTC) if found is not None and found.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _queue(seconds: float) -> tuple[dict[str, Job] | None, str | None]:
    """The user's jobs by id; None, and why, where Slurm does not say."""
    words = ["squeue", "--me", "--noheader", "--array", f"--format={QUEUE_FORMAT}"]
    said, silent = answer(words, seconds, "which jobs wait is not known")
    return None if said is None else read_queue(said), silent


def read_queue(text: str) -> dict[str, Job]:
    """Jobs by id from squeue's output in QUEUE_FORMAT; lines of another form are passed over."""
    found = {}
    for line in text.splitlines():
        fields = line.split("|", 6)
        if len(fields) < 7:
            continue
        array, index, single, state, start, nodes, reason = fields
        job_id = single if index == "N/A" else f"{array}_{index}"
        if state in WAITS:
            found[job_id] = Job(job_id, "pending", reason=reason if reason != "None" else state)
            continue
        began = Job(job_id, "running", nodes=nodes or None, since=time_of(start))
        if state in SUSPENDED:
            began = replace(began, state="suspended", reason=reason if reason != "None" else None)
        found[job_id] = began
    return found
