"""Watching jobs that have been submitted: results first, then one question to Slurm for all jobs together."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from . import processes, slurm
from .batches import results
from .jobs import Label
from .ledger import Entry
from .logs import submitit_files
from .outcomes import Outcome, judge, memory_message
from .pending import Waiting
from .ranks import RankReport, read_reports
from .status import Accounting, Queued

_URGENT_INTERVAL = 1.0  # seconds between questions while a rank is known to have failed
_UNKNOWN_SECONDS = 120.0  # accounting may take this long to hear of a job
_UNSEEN_SECONDS = 120.0  # for so long neither the queue nor accounting, both answering, has it: it is gone
_STALE_SECONDS = 900.0  # a controller may take this long to tell an accounting that was away how jobs have ended
_QUEUE_INTERVAL = 10.0  # between questions to the queue while jobs wait in it
_RUNNING_INTERVAL = 60.0  # and while all of them run
_REMIND_SECONDS = 600.0


@dataclass
class Live:
    """A submitted job: its ledger entry, what it is called, and its outcome once that is known."""

    entry: Entry
    label: Label
    outcome: Outcome | None = None
    unseen_since: float | None = None
    judged_by: list[RankReport] | None = None
    """The ranks' reports that the outcome was found from, once it was."""

    @cached_property
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

    def results(self) -> list[bool]:
        """For every rank that has left a result, whether it was a success; files are opened once they are there."""
        begin, ranks = f"{self.entry.folder}/{self.job_id}_", self.entry.ranks
        there = any(os.access(f"{begin}{rank}_result.pkl", os.F_OK) for rank in range(ranks))
        return results(self.folder, self.job_id, ranks) if there else []

    def age(self) -> float:
        """Seconds since it was submitted."""
        return (datetime.now(UTC) - datetime.fromisoformat(self.entry.submitted_at)).total_seconds()


