"""The executor: Snakemake hands it jobs that are ready, it hands them to submitit and says how they ended."""

import asyncio
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface

from . import batches, processes
from .backlog import Backlog
from .cleaning import clean_up
from .ends import Ends, all_noted_interrupted
from .failed_nodes import FailedNodes
from .interrupts import take_interrupts
from .jobs import Label, Prepared, label_of
from .ledger import ENDED, Ledger
from .live import Live, Watcher
from .orphans import Orphans, wanted_keys
from .outcomes import Outcome
from .pickles import private_folder
from .preparing import describe, is_forced, limits_of, make_ready
from .refused import note_refused
from .reporting import Message, record
from .restarts import AGAIN, Decision, GivenUp, Restarts, without_retries
from .resuming import EarlierRuns
from .stopping import forget_stopping, found_under_way, note_stopping, told_to_stop
from .submission import Request
from .submitter import Submitter
from .writing import said_where_it_fails

_SHORTEST_PAUSE = 0.25  # seconds between two looks at results, whatever is asked for
_TOGETHER = 100  # jobs whose end is noted before Snakemake hears of it: the first shall not wait for thousands


class Executor(RemoteExecutor):
    """Submits jobs through submitit and watches them."""

    _ready = False  # the thread that watches is started before `__post_init__`
    _cancelled = False

    def __post_init__(self) -> None:
        take_interrupts()
        self.settings = settings = self.workflow.executor_settings
        self.cluster = batches.which_cluster(settings.cluster)
        self.base = private_folder(Path(settings.folder))
        self.run = uuid.uuid4().hex[:12]
        self.ledger = Ledger(self.base, self.run)
        self.watcher = Watcher(
            settings.status_interval, settings.command_timeout, self.logger.warning, self.ledger.write,
            max(self.workflow.execution_settings.latency_wait, settings.file_latency), settings.blocked_hours,
            self.base / "blocked.json",
        )  # fmt: skip
        self.failed_nodes = FailedNodes(self.base, settings.command_timeout, self.logger.warning)
        self.restarts = Restarts(
            self.base, settings.max_timeouts, settings.max_interruptions, settings.again, self.logger.info
        )
        self.ends = Ends(self.base, self.ledger, self.failed_nodes, self.restarts, self.logger.warning)
        self.earlier = EarlierRuns(
            self.cluster, self.ends, self.ledger, self.watcher, settings.command_timeout, settings.patience,
            self.workflow.execution_settings.latency_wait, self.logger.info,
        )  # fmt: skip
        self.submitter = Submitter(
            self.cluster, self.base, self.ledger, settings, self._label(), self.failed_nodes,
            self.logger.warning, lambda: self._cancelled or self.backlog.stopped,
        )  # fmt: skip
        self.backlog = Backlog(
            self._submit_batch, self._give_up, self._any_live, settings.blocked_hours, self.logger.warning,
            self.cluster == "slurm", self._why_none, self.submitter.largest_array,
        )  # fmt: skip
        self.orphans = Orphans(
            self.cluster, self.ledger, self.earlier, settings.command_timeout, self.logger.warning
        )
        self._live: dict[str, Live] = {}
        self._guard = threading.Lock()
        self._cleaned = False
        self.orphans.find(self._label(), self.dag)  # may take long: the watching has begun
        self._ready = True

    def _label(self) -> str:
        """What the names of the jobs say of the workflow: the setting, the study, or the folder's name."""
        given = self.settings.label or self.workflow.config_settings.overwrite_config.get("study")
        return str(given or Path.cwd().name)

    # -- submission ----------------------------------------------------------------------------------------

    def run_job(self, job: JobExecutorInterface) -> None:
        """Submit one job."""
        self.run_jobs([job])

    def run_jobs(self, jobs: Sequence[JobExecutorInterface]) -> None:
        """Submit jobs that are ready together: those that ask for the same become one array.

        Those that an earlier Snakemake submitted are taken up instead. An error that left here would cancel all.
        """
        take_interrupts()  # again: Snakemake's scheduler sets its own handler once it has the executor
        if not self._cleaned:  # a workflow with nothing to run does not come here
            self._cleaned = True
            with said_where_it_fails(f"what earlier runs left in {self.base}"):
                clean_up(self.base, self.ledger, lambda: wanted_keys(self.dag))
        for job in jobs:
            self.run_job_pre(job)
        groups: dict[Request, list[Prepared]] = defaultdict(list)
        described = [prepared for job in jobs if (prepared := self._described(job)) is not None]
        taken, fresh, unclear = self.earlier.take_up(described, self.workflow.persistence)
        for prepared, error in unclear:
            self._fail(prepared.job, prepared.label, error)
        self.submitter.are_known(prepared.key for prepared, _ in taken)
        for prepared, live in taken:
            self._follow(prepared.job, live)
        self.orphans.handed_over((member.key for member in described), {member.key for member, _ in unclear})
        for prepared in self._made_ready(fresh):
            groups[prepared.request].append(prepared)
        for request, members in groups.items():
            self._submit(request, members)

    def _fail(self, job: Any, label: object, error: object) -> None:
        self.report_job_error(SubmittedJobInfo(job), msg=f"{label}: {error}\n")

    def _described(self, job: Any) -> Prepared | None:
        label = label_of(job)
        try:
            return self._describe(job, label)
        except GivenUp as error:
            without_retries(job)
            self._fail(job, label, error)
        except (WorkflowError, OSError) as error:
            self._refuse_job(job, label, error)
        return None

    def _describe(self, job: Any, label: Label) -> Prepared:
        prepared = describe(job, label, self.workflow, self.cluster, self._limits)
        self.restarts.ask(prepared, is_forced(job, self.dag))
        return replace(prepared, timeouts_left=self.restarts.timeouts_left(prepared.key, job.restart_times))

    @cached_property
    def _limits(self) -> dict[str, int]:
        return limits_of(self.workflow)

    def _any_live(self) -> bool:
        return bool(self._live or self.orphans.asked_for() or self.orphans.not_asked_for())

    def _why_none(self) -> str | None:
        """Why Snakemake wants no job submitted any more: it only waits for those that run."""
        failed = self.workflow.scheduler.failed and not self.workflow.execution_settings.keep_going
        return "not submitted: another job failed, and --keep-going is not given" if failed else None

    def _made_ready(self, fresh: Sequence[Prepared]) -> list[Prepared]:
        refused = make_ready(fresh, self.workflow)
        for number, error in refused.items():
            self._refuse_job(fresh[number].job, fresh[number].label, error)
        return [prepared for number, prepared in enumerate(fresh) if number not in refused]

    def _submit(self, request: Request, members: Sequence[Prepared]) -> None:
        try:
            commands = [m.command if m.native else self.format_job_exec(m.job) for m in members]
        except (WorkflowError, OSError) as problem:
            self._refuse(members, problem)
            return
        self.backlog.add(request, members, commands)

    def _submit_batch(self, request: Request, members: Sequence[Prepared], commands: Sequence[str]) -> str | None:
        """Submit jobs as one batch and follow them; why, where that cannot be done now."""
        with self._guard:
            entries = [job.entry for job in self._live.values()]
        if (others := self.orphans.in_the_way(members, entries, self._limits)) is not None:
            return others
        try:
            submission = self.submitter.submit(request, members, commands)
        except (WorkflowError, OSError) as problem:  # nothing of it was submitted
            self.submitter.under_way = []
            self._refuse(members, problem)
            return None
        if submission.over_limit is not None:
            return f"Slurm takes no more jobs now: {submission.over_limit}"
        for member, live in submission.accepted:
            self._follow(member.job, live)
            if self.cluster == "debug":
                batches.run_in_process(submission.jobs[live.job_id])
                live.outcome = self.watcher.outcome_in_process(live)
        if self._cancelled:  # too late for who cancels, perhaps
            late = [live for _, live in submission.accepted]
            if told_to_stop(late, self.settings.command_timeout, self.logger.error):
                self._note_interrupted(late)
            if submission.unclear:
                return None  # it stays under way: who cancels asks for it
        self.submitter.under_way = []
        self.watcher.jobs_were_submitted()
        for member, live, error in submission.refused:
            record(live, self.base)
            if not submission.unclear:
                self.ledger.note_end(live.entry, ENDED)
            where = f"{self.cluster}, {live.entry.name}"
            self._fail(member.job, f"{member.label}: it could not be submitted ({where})", error)
        return None

    def _give_up(self, members: Sequence[Prepared], why: str) -> None:
        for member in members:
            without_retries(member.job)
        self._refuse(members, why)

    def _refuse(self, members: Sequence[Prepared], problem: object) -> None:
        for member in members:
            self._refuse_job(member.job, member.label, problem, f": it could not be submitted ({self.cluster})")

    def _refuse_job(self, job: Any, label: Label, problem: object, where: str = "") -> None:
        note_refused(job, label, problem, self.cluster, self.base)
        self._fail(job, f"{label}{where}", problem)

    def _follow(self, job: Any, live: Live) -> None:
        with self._guard:
            self._live[live.entry.key] = live
        self.report_job_submission(SubmittedJobInfo(job, external_jobid=live.entry.job_id, aux={"live": live}))

    # -- watching --------------------------------------------------------------------------------------------

    async def check_active_jobs(
        self, active_jobs: list[SubmittedJobInfo]
    ) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Report the jobs that have ended; yield those that have not."""
        if self._ready and not self._cancelled:
            async with self.status_rate_limiter:
                self.watcher.look([info.aux["live"] for info in active_jobs])
            any_ended = any(info.aux["live"].outcome is not None for info in active_jobs)
            self.backlog.look(ended=self.orphans.some_ended() or any_ended)
        ended: list[tuple[SubmittedJobInfo, Outcome]] = []
        for info in active_jobs:
            if (outcome := info.aux["live"].outcome) is None or self._cancelled:
                yield info
                continue
            ended.append((info, outcome))  # an interrupt that comes now may change what the job has
            if len(ended) == _TOGETHER:
                self._report(ended)
                ended = []
        self._report(ended)

    def _report(self, ended: Sequence[tuple[SubmittedJobInfo, Outcome]]) -> None:
        """Say how jobs ended, once that is written down; let Snakemake's scheduler go on after them."""
        settled = self.ends.settle([(info.aux["live"], outcome, info.job) for info, outcome in ended])
        with self._guard:
            for info, _ in ended:
                self._live.pop(info.aux["live"].entry.key, None)
        for (info, _), (message, decision) in zip(ended, settled, strict=True):
            self._tell_scheduler(info, message, decision)

    def _tell_scheduler(self, info: SubmittedJobInfo, message: Message, decision: Decision | None) -> None:
        """Let Snakemake's scheduler go on after a success (None), start a job again, or give it up."""
        if decision is None:
            self.report_job_success(info)
            return
        if decision.how == AGAIN:
            self.logger.warning(f"{message.text}{decision.words}")
        else:
            words = f"{decision.words}\n" if decision.words else ""
            self.print_job_error(info, msg=message.text + words, aux_logs=message.logs)
        self.workflow.scheduler.error_callback(info.job)

    async def sleep(self) -> None:
        """Wait for the next status check, but not when the workflow has ended."""
        due = time.monotonic() + max(_SHORTEST_PAUSE, self.next_seconds_between_status_checks)
        while self.wait and (left := due - time.monotonic()) > 0:
            await asyncio.sleep(min(0.2, left))

    # -- the end ---------------------------------------------------------------------------------------------

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """Cancel every job of this run, also those that are just being looked at or submitted."""
        self._cancelled = True
        note_stopping(self.base, self.run)
        timeout, tell = self.settings.command_timeout, self.logger.error
        self.backlog.stop(0, processes.end_calls_of_sbatch)
        with self._guard:  # what is known runs on until it is told: no question comes before it
            known = dict(self._live)
        told = told_to_stop(list(known.values()), timeout, tell)
        is_over = self.backlog.stop(timeout, processes.end_calls_of_sbatch)
        asked = [*self.submitter.unclear.values(), *self.submitter.under_way]
        found, found_all = found_under_way(asked, self.earlier.lost_ids, tell)
        with self._guard:
            later = {**{live.entry.key: live for live in found}, **self._live}
        rest = [live for key, live in later.items() if known.get(key) is not live] + self.orphans.to_be_cancelled()
        if not told_to_stop(rest, timeout, tell) or not told:
            return
        noted = self._note_interrupted([*known.values(), *rest])
        if noted and is_over and found_all:  # else the next run asks for what was left
            forget_stopping(self.base, self.run)

    def _note_interrupted(self, jobs: Sequence[Live]) -> bool:
        """Write down of jobs that they were told to stop; whether that was done. What cannot be read is said."""
        with self._guard:  # each once: two threads may have told the same ones
            return all_noted_interrupted(jobs, self.base, self.ledger, self.logger.error)

    def shutdown(self) -> None:
        """Submit no more, stop watching and let go of the ledger: in this order."""
        self.backlog.stop(self.settings.command_timeout, processes.end_calls_of_sbatch)
        with self._guard:
            if any(live.outcome is None for live in self._live.values()):
                self._tmpdir = None  # nested Snakemakes in the queue wait for it: Snakemake removes an empty one
        super().shutdown()
        self.ledger.close()
