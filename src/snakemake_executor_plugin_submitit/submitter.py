"""Submitting batches: the ledger first, then submitit, and patience with a Slurm that does not answer."""

import io
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext, redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from . import batches, processes, slurm
from .failed_nodes import FailedNodes
from .jobs import Prepared
from .ledger import ENDED, Entry, Ledger
from .live import Live
from .logs import stat_of
from .outcomes import Outcome
from .payload import RankCommand
from .settings import ExecutorSettings
from .submission import Request

_USUAL_ARRAY = 1000  # jobs per array that Slurm takes unless its MaxArraySize is set lower
_PAUSE_SECONDS = 5.0
_SETTLING_SECONDS = 5.0  # a submission whose answer got lost is in the queue by then


@dataclass
class Submission:
    """What became of a batch: members with their jobs, members that were refused, submitit's jobs by id."""

    accepted: list[tuple[Prepared, Live]] = field(default_factory=list)
    refused: list[tuple[Prepared, Live, str]] = field(default_factory=list)
    jobs: dict[str, Any] = field(default_factory=dict)
    over_limit: str | None = None
    """Slurm's words where it takes no batch of so many now: nothing was submitted, nothing is wrong with a job."""
    unclear: bool = False
    """Whether the refused may be in Slurm's queue all the same: it never said. Their entries stay open."""


class _NeverAnswered(batches.SubmissionFailed):
    """Slurm did not say in time whether it took a batch."""


class _Interrupted(batches.SubmissionFailed):
    """The run was stopped before Slurm took a batch."""

    @property
    def over_limit(self) -> bool:
        return True  # nothing was submitted, and nothing is wrong with the batch


