"""Jobs that a Snakemake which has gone left in the queue or running: named at the start, counted, taken up first.

Those that this run asks for are its own from the start: Snakemake is made to choose them before any other job, so
that they are taken up (`resuming.py`), and an interrupt cancels them also while they wait for their turn. Those
that this run does not ask for (other targets, another plan) are left alone and named, at the start and at an
interrupt. All of them count against `jobs` and Snakemake's resources until they have ended: what is new waits.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from . import processes, slurm
from .batches import named_alike
from .jobs import Label, Prepared, key_of, label_of
from .ledger import Entry, Ledger, by_output
from .live import Live
from .resuming import EarlierRuns
from .status import Accounting

_PAUSE_SECONDS = 5.0
_MOST_NAMED = 20


class Orphans:
    """What earlier runs of this workflow left behind, until it has ended or is handed to this run."""

    def __init__(
        self,
        cluster: str,
        ledger: Ledger,
        earlier: EarlierRuns,
        timeout: float,
        tell: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self._ledger = ledger
        self._earlier = earlier
        self._timeout = timeout
        self._tell = tell
        self._guard = threading.RLock()  # asked by the scheduler's thread, the watcher's and the backlog's
        self._left: dict[str, Entry] = {}
        self._asked_for: dict[str, Label] = {}
        self._instead: dict[str, list[str]] = {}  # keys of jobs that make outputs of a job of this run, by its key
        self._looked: float | None = None
        self._ended = False

    def find(self, label: str, dag: Any) -> None:
        """Look for them, say which there are, and let those that this run asks for be chosen first.

        `label` is what the names of this workflow's jobs have in common: of other workflows in the same folder,
        jobs on Slurm are none of this run's business. Raises WorkflowError where the ledger cannot be read.
        """
        try:
            found = self._ledger.orphans()
        except OSError as error:
            raise WorkflowError(
                f"what earlier runs have submitted cannot be read ({error}); nothing is submitted before it "
                "can, or jobs might run twice"
            ) from error
        self._left = {
            entry.key: entry
            for entry in found
            if entry.cluster == "local" or (entry.cluster == "slurm" and named_alike(entry.name, label))
        }
        self._leave_out_other_hosts()
        if not self._left:
            return
        outputs = by_output(self._left.values())
        for job in _wanted(dag):
            label_of_job = label_of(job)
            key = key_of(label_of_job)
            left = {entry.key for path in label_of_job.makes() for entry in outputs.get(path, ())}
            if key in self._left or left:
                self._instead[key] = sorted(left - {key})
                self._asked_for |= dict.fromkeys({key, *left} & self._left.keys(), label_of_job)
                for member in job.jobs if job.is_group() else [job]:
                    dag._priority[member] += 1  # there is no public way; --prioritize would drown all others
        self._look()
        self._say(self.asked_for(), "and are taken up when it is their turn")
        self._say(self.not_asked_for(), f"and this run does not ask for them. {self._left_alone()}")

    def _leave_out_other_hosts(self) -> None:
        """Processes of another machine take nothing of this one, and their end cannot be seen from here."""
        here = processes.this_host()
        away = [entry for entry in self._left.values() if entry.host not in (None, here)]
        for entry in away:
            del self._left[entry.key]
        if away:
            hosts = ", ".join(sorted({str(entry.host) for entry in away}))
            self._tell(
                f"Of an earlier run, {len(away)} job(s) were started on another machine ({hosts}) and may run "
                f"there still; only Snakemake on that machine can take them up: {_named(away)}"
            )

    def asked_for(self) -> list[Entry]:
        """Those that are this run's, and have not been handed to it yet."""
        with self._guard:
            return [entry for key, entry in self._left.items() if key in self._asked_for]

    def not_asked_for(self) -> list[Entry]:
        """Those that this run leaves alone."""
        with self._guard:
            return [entry for key, entry in self._left.items() if key not in self._asked_for]

    def handed_over(self, keys: Iterable[str], unclear: Collection[str] = ()) -> None:
        """Snakemake has chosen these jobs: from here on they are this run's.

        What could be neither taken up nor ended (`unclear`) counts until it has ended, and an interrupt cancels it;
        but nobody waits for one of which no id is known, for that may never be.
        """
        with self._guard:
            for key in keys:
                for mine in (key, *self._instead.get(key, ())):
                    entry = self._left.get(mine)
                    if entry is not None and (key not in unclear or entry.job_id is None):
                        del self._left[mine]

    def some_ended(self) -> bool:
        """Whether some have ended since this was last asked; to be called at every look at jobs."""
        with self._guard:
            if self._left:
                self._look()
            ended, self._ended = self._ended, False
            return ended

    def in_the_way(
        self, members: Sequence[Prepared], live: Iterable[Entry], limits: Mapping[str, int]
    ) -> str | None:
        """Why jobs cannot be submitted beside those that are left and the `live` ones of this run; None: they can.

        `limits` are Snakemake's resources by name; `_nodes` is the number of jobs.
        """
        with self._guard:
            if not self._left:
                return None
            self._look()
            left = list(self._left.values())
        running = [*left, *live]
        for name, limit in limits.items():
            used = sum(_holds(entry.holds, name) for entry in running)
            wanted = sum(_holds(member.holds, name) for member in members)
            if wanted and left and used + wanted > limit:
                what = "jobs at a time" if name == "_nodes" else f"{name} at a time"
                kind = "jobs" if self._cluster == "slurm" else "local jobs"
                return f"Waiting for {kind} of an earlier run to end ({limit} {what}): {_named(left)}"
        return None

    def to_be_cancelled(self) -> list[Live]:
        """At an interrupt: those of this run that are alive, noted as its own; the others are named once more."""
        if not self._left:
            return []
        with self._guard:
            self._looked = None
            self._look()
        self._say(self.not_asked_for(), f"and this run does not ask for them. {self._left_alone()}")
        known = [entry for entry in self.asked_for() if entry.job_id is not None]
        unknown = [entry for entry in self.asked_for() if entry.job_id is None]
        if unknown:
            self._tell(
                f"Of an earlier run, {len(unknown)} job(s) may be in the queue and could not be asked for; look "
                f"for them by their names: {_named(unknown)}"
            )
        for entry in known:  # of this run before they are told: that it cancels its jobs is known of it
            entry.run = self._ledger.run
        self._ledger.note(*known)
        return [Live(entry, self._asked_for[entry.key]) for entry in known]

    def _look(self) -> None:
        """Forget those that have ended; asked every few seconds at most, and no answer is no end."""
        if self._looked is not None and time.monotonic() - self._looked < _PAUSE_SECONDS:
            return
        self._looked = time.monotonic()
        unknown = [entry for entry in self._left.values() if entry.job_id is None]
        try:
            ids = self._earlier.lost_ids(unknown)
        except (WorkflowError, OSError):
            return  # Slurm does not answer, or the folder cannot be read
        for entry, job_id in zip(unknown, ids, strict=True):
            if isinstance(job_id, Exception):
                continue  # nothing is known of it as long as its folder cannot be read
            entry.job_id = job_id
            if job_id is None:  # it was never submitted
                self._left.pop(entry.key, None)
        try:
            queue = slurm.queue(self._timeout) if any(e.cluster == "slurm" for e in self._left.values()) else {}
        except slurm.SlurmUnavailable:
            return
        for entry in [entry for entry in self._left.values() if entry.job_id is not None]:
            if entry.cluster == "local":
                alive = processes.controller(str(entry.job_id), Path(entry.folder)) is not None
            else:
                place = queue.get(str(entry.job_id))
                alive = place is not None and place.name == entry.name and Accounting(place.state).active
            if not alive:
                self._left.pop(entry.key, None)
                self._ended = True

    def _say(self, entries: Sequence[Entry], what: str) -> None:
        if entries:
            self._tell(f"Of an earlier run, {len(entries)} job(s) still wait or run, {what}: {_named(entries)}")

    def _left_alone(self) -> str:
        ids = " ".join(entry.job_id for entry in self.not_asked_for() if entry.job_id is not None)
        how = f"scancel {ids}" if self._cluster == "slurm" else f"kill {ids}"
        return f"They count against what may run at a time, and Ctrl-C leaves them; `{how}` ends them"


def wanted_keys(dag: Any) -> set[str]:
    """The keys of all jobs that this run still wants."""
    return {key_of(label_of(job)) for job in _wanted(dag)}


def _wanted(dag: Any) -> list[Any]:
    return list(dict.fromkeys(dag.get_job_group(job) or job for job in dag.needrun_jobs() if not job.is_local))


def _holds(holds: Mapping[str, int], name: str) -> int:
    return 1 if name == "_nodes" else holds.get(name, 0)


def _named(entries: Iterable[Entry]) -> str:
    words = [f"{entry.job_id or 'being submitted'} ({entry.name})" for entry in entries]
    more = f" and {len(words) - _MOST_NAMED} more" if len(words) > _MOST_NAMED else ""
    return ", ".join(words[:_MOST_NAMED]) + more
