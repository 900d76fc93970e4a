"""Why jobs wait: which of Slurm's reasons pass by themselves, which somebody must end, and which never will.

The reasons are those of squeue(1), "JOB REASON CODES", and of https://slurm.schedmd.com/job_reason_codes.html. Told
apart are what only the job's own request can change, what an administrator may change (partitions, nodes,
reservations, the limits of accounts and QOS), and what passes as other jobs end (Grp, PerUser, PerAccount, jobs).
Reasons that squeue spells out as sentences are in the table as it prints them, with underscores. A word that is not
in the table is said, and waited for.
"""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

from .blocked import BlockedTimes
from .status import Queued

NORMAL, MAY_PASS, BLOCKED, NEVER = "normal", "may pass", "blocked", "never"

# The first pattern that fits decides.
REASONS: tuple[tuple[str, str, str], ...] = (
    ("", NORMAL, ""),
    ("None", NORMAL, ""),
    ("Priority", NORMAL, "jobs of higher priority go first"),
    ("Resources", NORMAL, "what it asks for is in use"),
    ("JobArrayTaskLimit", NORMAL, "as many of its array run as may run at a time"),
    ("BeginTime", NORMAL, "its earliest start has not come"),
    ("Cleaning", NORMAL, "it is being requeued"),
    ("Prolog", NORMAL, "the site's prolog runs"),
    ("SchedDefer", NORMAL, "Slurm schedules it later"),
    ("WaitingForScheduling", NORMAL, "Slurm has not looked at it"),
    ("Dependency", NORMAL, "another job must end first"),
    ("FedJobLock", NORMAL, "a federation of clusters settles where it goes"),
    ("BurstBufferStageIn", NORMAL, "its data are being staged in"),
    # only another request can start
    ("DependencyNeverSatisfied", NEVER, "what it depends on did not end as it had to"),
    ("BadConstraints", NEVER, "no node has what it asks for"),
    ("Constraints", NEVER, "no node has what it asks for"),
    ("PartitionTimeLimit", NEVER, "its time limit is beyond its partition's"),
    ("PartitionConfig", NEVER, "its partition does not give what it asks for"),
    # also where nodes that it needs are down (squeue(1)): the watcher compares with the partition's limit
    ("PartitionNodeLimit", NEVER, "it asks for more nodes than its partition gives to one job"),
    ("MaxMemPerLimit", NEVER, "it asks for more memory than its partition gives per node or CPU"),
    ("InvalidAccount", NEVER, "its account is not valid"),
    ("InvalidQOS", NEVER, "its QOS is not valid"),
    ("AccountNotAllowed", NEVER, "its partition does not take its account"),
    ("QOSNotAllowed", NEVER, "its partition or account does not take its QOS"),
    ("DeadLine", NEVER, "it cannot end before its deadline"),
    ("JobHoldMaxRequeue", NEVER, "it has been requeued as often as the site allows"),
    # what one job asks for is beyond a limit of its account or QOS: nobody's end changes that, an administrator may
    ("*PerJob*", BLOCKED, "it asks for more than its account or QOS gives to one job"),
    ("*PerNode*", BLOCKED, "it asks for more of a node than its account or QOS gives"),
    ("AssocMaxWall*", BLOCKED, "its time limit is beyond its account's"),
    ("QOSMaxWall*", BLOCKED, "its time limit is beyond its QOS's"),
    ("AssociationTimeLimit", BLOCKED, "its time limit is beyond its account's"),
    ("QOSTimeLimit", BLOCKED, "its time limit is beyond its QOS's"),
    ("QOSMin*", BLOCKED, "it asks for less than its QOS requires"),
    ("QOSUsageThreshold", BLOCKED, "the account's usage is too low or too high for this QOS"),
    ("*GrpWall*", BLOCKED, "its account or QOS has used up its time"),
    # what others of the user, account or QOS hold now
    ("*Grp*RunMinutes*", MAY_PASS, "jobs of its account or QOS that run hold as much as they may"),
    ("*Grp*Minutes*", BLOCKED, "its account or QOS has used up its budget"),
    ("*Grp*", MAY_PASS, "its account or QOS has used up what all its jobs may have together"),
    ("*PerUser*", MAY_PASS, "the user's jobs hold as much as they may"),
    ("*PerAccount*", MAY_PASS, "the account's jobs hold as much as they may"),
    ("AssocMaxJobs*", MAY_PASS, "as many jobs of the account run as may"),
    ("*JobLimit", MAY_PASS, "as many jobs of the account or QOS run as may"),
    ("*ResourceLimit", MAY_PASS, "the account or QOS holds as much as it may"),
    ("AccountingPolicy", MAY_PASS, "a limit of its account or QOS is reached"),
    ("BurstBufferResources", MAY_PASS, "the burst buffer is in use"),
    ("MaxPoweredUpNodes", MAY_PASS, "as many nodes are powered up as may be"),
    ("MpiPortsBusy", MAY_PASS, "all ports for MPI are in use"),
    # its user can end it
    ("JobHeldUser", MAY_PASS, "it is held by its user, who can release it (scontrol release)"),
    ("*held*", MAY_PASS, "it is held after a failed launch, and can be released (scontrol release)"),
    # an administrator can
    ("JobHeldAdmin", BLOCKED, "it is held by an administrator"),
    ("Licenses", BLOCKED, "all licenses that it asks for are in use, or there are none"),
    ("ReqNodeNotAvail*", BLOCKED, "nodes that it needs are drained, down, or reserved"),
    ("Nodes_required_for_job_are_DOWN*", BLOCKED, "nodes that it needs are drained, down, or reserved"),
    ("NodeDown", BLOCKED, "a node that it needs is down"),
    ("FrontEndDown", BLOCKED, "no front end node is up"),
    ("PartitionDown", BLOCKED, "its partition is down"),
    ("PartitionInactive", BLOCKED, "its partition is inactive"),
    ("Reservation", BLOCKED, "its reservation has not begun, or its nodes are in use"),
    ("ReservationDeleted", BLOCKED, "its reservation has been deleted"),
    ("ReservationInvalid", BLOCKED, "its reservation is not valid"),
    ("BurstBufferOperation", BLOCKED, "its burst buffer has failed"),
    ("SystemFailure", BLOCKED, "Slurm itself has failed"),
    ("*", MAY_PASS, "Slurm says no more"),
)

