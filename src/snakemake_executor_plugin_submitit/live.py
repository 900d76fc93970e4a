"""Watching jobs that have been submitted: results first, then one question to Slurm for all jobs together."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from snakemake_interface_common.exceptions import WorkflowError

from . import processes, slurm
from .gone import ACCOUNTING, NOBODY, QUEUE, Ended, Gone, all_have_ended
from .late import may_change
from .ledger import Entry
from .logs import submitit_files
from .lost import UNKNOWN_SECONDS, Lost
from .outcomes import Outcome, judge, memory_message
from .pending import Waiting
from .reused import note_reused
from .status import Accounting, Queued
from .submitted import Live

__all__ = ["Live", "Watcher"]

_URGENT_INTERVAL = 1.0  # seconds between questions while a rank is known to have failed
_PUT_OFF = 3  # while jobs leave results Slurm is asked only every so many intervals: little can be amiss
_UNREADABLE_SECONDS = 600.0  # a file server may be away for so long
_QUEUE_INTERVAL = 10.0  # between questions to the queue while jobs wait in it
_RUNNING_INTERVAL = 60.0  # and while all of them run
_REMIND_SECONDS = 600.0


class Watcher:
    """Finds out which jobs have ended, and how."""

    def __init__(
        self,
        interval: float,
        timeout: float,
        warn: Callable[[str], None],
        revoke: Callable[[Entry], None] = lambda entry: None,
        latency: float = 0.0,
        blocked_hours: float = 72.0,
        blocked_in: Path | None = None,
    ) -> None:
        """`revoke` tells the ranks of a submission to stop; files may look as they were for `latency` seconds.

        A job may wait for `blocked_hours` for what only an administrator can change; how long it has is kept in the
        file `blocked_in`.
        """
        self._looking = threading.Lock()  # the thread that watches looks, and the scheduler's that takes jobs up
        self._interval = interval
        self._timeout = timeout
        self._latency = latency
        self._warn = warn
        self._asked: float | None = None
        self._result_seen = float("-inf")
        self._queue_asked = float("-inf")
        self._no_accounting = False
        self._said: dict[str, float] = {}
        self._waiting = Waiting(warn, blocked_hours, blocked_in)
        self._gone = Gone(revoke, latency, timeout, warn)
        self._lost = Lost(self._say)

    def jobs_were_submitted(self) -> None:
        """The first question waits for its time too: of what Slurm has just taken it can say nothing new."""
        if self._asked is None:
            self._asked = time.monotonic()

    def look(self, jobs: Sequence[Live], ask: bool = False) -> list[Live]:
        """The jobs that have ended, with their outcomes set; one thread looks at a time.

        `ask` asks Slurm even if it is not time yet, which puts off no question about other jobs.
        Neither a job that Slurm does not know yet nor a Slurm or a file server that does not answer is a failure.
        """
        with self._looking:
            self._look(jobs, ask)
        return [job for job in jobs if job.outcome is not None]

    def _look(self, jobs: Sequence[Live], ask: bool) -> None:
        undecided: list[Live] = []
        urgent = False
        for job in jobs:
            if job.outcome is None and (done := self._results(job)) is not None:
                whole = len(done) == job.entry.ranks and all(done)
                # the results of a job that Slurm may start again are those of its last start only once it has ended
                if whole and not job.entry.requeues:
                    self._judge(job, None, completed=True)
                    self._result_seen = time.monotonic()
                elif job.held is not None:  # Slurm has said all that it knows
                    self._judge(job, job.held.facts, completed=False)
                else:
                    undecided.append(job)
                    urgent |= (whole or not all(done)) and "accounting" not in self._said
        for job in undecided:
            if job.entry.cluster == "local":
                self._look_at_processes(job)
        queued = [job for job in undecided if job.on_slurm]
        interval = min(_URGENT_INTERVAL, self._interval) if urgent else self._interval
        if queued and ask:
            queue_asked = self._queue_asked
            self._ask_slurm(queued)
            self._queue_asked = queue_asked
        elif queued and self._is_due(interval):
            self._ask_slurm(queued)
            self._asked = time.monotonic()

    def _is_due(self, interval: float) -> bool:
        """Whether Slurm must be asked: an interval after the last question and after the last result."""
        if self._asked is None:
            return True
        current = time.monotonic()
        since = current - self._asked
        return since >= interval and (current - self._result_seen >= interval or since >= _PUT_OFF * interval)

    def outcome_in_process(self, job: Live) -> Outcome:
        """The outcome of a job that ran in this process."""
        reports = job.reports()
        return judge(reports, None, None, False, completed=not any(report.failed for report in reports))

    def _look_at_processes(self, job: Live) -> None:
        if processes.controller(job.job_id, job.folder) is not None:
            return
        # it may have written its result between the two looks
        done = self._results(job)
        if done is None:
            return
        completed = len(done) == job.entry.ranks and all(done)
        if not completed:
            processes.end_jobs({job.job_id: job.folder})
        self._judge(job, None, completed)

    def _ask_slurm(self, jobs: Sequence[Live]) -> None:
        """One question to accounting about all jobs, and one to the queue where it can say more.

        That a job has ended counts once the queue says so too: accounting notes it when its processes are told to.
        """
        known = self._accounting(jobs)
        if known is None or self._queue_is_due(jobs, known):
            self._ask_queue(jobs, known)

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
        facts = [job.own(known) for job in jobs]
        ended = any(each is not None and not each.active for each in facts)
        if ended or any(job.fenced_since is not None for job in jobs):
            return True
        waits = any(each is None or each.state == "PENDING" for each in facts)
        return time.monotonic() - self._queue_asked >= (_QUEUE_INTERVAL if waits else _RUNNING_INTERVAL)

    def _ask_queue(self, jobs: Sequence[Live], known: dict[str, Accounting] | None) -> None:
        """Ask the queue why jobs wait, how they ended where accounting is silent, and whether they are there."""
        try:
            queue = slurm.queue(self._timeout)
        except slurm.SlurmUnavailable as error:
            for job in jobs:
                job.unseen_since = job.unheard_since = None
            self._say("queue", f"Slurm does not answer, jobs are taken to be as they were: {error}")
            return
        self._queue_asked = time.monotonic()
        if self._said.pop("queue", None):
            self._warn("Slurm answers again")
        note_reused(jobs, queue)
        ended = [each for job in jobs if (each := self._ended(job, known, queue)) is not None]
        for each in self._gone.look(ended, queue):
            self._judge(each.job, each.facts, completed=False, lost=each.source == NOBODY)
        self._give_up_what_never_starts(jobs, queue)

    def _ended(self, job: Live, known: dict[str, Accounting] | None, queue: Mapping[str, Queued]) -> Ended | None:
        """What is said of a job's end, by accounting, else by the queue; None where nothing is."""
        facts = job.own(known) if known is not None else None
        if facts is not None and not facts.active:
            return Ended(job, facts, ACCOUNTING)
        place = job.own(queue)
        if place is None:
            lost = self._lost.end_of(job, known, kept=not self._no_accounting)
            return None if lost is None else Ended(job, lost, NOBODY)
        job.unseen_since, job.unheard_since, job.shown_as = None, None, place.state
        late = known is not None and facts is None and job.age() > UNKNOWN_SECONDS
        if (known is None or late) and not Accounting(place.state).active:
            reason = None if place.reason == "None" else place.reason
            return Ended(job, Accounting(state=place.state, reason=reason), QUEUE)
        return None

    def _give_up_what_never_starts(self, jobs: Sequence[Live], shown: Mapping[str, Queued]) -> None:
        by_id = {job.job_id: job for job in jobs if job.outcome is None and job.own(shown)}
        places = [(f"{job.label}", shown[job_id]) for job_id, job in by_id.items()]
        most: dict[str, int | None] = {}  # each partition is asked for once, whatever the number of jobs
        never = self._waiting.look(places, lambda place: self._fits(place, most))
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

    def _fits(self, place: Queued, most: dict[str, int | None]) -> bool:
        """Whether a job asks for no more nodes than its partition gives to one job; `most`: what is known of it."""
        if place.partition not in most:
            try:
                most[place.partition] = slurm.most_nodes(place.partition, self._timeout)
            except slurm.SlurmUnavailable:
                most[place.partition] = None  # not known: it waits
        limit = most[place.partition]
        return limit is None or place.nodes is None or place.nodes <= limit

    def _say(self, about: str, words: str) -> None:
        """Warn once, and again every ten minutes for as long as it lasts."""
        if time.monotonic() - self._said.get(about, float("-inf")) >= _REMIND_SECONDS:
            self._said[about] = time.monotonic()
            self._warn(words)

    def _judge(self, job: Live, facts: Accounting | None, completed: bool, lost: bool = False) -> None:
        """Find the outcome of a job that has ended; none yet while what its ranks left cannot be read, or is late.

        Of one that is `lost`, the ranks' word is all that there is: it has completed where all say so.
        """
        memory = None
        if job.on_slurm and not completed:
            files = submitit_files(job.folder, job.job_id, job.entry.ranks, "log.err")
            memory = memory_message(files)
        try:
            job.judged_by = job.reports()
            job.unreadable.pop("reports", None)
        except OSError as error:
            if not self._unreadable(job, "reports", error):
                return
            job.judged_by = []
        if not lost and not completed and may_change(job, facts, memory, self._latency):
            job.judged_by = None
            return
        if lost and all_have_ended(job.judged_by, job.entry.ranks):
            completed = not any(report.failed for report in job.judged_by)
        outcome = judge(job.judged_by, facts, memory, job.on_slurm, completed)
        if job.unreadable and not outcome.success:
            problems = "; ".join(problem for _, problem in job.unreadable.values())
            outcome = replace(outcome, reason=f"{outcome.reason}; what its ranks left cannot be read: {problems}")
        job.outcome = outcome

    def _results(self, job: Live) -> list[bool] | None:
        """The job's results; None while they cannot be read, for as long as a file server may be away.

        Also a folder that is not safely ours for now: a file server that cannot map users shows nobody's.
        """
        try:
            done = job.results()
        except (OSError, WorkflowError) as error:
            return [] if self._unreadable(job, "results", error) else None
        job.unreadable.pop("results", None)
        return done

    def _unreadable(self, job: Live, what: str, error: OSError | WorkflowError) -> bool:
        """Note that a job's files cannot be read now; whether that has lasted for longer than it is waited for."""
        since, _ = job.unreadable.get(what, (time.monotonic(), ""))
        job.unreadable[what] = since, str(error)
        self._say("files", f"{job.label}: the {what} of job {job.job_id} cannot be read, tried again: {error}")
        return time.monotonic() - since >= _UNREADABLE_SECONDS
