"""The ledger: which job of the workflow was submitted as which job of the cluster, written before and after.

Snakemake records a job's external id only once `sbatch` has come back; a Snakemake that is killed in between
would forget jobs that run. So the plugin writes an entry for a job *before* it submits it, with the folder and
the name of the submission, and adds the id afterwards. A restarted Snakemake finds the job by either.
"""

import hashlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from .journal import Journal, no_note
from .ranks import now, write_json
from .run_locks import RunLock, owner
from .writing import said_where_it_fails

SUBMITTED, SUCCEEDED, ENDED = "submitted", "succeeded", "ended"
STOPPING = "stopping"  # cancelled by an interrupt of Snakemake, which does not wait until nothing of it lives


@dataclass
class Entry:
    """One submission of one job; `job_id` is None until it is known to have been accepted."""

    key: str
    run: str
    cluster: str
    folder: str
    name: str
    index: int
    size: int
    ranks: int
    fingerprint: str | None
    submitted_at: str
    log: str | None = None
    log_before: tuple[int, int] | None = None
    outputs: list[str] = field(default_factory=list)
    """What it makes, relative to the working directory: another key that makes one of them is the same job."""
    host: str | None = None
    """Where its processes are; of jobs of the local executor alone."""
    job_id: str | None = None
    requeues: bool = False
    fenced: bool = False
    """Whether it was given up as lost: its ranks stop where they still live (`fencing.py` reads it there)."""
    holds: dict[str, int] = field(default_factory=dict)
    """What it takes of Snakemake's limited resources while it waits or runs."""
    status: str = SUBMITTED


def job_key(rule: str, outputs: Iterable[str], wildcards: str) -> str:
    """What stays the same about a job when Snakemake is started again: its outputs, or rule and wildcards."""
    outputs = sorted(outputs)
    words = outputs if outputs else ["", rule, wildcards]
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:24]


