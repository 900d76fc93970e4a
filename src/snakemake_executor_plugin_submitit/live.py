"""Watching jobs that have been submitted: results first, then one question to Slurm for all jobs together."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from . import processes, slurm
from .batches import results
from .jobs import Label
from .ledger import Entry
from .logs import submitit_files
from .outcomes import Outcome, judge, memory_message
from .ranks import RankReport, read_reports
from .status import Accounting

_URGENT_INTERVAL = 1.0  # seconds between questions while a rank is known to have failed
_UNKNOWN_SECONDS = 120.0  # accounting may take this long to hear of a job
_UNSEEN_SECONDS = 60.0  # a result may take this long to be seen from here


@dataclass
class Live:
    """A submitted job: its ledger entry, what it is called, and its outcome once that is known."""

    entry: Entry
    label: Label
    outcome: Outcome | None = None
    unseen_since: float | None = None

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return Path(self.entry.folder)

    @property
    def job_id(self) -> str:
        """Its id on the cluster; only jobs that have one are watched."""
        if self.entry.job_id is None:
            raise RuntimeError(f"job {self.entry.name} has no id yet")
        return self.entry.job_id

    @property
    def on_slurm(self) -> bool:
        """Whether Slurm runs it."""
        return self.entry.cluster == "slurm"

    def reports(self) -> list[RankReport]:
        """What its ranks left about themselves."""
        return read_reports(self.folder, self.job_id, self.entry.ranks)

    def age(self) -> float:
        """Seconds since it was submitted."""
        return (datetime.now(UTC) - datetime.fromisoformat(self.entry.submitted_at)).total_seconds()


class Watcher:
    """Finds out which jobs have ended, and how."""

    def __init__(self, interval: float, timeout: float, warn: Callable[[str], None]) -> None:
        self._interval = interval
        self._timeout = timeout
        self._warn = warn
        self._asked = float("-inf")
        self._silent = False

    def look(self, jobs: Sequence[Live], ask: bool = False) -> list[Live]:
        """The jobs that have ended, with their outcomes set; `ask` asks Slurm even if it is not time yet.

        Neither a job that Slurm does not know yet nor a Slurm that does not answer is a failure.
        """
        undecided: list[Live] = []
        urgent = False
        for job in jobs:
            if job.outcome is None:
                done = results(job.folder, job.job_id, job.entry.ranks)
                if len(done) == job.entry.ranks and all(done):
                    job.outcome = self._judge(job, None, completed=True)
                else:
                    undecided.append(job)
                    urgent |= not all(done)
        for job in undecided:
            if job.entry.cluster == "local":
                self._look_at_processes(job)
        queued = [job for job in undecided if job.on_slurm]
        interval = min(_URGENT_INTERVAL, self._interval) if urgent else self._interval
        if queued and (ask or time.monotonic() - self._asked >= interval):
            self._ask_slurm(queued)
            self._asked = time.monotonic()
        return [job for job in jobs if job.outcome is not None]

    def outcome_in_process(self, job: Live) -> Outcome:
        """The outcome of a job that ran in this process."""
        reports = job.reports()
        return judge(reports, None, None, False, completed=not any(report.failed for report in reports))

    def _look_at_processes(self, job: Live) -> None:
        if processes.controller(job.job_id, job.folder) is not None:
            return
        # it may have written its result between the two looks
        done = results(job.folder, job.job_id, job.entry.ranks)
        completed = len(done) == job.entry.ranks and all(done)
        if not completed:
            processes.end_job(job.job_id, job.folder)
        job.outcome = self._judge(job, None, completed)

    def _ask_slurm(self, jobs: Sequence[Live]) -> None:
        try:
            known = slurm.accounting([job.job_id for job in jobs], self._timeout)
            self._silent = False
        except slurm.SlurmUnavailable as error:
            self._ask_queue(jobs, str(error))
            return
        unknown = []
        for job in jobs:
            facts = known.get(job.job_id)
            if facts is None:
                unknown.append(job)
            elif not facts.active:
                job.outcome = self._judge(job, facts, completed=False)
        if any(job.age() > _UNKNOWN_SECONDS for job in unknown):
            self._ask_queue([job for job in unknown if job.age() > _UNKNOWN_SECONDS], None)

    def _ask_queue(self, jobs: Sequence[Live], why: str | None) -> None:
        """Ask the queue where accounting did not answer (`why`), or does not know the jobs (None)."""
        if why and not self._silent:
            self._warn(f"Slurm's accounting does not answer, its queue is asked instead: {why}")
            self._silent = True
        try:
            queue = slurm.queue(self._timeout)
        except slurm.SlurmUnavailable as error:
            self._warn(f"Slurm does not answer, jobs are taken to be running: {error}")
            return
        for job in jobs:
            shown = queue.get(job.job_id)
            if shown is None:
                self._note_unseen(job, why)
                continue
            job.unseen_since = None
            if not Accounting(shown.state).active:
                facts = Accounting(state=shown.state, reason=None if shown.reason == "None" else shown.reason)
                job.outcome = self._judge(job, facts, completed=False)

    def _note_unseen(self, job: Live, why: str | None) -> None:
        """A job that has been gone from the queue for a while, and left no result, has ended."""
        current = time.monotonic()
        if job.unseen_since is None:
            job.unseen_since = current
        if job.age() > _UNKNOWN_SECONDS and (why is None or current - job.unseen_since > _UNSEEN_SECONDS):
            accounting = "accounting does not answer" if why else "accounting does not know it"
            lost = Accounting(state="FAILED", reason=f"it is not in the queue and {accounting}")
            job.outcome = self._judge(job, lost, completed=False)

    def _judge(self, job: Live, facts: Accounting | None, completed: bool) -> Outcome:
        memory = None
        if job.on_slurm and not completed:
            files = submitit_files(job.folder, job.job_id, job.entry.ranks, "log.err")
            memory = memory_message(files)
        return judge(job.reports(), facts, memory, job.on_slurm, completed)
