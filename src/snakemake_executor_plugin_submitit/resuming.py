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
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from . import batches, processes, slurm
from .ending import Ending, Other
from .ends import Ends
from .jobs import Label, Prepared
from .ledger import ENDED, STOPPING, SUBMITTED, SUCCEEDED, Entry, Ledger, by_output
from .live import Live, Watcher
from .outcomes import Outcome

_PAUSE_SECONDS = 5.0  # between two questions to Slurm about jobs without an id
_INTERRUPTED = "was to be cancelled by the interrupt of that run"
_DIFFERENT = "is another one, it is cancelled"


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
        self._known: dict[str, Live] = {}  # of `_others`, by key
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
        others: dict[str, list[Other]] = {}
        self._due = time.monotonic() + self._patience  # once for all of them
        for member in prepared:
            try:
                others[member.key] = self._others_of(member)
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
        known = [member for member in prepared if member.key not in unclear]
        ending = self._end_together(known, found, others, unclear)
        taken = {}
        for member in (member for member in known if member.key not in unclear):
            try:
                for other in others[member.key]:
                    if ending.end_of(other.live) and other.live.entry.status != ENDED:
                        self._ends.close(other.live, success=False)
                if member.key in found and self._usable(member, found[member.key], ending):
                    taken[member.key] = (member, found[member.key])
            except (WorkflowError, OSError, slurm.SlurmUnavailable) as error:
                unclear[member.key] = (member, error)
        done = taken.keys() | unclear.keys()
        fresh = [member for member in prepared if member.key not in done]
        return list(taken.values()), fresh, list(unclear.values())

    def _others_of(self, member: Prepared) -> list[Other]:
        """What earlier runs submitted under another key and that makes an output of this job too."""
        if self._others is None:
            self._others = by_output(self._ledger.open_of_others())
        if not self._others:
            return []
        shared = {other.key: (path, other) for path in member.label.makes() for other in self._others.get(path, ())}
        found = []
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
            found.append(Other(path, self._known.setdefault(key, Live(entry, member.label))))
        return found

    def _end_together(
        self,
        members: Sequence[Prepared],
        found: Mapping[str, Live],
        others: Mapping[str, Sequence[Other]],
        unclear: dict[str, tuple[Prepared, Exception]],
    ) -> Ending:
        """Cancel what is not taken up, all of it in one call, and wait until nothing of it lives: once for all."""
        ending = Ending(self._watcher, self._timeout)
        lives = {other.live.entry.key: other.live for member in members for other in others[member.key]}
        if lives or found:
            self._watcher.look([*found.values(), *lives.values()], ask=True)
        for member in members:
            try:
                self._add_to(ending, member, found.get(member.key), others[member.key])
            except (WorkflowError, OSError) as error:
                unclear[member.key] = (member, error)
        ending.wait()
        return ending

    def _add_to(self, ending: Ending, member: Prepared, live: Live | None, others: Sequence[Other]) -> None:
        for path, other in ((other.path, other.live) for other in others if other.live.outcome is None):
            if ending.add(other):
                self._tell(
                    f"{member.label}: job {other.job_id} ({other.entry.name}) of an earlier run makes {path} too, "
                    "as part of a job that is put together differently now; it is cancelled, and this one "
                    "submitted once nothing of it lives"
                )
        if live is None or live.outcome is not None:
            return
        if live.entry.status == STOPPING:
            self._tell(f"{member.label}: job {live.job_id} was cancelled by an interrupt and is still ending")
            ending.add(live)
        elif (why := self._why_not(member, live)) is not None:
            self._tell(f"{member.label}: job {live.job_id} of an earlier run {why}")
            ending.add(live)

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

    def _why_not(self, member: Prepared, live: Live) -> str | None:
        """Why a job is not taken up, by what was asked for and by whom it was cancelled; None where it is."""
        entry, outcome = live.entry, live.outcome
        # killed while it cancelled its jobs: one that still lives may have been cancelled too
        cancelled = outcome is None or outcome.state == "CANCELLED" or (outcome.success and live.was_told_to_stop())
        if cancelled and self._ends.were_ours(entry.run):
            return _INTERRUPTED
        comparable = entry.fingerprint is not None and member.fingerprint is not None
        different = comparable and entry.fingerprint != member.fingerprint
        return _DIFFERENT if different or entry.cluster != self._cluster else None

    def _usable(self, member: Prepared, live: Live, ending: Ending) -> bool:
        """Whether a job is taken up; else nothing of it lives any more."""
        entry = live.entry
        if entry.status == STOPPING:
            outcome = ending.end_of(live)
            there = all(Path(output).exists() for output in member.label.outputs)
            if not outcome.success or live.was_told_to_stop() or not there:
                self._ends.close(live, success=False)
                return False
            entry.status = SUBMITTED  # it had completed before it could be cancelled
        told = ending.was_told(live)
        ended = ending.end_of(live) if told else live.outcome
        lost = _removed_output(member, ended, self._latency) if ended is not None and ended.success else None
        why = self._why_not(member, live)
        if lost is None and why is None and not told:
            self._tell(
                f"{member.label}: job {live.job_id} of an earlier run {_how(live, ended)} and is taken up again"
            )
            entry.run = self._ledger.run
            self._ledger.note(entry)
            return True
        outcome = ending.end_of(live)
        if not told:
            missing = f", but {lost} is not there" if lost is not None else ""
            missing = " by the interrupt of that run" if why == _INTERRUPTED else missing
            self._tell(f"{member.label}: job {live.job_id} of an earlier run ended as {outcome.state}{missing}")
        self._ends.note(live, outcome)
        self._ends.close(live, success=False)
        return False


def _has_ended(entry: Entry) -> bool:
    return entry.job_id is not None and len(Live(entry, Label(entry.name, {}, (), None)).results()) == entry.ranks


def _how(live: Live, outcome: Outcome | None) -> str:
    if outcome is None:
        return "is still there" if live.id_given_to is None else f"has lost its id to {live.id_given_to}"
    return "has completed meanwhile" if outcome.success else f"has ended meanwhile as {outcome.state}"


def _removed_output(member: Prepared, outcome: Outcome, latency: float) -> str | None:
    """An output that a job made and that is not there; None where all are, or may still come to be seen."""
    if outcome.ended_at is None:
        return None
    age = (datetime.now(UTC) - datetime.fromisoformat(outcome.ended_at)).total_seconds()
    missing = [output for output in member.label.outputs if not Path(output).exists()]
    return missing[0] if missing and age > latency else None