class _OfOtherThreads(io.TextIOBase):
    """A stream without what this thread writes: submitit prints sbatch's errors, which are in its exception too."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._silent = threading.get_ident()

    def write(self, text: str) -> int:
        return len(text) if threading.get_ident() == self._silent else self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()


class Submitter:
    """Submits batches of one run."""

    def __init__(
        self,
        cluster: str,
        base: Path,
        ledger: Ledger,
        settings: ExecutorSettings,
        label: str,
        failed_nodes: FailedNodes,
        warn: Callable[[str], None],
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """`stopped` says whether the run was interrupted: then nothing more is submitted."""
        self._cluster = cluster
        self._base = base
        self._ledger = ledger
        self._settings = settings
        self._label = label
        self._failed_nodes = failed_nodes
        self._warn = warn
        self._stopped = stopped
        self._batches = 0
        self._unused = False  # whether the last batch was not taken, and left its number and folder to the next
        self._array_size: int | None = settings.max_array_size or None
        self.under_way: list[Entry] = []
        """Entries of the batch that is being submitted, until whoever asked for it follows its jobs."""
        self.unclear: dict[str, Entry] = {}
        """Entries, by key, of batches of which Slurm never said whether it took them."""

    def are_known(self, keys: Iterable[str]) -> None:
        """It is known by now what became of jobs, or they are submitted anew."""
        for key in keys:
            self.unclear.pop(key, None)

    def largest_array(self, wanted: int) -> int:
        """How many of `wanted` jobs one array may have.

        Slurm is asked only where that is more than it takes as it comes, or where it refused one (`submit`).
        """
        if self._array_size is None and self._cluster == "slurm" and wanted > _USUAL_ARRAY:
            self._ask_array_size()
        return min(wanted, self._array_size or _USUAL_ARRAY)

    def _ask_array_size(self) -> None:
        try:
            self._array_size = slurm.max_array_size(self._settings.command_timeout) or _USUAL_ARRAY
        except slurm.SlurmUnavailable as error:
            self._warn(f"Slurm does not say how large an array may be: {error}")

    def submit(self, request: Request, members: Sequence[Prepared], commands: Sequence[str]) -> Submission:
        """Submit members, which all ask for `request`, as one batch; `commands` are theirs, in order.

        Raises OSError and WorkflowError, and has submitted nothing then.
        """
        if self._cluster == "slurm":
            request = self._failed_nodes.exclude(request)
        if not self._unused:
            self._batches += 1
        folder = self._base / "batches" / f"{self._ledger.run}-{self._batches}"
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=self._unused)
        self._unused = False
        rules = [member.label.rule for member in members]
        name = batches.job_name(self._label, self._ledger.run, self._batches, rules)
        times = self._ledger.submission_times([member.key for member in members])
        entries = [
            self._entry(member, request, index, len(members), folder, name, times[index])
            for index, member in enumerate(members)
        ]
        payloads = [
            self._payload(member, request, commands[e.index], e) for e, member in zip(entries, members, strict=True)
        ]
        self._ledger.write(*entries)
        self.under_way = entries
        self.are_known(entry.key for entry in entries)
        submission, settings, rule = Submission(), self._settings, rules[0]

        def once() -> list[Any]:
            delay = request.signal_delay(settings.signal_delay)
            with redirect_stderr(_OfOtherThreads(sys.stderr)) if self._cluster == "slurm" else nullcontext():
                return batches.submit(
                    self._cluster, folder, request, payloads, name, rule, settings.array_parallelism, delay
                )

        try:
            ids = self._until_answered(once, entries, submission)
        except batches.SubmissionFailed as error:
            too_large = error.array_too_large and len(entries) > 1
            if (too_large or error.over_limit) and not isinstance(error, _NeverAnswered):
                if too_large:
                    self._ask_array_size()
                self._withdraw(entries, again=error.refused)
                submission.over_limit = str(error)
                return submission
            submission.unclear = isinstance(error, _NeverAnswered)
            self.unclear |= {entry.key: entry for entry in entries} if submission.unclear else {}
            for member, entry in zip(members, entries, strict=True):
                outcome = Outcome("FAILED", reason=f"it could not be submitted: {error}")
                submission.refused.append((member, Live(entry, member.label, outcome), str(error)))
            return submission
        for member, entry, job_id in zip(members, entries, ids, strict=True):
            entry.job_id = job_id
            submission.accepted.append((member, Live(entry, member.label)))
        self._ledger.note(*entries)  # they run, and are found by their name too
        return submission

    def _withdraw(self, entries: Sequence[Entry], again: bool) -> None:
        """Nothing of a batch is under way, its members are submitted again.

        Its number and folder are used `again` where sbatch itself refused it; else Slurm may have had it for a
        moment, and what is submitted next must have another name.
        """
        for entry in entries:
            entry.status = ENDED
        self._ledger.write(*entries)
        self.under_way = []
        folder = Path(entries[0].folder)
        batches.forget_unsubmitted(folder)
        for script in folder.glob(".submission_file_*.sh"):
            script.unlink(missing_ok=True)
        self._unused = again

    def _until_answered(
        self, once: Callable[[], list[Any]], entries: Sequence[Entry], submission: Submission
    ) -> list[str]:
        """Submit (`once`), and again where Slurm did not answer and has not got the batch; the ids, in order.

        Raises SubmissionFailed where Slurm refuses the batch, or does not answer for as long as is allowed; also
        for a failure of this machine, once Slurm has said that it has not got the batch, and at an interrupt.
        """
        deadline = time.monotonic() + self._settings.patience
        told = False
        while True:
            if self._stopped():
                raise _Interrupted("Snakemake was interrupted")
            try:
                jobs = once()
            except batches.SubmissionFailed as error:
                # what an interrupt has ended may have submitted: a site's sbatch is a script with codes of its own
                if self._cluster != "slurm" or (error.refused and not self._stopped()):
                    raise
                if not told and error.no_answer:
                    self._warn(f"Slurm does not answer; {entries[0].name} is submitted when it does: {error}")
                elif not told:
                    self._warn(f"{entries[0].name}: Slurm is asked whether it was submitted: {error}")
                told = True
                taken = self._taken(entries, deadline, error)
                if taken:
                    return taken
                batches.forget_unsubmitted(Path(entries[0].folder))
                if not error.no_answer and not self._stopped():
                    raise
                continue
            submission.jobs = {str(job.job_id): job for job in jobs}
            return list(submission.jobs)

    def _taken(self, entries: Sequence[Entry], deadline: float, error: batches.SubmissionFailed) -> list[str]:
        """Wait for Slurm; the ids of a batch that it took although it did not say so, none where it did not.

        The queue alone is asked: it knows all that was submitted moments ago. Raises after `deadline`, and soon
        after an interrupt.
        """
        timeout = self._settings.command_timeout
        answered: float | None = None
        while True:
            if self._stopped():
                deadline = min(deadline, time.monotonic() + 2 * _SETTLING_SECONDS)
            try:
                ids = batches.find_all_lost(entries, timeout, fresh=True)
                answered = answered or time.monotonic()
                for job_id in ids:
                    if isinstance(job_id, Exception):
                        raise job_id
                found = [str(job_id) for job_id in ids if job_id is not None]
                settled = not found and time.monotonic() - answered >= _SETTLING_SECONDS
                if settled or len(found) == len(entries):  # some of a batch: what else there is will be seen too
                    return found
            except (slurm.SlurmUnavailable, OSError):  # or the folder's file server
                answered = None
            if time.monotonic() > deadline:
                raise _NeverAnswered(str(error)) from error
            self._pause()

    def _pause(self) -> None:
        """Wait before Slurm is asked again; shorter where the run is stopped."""
        due = time.monotonic() + _PAUSE_SECONDS
        while (left := due - time.monotonic()) > 0:
            time.sleep(min(0.5, left))
            if self._stopped():
                return

    def _entry(
        self, member: Prepared, request: Request, index: int, size: int, folder: Path, name: str, at: str
    ) -> Entry:
        return Entry(
            key=member.key,
            run=self._ledger.run,
            cluster=self._cluster,
            folder=str(folder),
            name=name,
            index=index,
            size=size,
            ranks=request.ranks,
            fingerprint=member.fingerprint,
            submitted_at=at,
            log=member.label.log,
            log_before=stat_of(member.label.log),
            requeues=dict(request.options).get("requeue") is not None,
            holds=dict(member.holds),
            outputs=member.label.makes(),
            host=processes.this_host() if self._cluster == "local" else None,
        )

    def _payload(self, member: Prepared, request: Request, command: str, entry: Entry) -> RankCommand:
        return RankCommand(
            key=member.key,
            index=entry.index,
            command=command,
            shell=member.shell,
            prefix=request.container.command_prefix(request.has_gpus) if request.container else (),
            folder=entry.folder,
            cwd=str(Path.cwd()),
            threads=request.cpus_per_task,
            spmd=not request.once,
            port=None if self._cluster == "slurm" else batches.free_port(),
            minutes=request.minutes,
            signal_delay=request.signal_delay(self._settings.signal_delay),
            debug=self._cluster == "debug",
            timeouts_left=member.timeouts_left,
            submitted_at=entry.submitted_at,
        )