_SURE_SECONDS = 15.0  # a restarting controller gives reasons that are gone a moment later
_REMIND_SECONDS = 3600.0
_GONE_SECONDS = 600.0  # a reason that was away for less (Slurm tells now one, now another) is no new one


@dataclass(frozen=True)
class Reason:
    """One of Slurm's reasons: its kind (NORMAL, MAY_PASS, BLOCKED or NEVER), and in words."""

    kind: str
    words: str


@lru_cache(maxsize=1024)
def read_reason(text: str) -> Reason:
    """What a reason as squeue prints it (`%r`) means."""
    word = re.sub(r"\s+", "_", text.strip().strip("()"))
    for pattern, kind, words in REASONS:
        if fnmatchcase(word, pattern):
            return Reason(kind, words)
    raise AssertionError("the last pattern fits everything")


@dataclass
class _Since:
    """Since when a job has shown a reason, and since when it has been blocked, by whichever (monotonic seconds)."""

    reason: str
    seen: float
    blocked: float | None


class Waiting:
    """What has been seen and said of the jobs that wait; `blocked_hours` as in the executor's settings.

    For how long jobs have been blocked outlasts a Snakemake in the file `kept_in`.
    """

    def __init__(
        self, tell: Callable[[str], None], blocked_hours: float = 72.0, kept_in: Path | None = None
    ) -> None:
        self._tell = tell
        self._blocked = BlockedTimes(kept_in, tell)
        self._hours = blocked_hours
        self._since: dict[str, _Since] = {}
        self._told: dict[str, tuple[float, float]] = {}

    def look(self, jobs: Iterable[tuple[str, Queued]], fits: Callable[[Queued], bool]) -> dict[str, str]:
        """Say what keeps jobs from starting; the ones that are to be given up, by id, with why.

        `jobs` are (what a job is called, how the queue shows it); `fits` says whether a job is within its
        partition's number of nodes. A reason that only the request can change must be seen twice, 15 s apart; one
        that an administrator can change is waited for, and a job counts as blocked while every look shows it so.
        """
        current = time.monotonic()
        given_up: dict[str, str] = {}
        waiting: dict[str, tuple[str, list[str]]] = {}
        for called, shown in jobs:
            reason = _with_nodes_down(read_reason(shown.reason), shown, fits)
            if shown.state != "PENDING" or reason.kind == NORMAL:
                self._since.pop(shown.job_id, None)
                self._blocked.forget(shown)
                continue
            since = self._note(shown, reason, current)
            why = self._why_given_up(reason, since, current)
            if why is not None:
                given_up[shown.job_id] = f"{why}: {reason.words} (Slurm's reason: {shown.reason})"
            elif reason.kind != NEVER:
                # the names of nodes that follow the word may change at every look
                about = f"{reason.words} {shown.reason.partition(',')[0]}"
                _, places = waiting.setdefault(about, (self._line(reason, shown.reason), []))
                places.append(f"{called}: job {shown.job_id}")
        self._say(waiting, current)
        self._blocked.write()
        return given_up

    def _note(self, shown: Queued, reason: Reason, current: float) -> _Since:
        known = self._since.get(shown.job_id)
        if known is None or known.reason != shown.reason:
            blocked = known.blocked if known is not None else None
            known = self._since[shown.job_id] = _Since(shown.reason, current, blocked)
        if reason.kind != BLOCKED:
            known.blocked = None
            self._blocked.forget(shown)
        else:
            if known.blocked is None:
                known.blocked = current - self._blocked.before(shown)
            self._blocked.count(shown, current - known.blocked)
        return known

    def _why_given_up(self, reason: Reason, since: _Since, current: float) -> str | None:
        if reason.kind == NEVER and current - since.seen >= _SURE_SECONDS:
            return "it can never start"
        if since.blocked is not None and 0 < self._hours * 3600 <= current - since.blocked:
            return f"nobody has changed for {self._hours:g} hours (--submitit-blocked-hours) what keeps it waiting"
        return None

    def _line(self, reason: Reason, text: str) -> str:
        """What is said of all jobs that wait for a reason."""
        how_long = "for as long as it takes"
        if reason.kind == BLOCKED and self._hours:
            how_long = f"for {self._hours:g} hours at most (--submitit-blocked-hours)"
        return f"{how_long}: {reason.words} (Slurm's reason: {text})"

    def _say(self, waiting: dict[str, tuple[str, list[str]]], current: float) -> None:
        """One line for each reason, when it is new, and every hour."""
        for about, (line, jobs) in waiting.items():
            told, _ = self._told.get(about, (float("-inf"), 0.0))
            if current - told >= _REMIND_SECONDS:
                told = current
                others = f" and {len(jobs) - 3} more" if len(jobs) > 3 else ""
                self._tell(f"Waiting in Slurm's queue, {line}; {'; '.join(jobs[:3])}{others}")
            self._told[about] = (told, current)
        self._told = {about: times for about, times in self._told.items() if current - times[1] < _GONE_SECONDS}


def _with_nodes_down(reason: Reason, shown: Queued, fits: Callable[[Queued], bool]) -> Reason:
    """The reason, with what PartitionNodeLimit means where the partition does give as many nodes."""
    if shown.state == "PENDING" and shown.reason == "PartitionNodeLimit" and fits(shown):
        return Reason(BLOCKED, "nodes that it needs are down")
    return reason