def just_after(moment: str) -> str:
    """The next millisecond."""
    later = datetime.fromisoformat(moment) + timedelta(milliseconds=1)
    return later.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def by_output(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Entries by each of what they make."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        for output in entry.outputs:
            found.setdefault(output, []).append(entry)
    return found


class Ledger:
    """The entries in a submitit folder, and which Snakemake each belongs to."""

    def __init__(self, folder: Path, run: str) -> None:
        self.run = run
        self._journal = Journal(folder / "ledger.jsonl")
        self._tokens = folder / "ledger"
        self._runs = folder / "runs"
        self._unwritten: dict[str, Entry] = {}
        self._guard = threading.Lock()  # jobs are submitted by one thread and watched by another
        self._runs.mkdir(exist_ok=True)
        self._lock = RunLock(self._lock_of(run))

    def write(self, *entries: Entry) -> None:
        """Write entries, each in place of an earlier one for the same job; they are on the disk when this returns.

        Raises OSError, and has written none of them then.
        """
        with self._guard:
            self._append(entries, durable=True)

    def submission_times(self, keys: Sequence[str]) -> list[str]:
        """When jobs that are submitted now were: later than their earlier submissions, whatever the clocks say.

        Ranks stop where a later submission has taken their place, and login nodes' clocks differ.
        """
        with self._guard:
            known = self._journal.read()
            before = [str(known.get(key, {}).get("submitted_at", "")) for key in keys]
        current = now()
        return [current if earlier < current else just_after(earlier) for earlier in before]

    def note_end(self, entry: Entry, status: str) -> None:
        """Write down that a job has ended; where that fails, a restarted Snakemake finds its end again."""
        entry.status = status
        self.note(entry)

    def note(self, *entries: Entry) -> None:
        """Write entries that this Snakemake can do without: a failure is said, and it is tried again later."""
        with self._guard:
            self._unwritten.update({entry.key: entry for entry in entries})
        jobs = ", ".join(f"job {entry.job_id}, {entry.name}" for entry in entries[:3])
        with said_where_it_fails(f"{self._journal.path} ({jobs}{' and others' if len(entries) > 3 else ''})"):
            self._write_late()

    @property
    def is_written(self) -> bool:
        """Whether all that was noted is in the file."""
        with self._guard:
            return not self._unwritten

    def _write_late(self) -> None:
        # what the cluster knows too need not be on the disk when the machine loses its power
        with self._guard:
            self._append(list(self._unwritten.values()), durable=False)

    def _append(self, entries: Sequence[Entry], durable: bool) -> None:
        """Under the guard: between what is to be written and the writing no newer word may come."""
        if not entries:
            return
        before = self._journal.append([vars(entry) for entry in entries], durable)
        for entry in entries:
            earlier = before.get(entry.key, vars(entry))
            if entry.requeues or entry.fenced or earlier.get("submitted_at") != entry.submitted_at:
                self._show(entry)
            self._unwritten.pop(entry.key, None)  # also an older one of that job

    def _show(self, entry: Entry) -> None:
        """Put an entry where ranks look for it: those of an earlier submission, whose place it has taken."""
        self._tokens.mkdir(exist_ok=True)
        write_json(self._tokens / f"{entry.key}.json", vars(entry))

    def read(self, key: str) -> Entry | None:
        """The entry of a job, or None.

        Raises WorkflowError where the job belongs to another Snakemake that is alive.
        """
        with self._guard:
            content = self._journal.read().get(key)
            if (late := self._unwritten.get(key)) is not None:
                content = vars(late)
        entry = None if content is None else self._entry(content)
        if entry is not None:
            self.refuse_owned(entry)
        return entry

    def refuse_owned(self, entry: Entry) -> None:
        """Raise WorkflowError where a submitted job belongs to another Snakemake that is alive."""
        if entry.run != self.run and entry.status == SUBMITTED:
            owner = self._owner(entry.run)
            if owner is not None:
                raise WorkflowError(
                    f"job {entry.name} ({entry.job_id or 'being submitted'}) belongs to another Snakemake that "
                    f"is running in this folder ({owner}); let it finish or stop it first"
                )

    def open_of_others(self) -> list[Entry]:
        """Jobs of other runs of which it is not known that they have ended, also those that an interrupt ends."""
        with self._guard:
            contents = list(self._journal.read().values())
        found = [content for content in contents if content.get("status") in (SUBMITTED, STOPPING)]
        return [self._entry(content) for content in found if content.get("run") != self.run]

    def entries(self) -> list[Entry]:
        """All entries, of whatever run."""
        with self._guard:
            return [self._entry(content) for content in self._journal.read().values()]

    def shorten(self) -> None:
        """Leave only what counts in the file: one line for each job."""
        with self._guard:
            self._journal.rewrite()

    def orphans(self) -> list[Entry]:
        """Jobs that were submitted by runs that have gone, and of whose end nothing is known."""
        left = [entry for entry in self.entries() if entry.status == SUBMITTED and entry.run != self.run]
        return [entry for entry in left if self._owner(entry.run) is None]

    def is_over(self, run: str) -> bool:
        """Whether a run is another one than this, and its Snakemake has gone."""
        return run != self.run and self._owner(run) is None

    def close(self) -> None:
        """Let go of this run; its entries are free for others."""
        with said_where_it_fails(f"{self._journal.path}: how jobs ended"):
            self._write_late()
        self._lock.let_go()

    def _entry(self, content: dict[str, Any]) -> Entry:
        try:
            before = content.get("log_before")
            return Entry(**{**content, "log_before": None if before is None else tuple(before)})
        except TypeError as problem:
            raise no_note(self._journal.path, problem) from problem

    def _lock_of(self, run: str) -> Path:
        return self._runs / f"{run}.lock"

    def _owner(self, run: str) -> str | None:
        """Who holds a run, in words; None where its process is gone."""
        return owner(self._lock_of(run))
