"""The ledger: which job of the workflow was submitted as which job of the cluster, written before and after.

Snakemake records a job's external id only once `sbatch` has come back; a Snakemake that is killed in between
would forget jobs that run. So the plugin writes an entry for a job *before* it submits it, with the folder and
the name of the submission, and adds the id afterwards. A restarted Snakemake finds the job by either.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from snakemake_interface_common.exceptions import WorkflowError

from .ranks import write_json
from .writing import said_where_it_fails

SUBMITTED, SUCCEEDED, ENDED = "submitted", "succeeded", "ended"


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
    job_id: str | None = None
    requeues: bool = False
    status: str = SUBMITTED


def job_key(rule: str, outputs: Iterable[str], wildcards: str) -> str:
    """What stays the same about a job when Snakemake is started again: its outputs, or rule and wildcards."""
    outputs = sorted(outputs)
    words = outputs if outputs else ["", rule, wildcards]
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:24]


class Ledger:
    """The entries in a submitit folder, and which Snakemake each belongs to."""

    def __init__(self, folder: Path, run: str) -> None:
        self.run = run
        self._entries = folder / "ledger"
        self._runs = folder / "runs"
        self._unwritten: dict[str, Entry] = {}
        self._entries.mkdir(exist_ok=True)
        self._runs.mkdir(exist_ok=True)
        # held for as long as this process lives, however it ends
        self._held: IO[str] = (self._runs / f"{run}.lock").open("w")
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WorkflowError(
                f"cannot lock {self._held.name} ({error.strerror}): --submitit-folder must lie on a file system "
                "with file locks (Lustre: mounted with flock)"
            ) from error
        self._held.write(f"process {os.getpid()} on {os.uname().nodename}\n")
        self._held.flush()

    def write(self, entry: Entry) -> None:
        """Write one entry, in place of an earlier one for the same job."""
        write_json(self._entries / f"{entry.key}.json", vars(entry))
        self._unwritten.pop(entry.key, None)  # also an older one of that job

    def note_end(self, entry: Entry, status: str) -> None:
        """Write down that a job has ended; where that fails, a restarted Snakemake finds its end again."""
        entry.status = status
        self.note(entry)

    def note(self, entry: Entry) -> None:
        """Write an entry that this Snakemake can do without: a failure is said, and it is tried again later."""
        self._unwritten[entry.key] = entry
        with said_where_it_fails(f"{self._entries / entry.key}.json (job {entry.job_id}, {entry.name})"):
            self.write(entry)
            self._write_late()

    def _write_late(self) -> None:
        for entry in list(self._unwritten.values()):
            self.write(entry)

    def read(self, key: str) -> Entry | None:
        """The entry of a job, or None.

        Raises WorkflowError where the job belongs to another Snakemake that is alive.
        """
        entry = self._load(self._entries / f"{key}.json")
        if entry is not None and entry.run != self.run and entry.status == SUBMITTED:
            owner = self._owner(entry.run)
            if owner is not None:
                raise WorkflowError(
                    f"job {entry.name} ({entry.job_id or 'being submitted'}) belongs to another Snakemake that "
                    f"is running in this folder ({owner}); let it finish or stop it first"
                )
        return entry

    def entries(self) -> list[Entry]:
        """All entries, of whatever run."""
        loaded = (self._load(path) for path in sorted(self._entries.glob("*.json")))
        return [entry for entry in loaded if entry is not None]

    def orphans(self) -> list[Entry]:
        """Jobs that were submitted by runs that have gone, and of whose end nothing is known."""
        left = [entry for entry in self.entries() if entry.status == SUBMITTED and entry.run != self.run]
        return [entry for entry in left if self._owner(entry.run) is None]

    def is_over(self, run: str) -> bool:
        """Whether a run is another one than this, and its Snakemake has gone."""
        return run != self.run and self._owner(run) is None

    def close(self) -> None:
        """Let go of this run; its entries are free for others."""
        with said_where_it_fails(f"{self._entries}: how jobs ended"):
            self._write_late()
        self._held.close()
        (self._runs / f"{self.run}.lock").unlink(missing_ok=True)

    @staticmethod
    def _load(path: Path) -> Entry | None:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.get("log_before") is not None:
                content["log_before"] = tuple(content["log_before"])
            return Entry(**content)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, AttributeError, RecursionError) as problem:
            # which job it stood for, nobody knows: it may be running
            raise WorkflowError(
                f"{path} is no note of a submitted job ({problem}); see with squeue whether a job of this workflow "
                "runs, end it, and remove the file"
            ) from problem

    def _owner(self, run: str) -> str | None:
        """Who holds a run, in words; None where its process is gone."""
        path = self._runs / f"{run}.lock"
        try:
            with path.open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return None
        except BlockingIOError:
            return path.read_text(encoding="utf-8").strip()
        path.unlink(missing_ok=True)
        return None
