"""Taking up jobs that an earlier Snakemake submitted, so that nothing runs twice.

What the ledger says of a job that is to be run decides:

- no entry, or an ended one: the job is submitted;
- a success that Snakemake's own records do not know of (it was killed in between): reported as success;
- a success that they know of: Snakemake wants the job again for a reason of its own, it is submitted;
- submitted: taken up again, also if it has ended meanwhile: then what follows is what follows for a job that ends
  while Snakemake watches. A job that runs a different command than the one asked for now is cancelled and
  submitted anew, and so is one whose outputs are gone or which was cancelled by an interrupt of the earlier run;
- cancelled by an interrupt: submitted anew once nothing of it lives, or reported as success where it had completed
  before it was told to stop.

A job is known by its outputs. Where a group is put together differently now, or a rule makes one output more, an
earlier submission is another job that makes some of the same files: it is ended before the job is submitted.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from . import batches, processes, slurm
from .ends import Ends
from .jobs import Label, Prepared
from .ledger import ENDED, STOPPING, SUBMITTED, SUCCEEDED, Entry, Ledger, by_output
from .live import Live, Watcher
from .outcomes import Outcome
from .stopping import stop_jobs

_SECONDS_TO_GO = 300.0  # KillWait, and where a node does not answer the time in which ranks stop by themselves
_SHORTEST_PAUSE = 0.5
_PAUSE_SECONDS = 5.0  # between two questions to Slurm about one job


class EarlierRuns:
    """Finds jobs of earlier runs in the ledger, and on the cluster."""

    def __init__(
        self,
        cluster: str,
        ends: Ends,
        ledger: Ledger,
        watcher: Watcher,
        timeout: float,
        patience: float,
        latency: float,
        tell: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self._ends = ends
        self._ledger = ledger
        self._watcher = watcher
        self._timeout = timeout
        self._patience = patience
        self._latency = latency
        self._tell = tell
        self._others: dict[str, list[Entry]] | None = None
        self._ending: dict[str, Live] = {}  # what is known of `_others`, by key
        self._gone_by: dict[str, float] = {}  # until when each that is ending is waited for, by key
        self._due = 0.0  # until when a Slurm that does not answer is waited for

    def take_up(
        self, prepared: Sequence[Prepared], persistence: Any
    ) -> tuple[list[tuple[Prepared, Live]], list[Prepared], list[tuple[Prepared, Exception]]]:
        """Jobs that are taken up again, those that must be submitted (in the same order), and those that cannot be.

        `persistence` is Snakemake's. The third are jobs that belong to another Snakemake that is alive, jobs of
        which Slurm does not say whether they were submitted, and those whose files cannot be read, each with why.
        """
        found: dict[str, Live] = {}
        unclear: dict[str, tuple[Prepared, Exception]] = {}
        entries: dict[str, Entry] = {}
        self._due = time.monotonic() + self._patience  # once for all of them
        self._gone_by.clear()
        for member in prepared:
            try:
                self._end_others(member)
                if (entry := self._earlier(member, persistence)) is not None:
                    entries[member.key] = entry
            except (WorkflowError, OSError, slurm.SlurmUnavailable) as error:
                unclear[member.key] = (member, error)
        try:
            unread = self._find(*entries.values())
            unclear |= {m.key: (m, unread[m.key]) for m in prepared if m.key in unread}
        except (WorkflowError, OSError) as error:
            unclear |= {m.key: (m, error) for m in prepared if m.key in entries and not entries[m.key].job_id}
        for member in prepared:
            if member.key in entries and entries[member.key].job_id is not None:
                found[member.key] = Live(entries[member.key], member.label)
        if found:
            self._watcher.look(list(found.values()), ask=True)
        taken = {}
        stopping = [live for live in found.values() if live.entry.status == STOPPING]
        for member in (member for member in prepared if member.key in found):
            try:
                if self._usable(member, found[member.key], stopping):
                    taken[member.key] = (member, found[member.key])
            except (WorkflowError, OSError, slurm.SlurmUnavailable) as error:
                unclear[member.key] = (member, error)
        done = taken.keys() | unclear.keys()
        fresh = [member for member in prepared if member.key not in done]
        return list(taken.values()), fresh, list(unclear.values())

    def _end_others(self, member: Prepared) -> None:
        """End what earlier runs submitted under another key and that makes an output of this job too."""
        if self._others is None:
            self._others = by_output(self._ledger.open_of_others())
        if not self._others:
            return
        shared = {other.key: (path, other) for path in member.label.makes() for other in self._others.get(path, ())}
        for key, (path, entry) in shared.items():
            if key == member.key or entry.status == ENDED or entry.cluster == "debug":
                continue
            self._ledger.refuse_owned(entry)
            if self._is_out_of_sight(member, entry):
                continue
            for problem in self._find(entry).values():
                raise problem
            if entry.job_id is None:  # it was never submitted
                self._ledger.note_end(entry, ENDED)
                continue
            live = self._ending.setdefault(key, Live(entry, member.label))
            if not self._watcher.look([live], ask=True) or live.outcome is None:
                self._tell(
                    f"{member.label}: job {live.job_id} ({entry.name}) of an earlier run makes {path} too, as part "
                    "of a job that is put together differently now; it is cancelled, and this one submitted once "
                    "nothing of it lives"
                )
                self._end_of(live, stop=entry.status != STOPPING)
            self._ends.close(live, success=False)

    def _find(self, *entries: Entry) -> dict[str, Exception]:
        """Learn the ids of jobs that have none; None stays where they never were submitted.

        Returned is, by key, why that of a job cannot be learnt.
        """
        problems: dict[str, Exception] = {}
        unknown = [entry for entry in entries if entry.job_id is None]
        patience = max(0.0, self._due - time.monotonic())
        if unknown:
            for entry, job_id in zip(unknown, self.lost_ids(unknown, patience), strict=True):
                if isinstance(job_id, Exception):
                    problems[entry.key] = job_id
                else:
                    entry.job_id = job_id
        return problems

    def lost_ids(
        self, entries: Sequence[Entry], patience: float = 0.0
    ) -> list[str | WorkflowError | OSError | None]:
        """The ids of jobs of which only the intent to submit them is known, in order, None where they never were.

        For a job whose folder is not safely ours, or cannot be read, why.
        Slurm is asked once for every batch. Waits `patience` seconds for a Slurm that does not answer, and raises
        WorkflowError then.
        """
        deadline, told = time.monotonic() + patience, False
        name = ", ".join(dict.fromkeys(entry.name for entry in entries))
        while True:
            try:
                return batches.find_all_lost(entries, self._timeout)
            except slurm.SlurmUnavailable as error:
                if time.monotonic() >= deadline:
                    raise WorkflowError(
                        f"Slurm does not say whether job {name} was submitted ({error}); "
                        "start Snakemake again when Slurm answers, so that the job does not run twice"
                    ) from error
                if not told:
                    self._tell(f"Waiting until Slurm says whether job {name} was submitted: {error}")
                told = True
            time.sleep(_PAUSE_SECONDS)

    def _earlier(self, member: Prepared, persistence: Any) -> Entry | None:
        """The entry of a job that was submitted and that Snakemake does not know the end of."""
        entry = self._ledger.read(member.key)
        if entry is None or entry.status == ENDED or entry.cluster == "debug":
            return None
        if entry.status == SUCCEEDED:
            noted = entry.run == self._ledger.run or entry.job_id not in persistence.external_jobids(member.job)
            if noted:
                return None
        return None if self._is_out_of_sight(member, entry) else entry

    def _is_out_of_sight(self, member: Prepared, entry: Entry) -> bool:
        """Whether a job is processes of another machine that left nothing to take up here.

        Raises WorkflowError where they may still live, unless the user has asked for the job again: then they are
        taken for gone.
        """
        if entry.host in (None, processes.this_host()) or _has_ended(entry):
            return False
        if entry.status not in (SUBMITTED, STOPPING):
            return True
        name = f"job {entry.name} ({entry.job_id or 'being submitted'}) of an earlier run"
        if not self._ends.asked_again(member.key):
            raise WorkflowError(
                f"{name} is a process of {entry.host} and can be seen from there only; start Snakemake on "
                f"{entry.host}, which takes it up or finds it gone. Where {entry.host} no longer exists, start the "
                "same command with --submitit-again: then it is taken for gone, and this one submitted"
            )
        self._tell(
            f"{member.label}: {name} on {entry.host} cannot be seen from here; it is taken for gone, for this one "
            f"was asked for again. Should it run on {entry.host} still, end it there"
        )
        self._ledger.note_end(entry, ENDED)
        return True

    def _usable(self, member: Prepared, live: Live, stopping: Sequence[Live]) -> bool:
        """Whether a job is taken up; else nothing of it lives any more. Those that are `stopping` end together."""
        entry, outcome = live.entry, live.outcome
        if entry.status == STOPPING:
            if outcome is None:
                self._tell(f"{member.label}: job {live.job_id} was cancelled by an interrupt and is still ending")
                outcome = self._end_of(live, stop=False, beside=stopping)
            there = all(Path(output).exists() for output in member.label.outputs)
            if not outcome.success or live.was_told_to_stop() or not there:
                self._ends.close(live, success=False)
                return False
            entry.status = SUBMITTED  # it had completed before it could be cancelled
        lost = _removed_output(member, outcome, self._latency) if outcome is not None and outcome.success else None
        comparable = entry.fingerprint is not None and member.fingerprint is not None
        different = comparable and entry.fingerprint != member.fingerprint
        # killed while it cancelled its jobs: one that still lives may have been cancelled too
        cancelled = outcome is None or outcome.state == "CANCELLED" or (outcome.success and live.was_told_to_stop())
        ours = cancelled and self._ends.were_ours(entry.run)
        if lost is None and not ours and not different and entry.cluster == self._cluster:
            self._tell(f"{member.label}: job {live.job_id} of an earlier run {_how(outcome)} and is taken up again")
            entry.run = self._ledger.run
            self._ledger.note(entry)
            return True
        if outcome is None:
            why = "was to be cancelled by the interrupt of that run" if ours else "is another one, it is cancelled"
            self._tell(f"{member.label}: job {live.job_id} of an earlier run {why}")
            outcome = self._end_of(live)
        else:
            missing = f", but {lost} is not there" if lost is not None else ""
            missing = " by the interrupt of that run" if ours else missing
            self._tell(f"{member.label}: job {live.job_id} of an earlier run ended as {outcome.state}{missing}")
        self._ends.note(live, outcome)
        self._ends.close(live, success=False)
        return False

    def _end_of(self, live: Live, stop: bool = True, beside: Sequence[Live] = ()) -> Outcome:
        """Cancel a job (unless that was done), and wait until nothing of it lives: once for each `take_up`.

        Those `beside` it, which were cancelled too, have the same time.
        """
        key, together, pause = live.entry.key, list(beside) or [live], _SHORTEST_PAUSE
        if key not in self._gone_by:
            if stop:
                stop_jobs([live], self._timeout)
            due = time.monotonic() + _SECONDS_TO_GO
            self._gone_by |= {each.entry.key: due for each in together}
        while live not in self._watcher.look(together, ask=True) or live.outcome is None:
            if time.monotonic() > self._gone_by[key]:
                raise WorkflowError(f"job {live.job_id} ({live.label}) was cancelled but does not end")
            time.sleep(pause)
            pause = min(2 * pause, _PAUSE_SECONDS)
        return live.outcome


def _has_ended(entry: Entry) -> bool:
    return entry.job_id is not None and len(Live(entry, Label(entry.name, {}, (), None)).results()) == entry.ranks


def _how(outcome: Outcome | None) -> str:
    if outcome is None:
        return "is still there"
    return "has completed meanwhile" if outcome.success else f"has ended meanwhile as {outcome.state}"


def _removed_output(member: Prepared, outcome: Outcome, latency: float) -> str | None:
    """An output that a job made and that is not there; None where all are, or may still come to be seen."""
    if outcome.ended_at is None:
        return None
    age = (datetime.now(UTC) - datetime.fromisoformat(outcome.ended_at)).total_seconds()
    missing = [output for output in member.label.outputs if not Path(output).exists()]
    return missing[0] if missing and age > latency else None
