"""Whether a job that Slurm calls ended is gone: only then may another be submitted in its place.

Accounting notes an end when it begins: a program that ignores SIGTERM lives on for KillWait, and for as long as its
node does not answer. The queue shows the job as COMPLETING until every node has said that nothing of it is left, or
has been given up itself. Of a node that was given up nobody knows what lives on it, unless every rank has said that
it ended; there the submission is fenced (`fencing.py`) and given the time in which its ranks stop by themselves.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from . import slurm
from .fencing import seconds_until_fenced
from .ledger import Entry
from .ranks import RankReport
from .status import Accounting, Queued
from .submitted import Live

ACCOUNTING, QUEUE, NOBODY = "accounting", "queue", "nobody"
_COMPLETING_SECONDS = 600.0  # SlurmdTimeout, after which Slurm gives a silent node up, is 300 s by default


@dataclass(frozen=True)
class Ended:
    """A job that has ended by what `source` says: ACCOUNTING, the QUEUE (which names no nodes), or NOBODY."""

    job: Live
    facts: Accounting
    source: str


class Gone:
    """Tells which ends count. Asks Slurm at most once for each look, whatever the number of jobs: for its nodes."""

    def __init__(
        self, revoke: Callable[[Entry], None], latency: float, timeout: float, warn: Callable[[str], None]
    ) -> None:
        self._revoke = revoke
        self._seconds = seconds_until_fenced(latency)
        self._timeout = timeout
        self._warn = warn
        self._told: set[str] = set()

    def look(self, ended: Iterable[Ended], queue: Mapping[str, Queued]) -> list[Ended]:
        """Those that are gone, or of which nothing can run on, by what the queue shows now."""
        nodes: list[frozenset[str] | None] = []  # those that answer; None: not known; asked for at most once
        counted = []
        for each in ended:
            place = each.job.own(queue)
            why: str | None
            if place is not None and Accounting(place.state).active:
                why = self._stays(each, place)
            else:
                why = self._may_live(each, nodes)
            if why is None or (why and self._is_fenced(each, why)):
                counted.append(each)
        return counted

    def _stays(self, each: Ended, place: Queued) -> str:
        """Why a job that the queue still shows as there must be fenced; empty while it is waited for."""
        current = time.monotonic()
        job = each.job
        if place.state != "COMPLETING":
            job.completing_since = None  # it waits or runs again
            return ""
        if job.completing_since is None:
            job.completing_since = current
        if current - job.completing_since < _COMPLETING_SECONDS:
            return ""
        return f"Slurm has shown it as COMPLETING for {_COMPLETING_SECONDS:g} s: a node of it does not answer"

    def _may_live(self, each: Ended, nodes: list[frozenset[str] | None]) -> str | None:
        """Why something of a job that left the queue may run on; None where nothing can, empty: not known now."""
        job = each.job
        try:
            reports = job.reports()
        except OSError:
            reports = []
        if all_have_ended(reports, job.entry.ranks):
            return None
        had = each.facts.nodes
        if each.source == QUEUE and len(reports) == job.entry.ranks:
            had = tuple(dict.fromkeys(report.node for report in reports))
        elif each.source != ACCOUNTING:
            return "not all of its ranks have said so"
        elif each.facts.concluded:
            return "nobody has ended what runs of it"
        if not had:  # it never started
            return None
        if each.facts.state != "NODE_FAIL":
            if not nodes:
                nodes.append(self._answering())
            if nodes[0] is None:
                return ""
            had = tuple(node for node in had if node not in nodes[0])
        return f"nobody knows what still runs on {', '.join(had)}" if had else None

    def _answering(self) -> frozenset[str] | None:
        try:
            return frozenset(node.name for node in slurm.nodes(self._timeout) if not node.down)
        except slurm.SlurmUnavailable:
            return None

    def _is_fenced(self, each: Ended, why: str) -> bool:
        """Whether its ranks, wherever they live, have been told to stop and had the time to."""
        job, current = each.job, time.monotonic()
        if job.fenced_since is None:
            job.entry.fenced = True
            try:
                self._revoke(job.entry)
            except OSError as error:
                if job.job_id not in self._told:
                    self._told.add(job.job_id)
                    self._warn(f"{job.label}: job {job.job_id} is lost, which cannot be written down now: {error}")
                return False
            job.fenced_since = current
            self._warn(
                f"{job.label}: job {job.job_id} ended as {each.facts.state}, but {why}; it counts as ended in "
                f"{self._seconds:g} s, in which ranks that are left stop by themselves"
            )
        return current - job.fenced_since >= self._seconds


def all_have_ended(reports: list[RankReport], ranks: int) -> bool:
    """Whether each of a job's ranks has reported that its command ended."""
    return len(reports) == ranks and all(report.ended_at is not None for report in reports)