class Watcher:
    """Finds out which jobs have ended, and how."""

    def __init__(self, interval: float, timeout: float, warn: Callable[[str], None]) -> None:
        self._interval = interval
        self._timeout = timeout
        self._warn = warn
        self._asked: float | None = None
        self._queue_asked = float("-inf")
        self._no_accounting = False
        self._said: dict[str, float] = {}
        self._waiting = Waiting(warn)

    def jobs_were_submitted(self) -> None:
        """The first question waits for its time too: of what Slurm has just taken it can say nothing new."""
        if self._asked is None:
            self._asked = time.monotonic()

    def look(self, jobs: Sequence[Live], ask: bool = False) -> list[Live]:
        """The jobs that have ended, with their outcomes set; `ask` asks Slurm even if it is not time yet.

        Neither a job that Slurm does not know yet nor a Slurm that does not answer is a failure.
        """
        undecided: list[Live] = []
        urgent = False
        for job in jobs:
            if job.outcome is None:
                done = job.results()
                whole = len(done) == job.entry.ranks and all(done)
                # the results of a job that Slurm may start again are those of its last start only once it has ended
                if whole and not job.entry.requeues:
                    job.outcome = self._judge(job, None, completed=True)
                else:
                    undecided.append(job)
                    urgent |= (whole or not all(done)) and "accounting" not in self._said
        for job in undecided:
            if job.entry.cluster == "local":
                self._look_at_processes(job)
        queued = [job for job in undecided if job.on_slurm]
        interval = min(_URGENT_INTERVAL, self._interval) if urgent else self._interval
        due = self._asked is None or time.monotonic() - self._asked >= interval
        if queued and (ask or due):
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
        done = job.results()
        completed = len(done) == job.entry.ranks and all(done)
        if not completed:
            processes.end_job(job.job_id, job.folder)
        job.outcome = self._judge(job, None, completed)

    def _ask_slurm(self, jobs: Sequence[Live]) -> None:
        """One question to accounting about all jobs, and one to the queue where it can say more."""
        known = self._accounting(jobs)
        left = []
        for job in jobs:
            facts = known.get(job.job_id) if known is not None else None
            if facts is not None and not facts.active:
                job.outcome = self._judge(job, facts, completed=False)
            else:
                left.append(job)
        if known is None or self._queue_is_due(left, known):
            self._ask_queue(left, known)

    def _accounting(self, jobs: Sequence[Live]) -> dict[str, Accounting] | None:
        """What accounting knows; None where it does not answer, which says nothing about any job."""
        try:
            known = slurm.accounting([job.job_id for job in jobs], self._timeout)
        except slurm.SlurmUnavailable as error:
            self._no_accounting = isinstance(error, slurm.NoAccounting)
            self._say("accounting", f"Slurm's accounting does not answer, its queue is asked instead: {error}")
            return None
        if self._said.pop("accounting", None):
            self._warn("Slurm's accounting answers again")
        self._said.pop("lost", None)
        return known

    def _queue_is_due(self, jobs: Sequence[Live], known: dict[str, Accounting]) -> bool:
        """Whether the queue must be asked although accounting has answered."""
        waits = any((facts := known.get(job.job_id)) is None or facts.state == "PENDING" for job in jobs)
        pause = _QUEUE_INTERVAL if waits else _RUNNING_INTERVAL
        return bool(jobs) and time.monotonic() - self._queue_asked >= pause

    def _ask_queue(self, jobs: Sequence[Live], known: dict[str, Accounting] | None) -> None:
        """Ask the queue why jobs wait, how they ended where accounting is silent, and whether they are there."""
        try:
            queue = slurm.queue(self._timeout)
        except slurm.SlurmUnavailable as error:
            for job in jobs:
                job.unseen_since = None
            self._say("queue", f"Slurm does not answer, jobs are taken to be as they were: {error}")
            return
        self._queue_asked = time.monotonic()
        if self._said.pop("queue", None):
            self._warn("Slurm answers again")
        shown = {job.job_id: queue[job.job_id] for job in jobs if job.job_id in queue}
        for job in jobs:
            place = shown.get(job.job_id)
            if place is None:
                self._note_unseen(job, known)
                continue
            job.unseen_since = None
            late = known is not None and job.job_id not in known and job.age() > _UNKNOWN_SECONDS
            if (known is None or late) and not Accounting(place.state).active:
                facts = Accounting(state=place.state, reason=None if place.reason == "None" else place.reason)
                job.outcome = self._judge(job, facts, completed=False)
        self._give_up_what_never_starts(jobs, shown)

    def _note_unseen(self, job: Live, known: dict[str, Accounting] | None) -> None:
        """A job that is gone from the queue has ended only if accounting, asked all the while, does not have it.

        While accounting is down nobody can say how such a job ended, and nothing is decided.
        """
        current = time.monotonic()
        if known is None and not self._no_accounting:
            job.unseen_since = None
            self._say(
                "lost", "Jobs have left the queue without a result; their end is known when accounting answers"
            )
            return
        if job.unseen_since is None:
            job.unseen_since = current
        facts = known.get(job.job_id) if known is not None else None
        patience = _UNSEEN_SECONDS if facts is None else _STALE_SECONDS
        if job.age() > _UNKNOWN_SECONDS and current - job.unseen_since >= patience:
            said = f"has it as {facts.state}" if facts else "does not know it"
            said = "is not kept here" if known is None else said
            lost = Accounting(state="FAILED", reason=f"it is not in the queue and accounting {said}")
            job.outcome = self._judge(job, lost, completed=False)

    def _give_up_what_never_starts(self, jobs: Sequence[Live], shown: dict[str, Queued]) -> None:
        by_id = {job.job_id: job for job in jobs if job.outcome is None and job.job_id in shown}
        places = [(f"{job.label}", shown[job_id]) for job_id, job in by_id.items()]
        never = self._waiting.look(places, self._fits)
        if not never:
            return
        try:
            slurm.cancel(never, self._timeout)
        except slurm.SlurmUnavailable:
            return  # they are still there when Slurm answers again
        for job_id, why in never.items():
            by_id[job_id].outcome = Outcome(
                "CANCELLED", reason=f"{why}; it was taken out of the queue", hopeless=True
            )

    def _fits(self, place: Queued) -> bool:
        """Whether a job asks for no more nodes than its partition gives to one job."""
        try:
            most = slurm.most_nodes(place.partition, self._timeout)
        except slurm.SlurmUnavailable:
            return True  # not known: it waits
        return most is None or place.nodes is None or place.nodes <= most

    def _say(self, about: str, words: str) -> None:
        """Warn once, and again every ten minutes for as long as it lasts."""
        if time.monotonic() - self._said.get(about, float("-inf")) >= _REMIND_SECONDS:
            self._said[about] = time.monotonic()
            self._warn(words)

    def _judge(self, job: Live, facts: Accounting | None, completed: bool) -> Outcome:
        memory = None
        if job.on_slurm and not completed:
            files = submitit_files(job.folder, job.job_id, job.entry.ranks, "log.err")
            memory = memory_message(files)
        job.judged_by = job.reports()
        return judge(job.judged_by, facts, memory, job.on_slurm, completed)
