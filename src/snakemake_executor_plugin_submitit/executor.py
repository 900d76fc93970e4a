"""The executor: Snakemake hands it jobs that are ready, it hands them to submitit and says how they ended."""

import asyncio
import signal
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface

from . import batches, slurm
from .jobs import Label, Prepared, label_of, native_command, runs_natively
from .ledger import ENDED, SUCCEEDED, Entry, Ledger, job_key, private_folder
from .live import Live, Watcher
from .logs import stat_of
from .outcomes import Outcome
from .payload import RankCommand
from .ranks import now
from .reporting import record, write_failure
from .resuming import EarlierRuns
from .stopping import stop_jobs
from .submission import Request, request_from_resources

_SHORTEST_PAUSE = 0.25  # seconds between two looks at results, whatever is asked for
_ARRAY_WITHOUT_ANSWER = 1000  # jobs per array where Slurm does not say how many it takes


class Executor(RemoteExecutor):
    """Submits jobs through submitit and watches them."""

    def __post_init__(self) -> None:
        settings = self.workflow.executor_settings
        self.settings = settings
        self.cluster = batches.which_cluster(settings.cluster)
        self.base = private_folder(Path(settings.folder))
        self.run = uuid.uuid4().hex[:8]
        self.ledger = Ledger(self.base, self.run)
        self.watcher = Watcher(settings.status_interval, settings.command_timeout, self.logger.warning)
        self.earlier = EarlierRuns(
            self.cluster, self.base, self.ledger, self.watcher, settings.command_timeout, self.logger.info
        )
        self._live: dict[str, Live] = {}
        self._submitting: list[Entry] = []
        self._guard = threading.Lock()
        self._batches = 0
        self._cancelled = False
        self._array_size: int | None = settings.max_array_size or None
        self._sigterm_taken = False

    # -- submission ----------------------------------------------------------------------------------------

    def run_job(self, job: JobExecutorInterface) -> None:
        """Submit one job."""
        self.run_jobs([job])

    def run_jobs(self, jobs: Sequence[JobExecutorInterface]) -> None:
        """Submit jobs that are ready together: those that ask for the same become one array.

        Jobs that an earlier Snakemake has submitted already are taken up instead.
        """
        self._take_sigterm()
        for job in jobs:
            self.run_job_pre(job)
        groups: dict[Request, list[Prepared]] = defaultdict(list)
        taken, fresh = self.earlier.take_up([self._describe(job) for job in jobs], self.workflow.persistence)
        for prepared, live in taken:
            self._follow(prepared.job, live)
        limit = self.workflow.resource_settings.nodes
        if self.cluster == "local" and fresh and limit is not None:
            self.earlier.let_others_end(set(self._live), limit - len(self._live) - len(fresh))
        for prepared in fresh:
            if self._make_ready(prepared):
                groups[prepared.request].append(prepared)
        for request, members in groups.items():
            size = self._largest_array()
            for first in range(0, len(members), size):
                self._submit(request, members[first : first + size])

    def _describe(self, job: Any) -> Prepared:
        label = label_of(job)
        native = runs_natively(job, self.workflow)
        request = request_from_resources(job.resources, job.threads, label.rule, once=not native)
        if self.cluster == "debug" and request.nodes * request.tasks_per_node > 1:
            raise WorkflowError(f"rule {label.rule}: the debug executor runs one task; ask for tasks=1, nodes=1")
        key = job_key(label.rule, label.outputs, str(sorted(label.wildcards.items())))
        command, shell = native_command(job) if native else ("", ("/bin/sh", "-c"))
        return Prepared(job, label, key, request, native, command, shell)

    def _make_ready(self, prepared: Prepared) -> bool:
        """What Snakemake does before a command starts; a nested Snakemake does it itself."""
        if not prepared.native:
            return True
        try:
            self.workflow.async_run(prepared.job.prepare())
        except (WorkflowError, OSError) as error:
            self.report_job_error(SubmittedJobInfo(prepared.job), msg=f"{prepared.label}: {error}\n")
            return False
        return True

    def _largest_array(self) -> int:
        if self._array_size is None:
            self._array_size = _ARRAY_WITHOUT_ANSWER
            if self.cluster == "slurm":
                try:
                    found = slurm.max_array_size(self.settings.command_timeout)
                    self._array_size = found or _ARRAY_WITHOUT_ANSWER
                except slurm.SlurmUnavailable as error:
                    self.logger.warning(f"Slurm does not say how large an array may be: {error}")
        return self._array_size

    def _submit(self, request: Request, members: Sequence[Prepared]) -> None:
        self._batches += 1
        folder = self.base / "batches" / f"{self.run}-{self._batches}"
        folder.mkdir(parents=True)
        name = batches.job_name(self.run, self._batches, [member.label.rule for member in members])
        entries = [self._entry(member, index, len(members), folder, name) for index, member in enumerate(members)]
        commands = [self._command(member, index, folder) for index, member in enumerate(members)]
        for entry in entries:
            self.ledger.write(entry)
        self._submitting = entries
        delay = request.signal_delay(self.settings.signal_delay)
        rule = members[0].label.rule
        try:
            submitted = batches.submit(
                self.cluster, folder, request, commands, name, rule, self.settings.array_parallelism, delay
            )
        except batches.SubmissionFailed as error:
            self._not_submitted(members, entries, error)
            self._submitting = []
            return
        for member, entry, submitit_job in zip(members, entries, submitted, strict=True):
            entry.job_id = str(submitit_job.job_id)
            self.ledger.write(entry)
            live = Live(entry, member.label)
            self._follow(member.job, live)
            if self.cluster == "debug":
                batches.run_in_process(submitit_job)
                live.outcome = self.watcher.outcome_in_process(live)
        self._submitting = []

    def _entry(self, member: Prepared, index: int, size: int, folder: Path, name: str) -> Entry:
        return Entry(
            key=member.key,
            run=self.run,
            cluster=self.cluster,
            folder=str(folder),
            name=name,
            index=index,
            size=size,
            ranks=member.request.ranks,
            fingerprint=member.fingerprint,
            submitted_at=now(),
            log=member.label.log,
            log_before=stat_of(member.label.log),
        )

    def _command(self, member: Prepared, index: int, folder: Path) -> RankCommand:
        request = member.request
        return RankCommand(
            key=member.key,
            index=index,
            command=member.command if member.native else self.format_job_exec(member.job),
            shell=member.shell,
            prefix=request.container.command_prefix(request.has_gpus) if request.container else (),
            folder=str(folder),
            cwd=str(Path.cwd()),
            threads=request.cpus_per_task,
            spmd=not request.once,
            port=None if self.cluster == "slurm" else batches.free_port(),
            minutes=request.minutes,
            signal_delay=request.signal_delay(self.settings.signal_delay),
            debug=self.cluster == "debug",
        )

    def _not_submitted(
        self, members: Sequence[Prepared], entries: Sequence[Entry], error: batches.SubmissionFailed
    ) -> None:
        """sbatch reported an error; a call that timed out may have been accepted all the same."""
        for member, entry in zip(members, entries, strict=True):
            entry.job_id = self.earlier.lost_id(entry)
            if entry.job_id is not None:
                self.ledger.write(entry)
                self._follow(member.job, Live(entry, member.label))
                continue
            live = Live(entry, member.label, Outcome("FAILED", reason=f"it could not be submitted: {error}"))
            record(live, self.base)
            entry.status = ENDED
            self.ledger.write(entry)
            message = f"{member.label}: it could not be submitted ({self.cluster}, {entry.name}): {error}\n"
            self.report_job_error(SubmittedJobInfo(member.job), msg=message)

    def _follow(self, job: Any, live: Live) -> None:
        with self._guard:
            self._live[live.entry.key] = live
        self.report_job_submission(SubmittedJobInfo(job, external_jobid=live.entry.job_id, aux={"live": live}))

    # -- watching --------------------------------------------------------------------------------------------

    async def check_active_jobs(
        self, active_jobs: list[SubmittedJobInfo]
    ) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Report the jobs that have ended; yield those that have not."""
        if not self._cancelled:
            async with self.status_rate_limiter:
                self.watcher.look([info.aux["live"] for info in active_jobs])
        for info in active_jobs:
            live: Live = info.aux["live"]
            if live.outcome is None or self._cancelled:
                yield info
            else:
                self._report(info, live, live.outcome)

    def _report(self, info: SubmittedJobInfo, live: Live, outcome: Outcome) -> None:
        message = write_failure(live, outcome)
        record(live, self.base)
        live.entry.status = SUCCEEDED if outcome.success else ENDED
        self.ledger.write(live.entry)
        with self._guard:
            self._live.pop(live.entry.key, None)
        if outcome.success:
            self.report_job_success(info)
        else:
            self.report_job_error(info, msg=message.text, aux_logs=message.logs)

    async def sleep(self) -> None:
        """Wait for the next status check, but not when the workflow has ended."""
        due = time.monotonic() + max(_SHORTEST_PAUSE, self.next_seconds_between_status_checks)
        while self.wait and (left := due - time.monotonic()) > 0:
            await asyncio.sleep(min(0.2, left))

    # -- the end ---------------------------------------------------------------------------------------------

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """Cancel every job of this run, also those that are just being looked at or submitted."""
        self._cancelled = True
        for entry in self._submitting:
            self._cancel_too(entry)
        with self._guard:
            live = list(self._live.values())
        try:
            stop_jobs(live, self.settings.command_timeout)
        except slurm.SlurmUnavailable as error:
            ids = " ".join(job.job_id for job in live)
            self.logger.error(f"Jobs could not be cancelled, cancel them by hand (scancel {ids}): {error}")
            return
        for job in live:
            if job.outcome is None:
                job.outcome = Outcome("CANCELLED", reason="Snakemake was interrupted", ended_at=now())
            record(job, self.base)
            job.entry.status = ENDED
            self.ledger.write(job.entry)

    def _cancel_too(self, entry: Entry) -> None:
        """Find a job that was being submitted when the interrupt came, so that it is cancelled with the others."""
        try:
            entry.job_id = entry.job_id or self.earlier.lost_id(entry)
        except WorkflowError as error:
            self.logger.error(f"Job {entry.name} may have been submitted; look for it by its name: {error}")
            return
        if entry.job_id is not None:
            with self._guard:
                self._live.setdefault(entry.key, Live(entry, Label(entry.name, {}, (), entry.log)))

    def shutdown(self) -> None:
        """Stop watching and let go of the ledger."""
        super().shutdown()
        self.ledger.close()

    def _take_sigterm(self) -> None:
        """Let SIGTERM end the workflow as Ctrl-C does.

        Snakemake's own handler waits until all jobs have ended, which on a cluster may be days.
        """
        if self._sigterm_taken or threading.current_thread() is not threading.main_thread():
            return
        self._sigterm_taken = True
        if callable(signal.getsignal(signal.SIGTERM)):
            signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(number: int, frame: Any) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough; the second must not disturb the cancelling
    raise KeyboardInterrupt
