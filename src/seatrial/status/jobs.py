"""Which jobs of a study are under way: the executor's notes in its folder, and one question to Slurm's queue."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from seatrial.paths import StudyPaths
from seatrial.study_lock import Holder, read_holder

SUBMISSIONS = ".snakemake/submitit"
"""The executor's folder where Snakemake was started, unless it says otherwise."""
SECONDS = 10.0
"""Squeue may take this long to answer."""
QUEUE_FORMAT = "%F|%K|%A|%T|%S|%N|%r"
WAITS = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD")

JobState = Literal["pending", "running", "submitted", "ended"]
"""`submitted`: it is not known whether it waits or runs; `ended`: Snakemake has not taken note of that yet."""


@dataclass(frozen=True)
class Job:
    """A job that was submitted and of whose end the executor has not noted anything."""

    job_id: str
    state: JobState
    reason: str | None = None
    """Why it waits, in Slurm's word."""
    nodes: str | None = None
    since: str | None = None
    """Since when it runs, ISO 8601 in UTC."""


@dataclass(frozen=True)
class Jobs:
    """The jobs of a study by their log files (resolved); `silent`: why no more is known of them, in words."""

    by_log: Mapping[Path, Job]
    silent: str | None = None


def jobs_under_way(paths: StudyPaths, seconds: float = SECONDS) -> Jobs:
    """What is under way; Slurm is asked once, and only where a job of it is. Never raises for what it finds."""
    folder, submissions = _where(read_holder(paths.lock))
    try:
        entries = list(_submitted(submissions / "ledger.jsonl"))
    except PermissionError:
        return Jobs({}, f"{submissions} belongs to another user, and says alone which jobs wait and run")
    queue, silent = None, None
    if any(entry.get("cluster") == "slurm" for entry in entries):
        queue, silent = _queue(seconds)
    found = {}
    for entry in entries:
        job = _started(Path(entry["folder"]), str(entry.get("job_id")))
        if entry.get("cluster") == "slurm" and queue is not None:
            job = queue.get(job.job_id) or replace(job, state="ended")
        elif entry.get("cluster") == "local" and not Path("/proc", job.job_id).exists():
            job = replace(job, state="ended")
        found[(folder / entry["log"]).resolve()] = job
    return Jobs(found, silent)


def _where(holder: Holder | None) -> tuple[Path, Path]:
    """Where Snakemake was started, and the executor's folder."""
    folder = Path.cwd() if holder is None else Path(holder.folder)
    return folder, folder / (holder.submissions if holder and holder.submissions else SUBMISSIONS)


def _submitted(ledger: Path) -> Iterator[dict[str, Any]]:
    """The executor's notes on jobs that were submitted and have not been seen to end: of each job its last one."""
    try:
        text = ledger.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    last = {}
    for line in text.split("\n")[:-1]:  # what follows the last line's end is still being written
        entry = _read(line)
        last[str(entry.get("key"))] = entry
    for entry in last.values():
        places = (entry.get("log"), entry.get("folder"))
        if entry.get("status") == "submitted" and all(isinstance(place, str) and place for place in places):
            yield entry


def _object(file: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where it holds none."""
    return _read(file.read_text(encoding="utf-8", errors="replace"))


def _read(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


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
    return Job(job_id, "running", nodes=report.get("node"), since=report.get("started_at"))


def _queue(seconds: float) -> tuple[dict[str, Job] | None, str | None]:
    """The user's jobs by id; None, and why, where Slurm does not say."""
    words = ["squeue", "--me", "--noheader", "--array", f"--format={QUEUE_FORMAT}"]
    environment = {**os.environ, "TZ": "UTC", "SLURM_TIME_FORMAT": "standard"}
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, env=environment, check=False)
    except subprocess.TimeoutExpired:
        return None, f"squeue did not answer within {seconds:g} s: which jobs wait is not known"
    except OSError as problem:
        return None, f"squeue cannot be run ({problem.strerror}): which jobs wait is not known"
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        return None, f"squeue: {said}: which jobs wait is not known"
    return read_queue(done.stdout), None


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
        else:
            since = f"{start}Z" if start[:1].isdigit() else None
            found[job_id] = Job(job_id, "running", nodes=nodes or None, since=since)
    return found
