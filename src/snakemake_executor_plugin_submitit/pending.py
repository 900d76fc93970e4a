"""Why jobs wait: which of Slurm's reasons pass by themselves, which may, and which never will.

The reasons are those of squeue(1), "JOB REASON CODES", and of https://slurm.schedmd.com/job_reason_codes.html;
what a job's own request exceeds for good (a limit per job, per node, a partition's) is told there from what
others use up at the moment (Grp, PerUser, PerAccount, jobs). Reasons that squeue spells out as sentences are in the
table as it prints them, with underscores. A word that is not in the table is said, and waited for.
"""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from .status import Queued

NORMAL, MAY_PASS, NEVER = "normal", "may pass", "never"

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
    ("Licenses", NORMAL, "all licenses are in use"),
    ("BurstBufferStageIn", NORMAL, "its data are being staged in"),
    ("DependencyNeverSatisfied", NEVER, "what it depends on did not end as it had to"),
    ("BadConstraints", NEVER, "no node has what it asks for"),
    ("PartitionTimeLimit", NEVER, "its time limit is beyond its partition's"),
    ("PartitionConfig", NEVER, "its partition does not give what it asks for"),
    # also where nodes that it needs are down (squeue(1)): the watcher compares with the partition's limit
    ("PartitionNodeLimit", NEVER, "it asks for more nodes than its partition gives to one job"),
    ("InvalidAccount", NEVER, "its account is not valid"),
    ("InvalidQOS", NEVER, "its QOS is not valid"),
    ("AccountNotAllowed", NEVER, "its partition does not take its account"),
    ("QOSNotAllowed", NEVER, "its partition or account does not take its QOS"),
    ("ReservationDeleted", NEVER, "its reservation has been deleted"),
    ("DeadLine", NEVER, "it cannot end before its deadline"),
    ("MaxRequeue", NEVER, "it has been requeued as often as the site allows"),
    # more than one job, or one node's part of it, may have: whoever else runs, it stays so
    ("*PerJob*", NEVER, "it asks for more than its account or QOS gives to one job"),
    ("*PerNode*", NEVER, "it asks for more of a node than its account or QOS gives"),
    ("AssocMaxWall*", NEVER, "its time limit is beyond its account's"),
    ("QOSMaxWall*", NEVER, "its time limit is beyond its QOS's"),
    ("AssociationTimeLimit", NEVER, "its time limit is beyond its account's"),
    ("QOSTimeLimit", NEVER, "its time limit is beyond its QOS's"),
    ("QOSMin*", NEVER, "it asks for less than its QOS requires"),
    # what others of the user, account or QOS hold now
    ("*Grp*", MAY_PASS, "its account or QOS has used up what all its jobs may have together"),
    ("*PerUser*", MAY_PASS, "the user's jobs hold as much as they may"),
    ("*PerAccount*", MAY_PASS, "the account's jobs hold as much as they may"),
    ("Max*Per*", MAY_PASS, "the user's or account's jobs hold as much as they may"),
    ("AssocMaxJobs*", MAY_PASS, "as many jobs of the account run as may"),
    ("*JobLimit", MAY_PASS, "as many jobs of the account or QOS run as may"),
    ("*ResourceLimit", MAY_PASS, "the account or QOS holds as much as it may"),
    ("QOSUsageThreshold", MAY_PASS, "the account's usage is too low or too high for this QOS"),
    ("AccountingPolicy", MAY_PASS, "a limit of its account or QOS is reached"),
    # somebody must do something
    ("JobHeldUser", MAY_PASS, "it is held by its user, who can release it (scontrol release)"),
    ("JobHeldAdmin", MAY_PASS, "it is held by an administrator"),
    ("*held*", MAY_PASS, "it is held after a failed launch, and can be released (scontrol release)"),
    ("ReqNodeNotAvail*", MAY_PASS, "nodes that it names are drained, down, or reserved"),
    ("Nodes_required_for_job_are_DOWN*", MAY_PASS, "nodes that it needs are drained, down, or reserved"),
    ("NodeDown", MAY_PASS, "a node that it needs is down"),
    ("FrontEndDown", MAY_PASS, "no front end node is up"),
    ("PartitionDown", MAY_PASS, "its partition is down"),
    ("PartitionInactive", MAY_PASS, "its partition is inactive"),
    ("Reservation", MAY_PASS, "its reservation has not begun"),
    ("*", MAY_PASS, "Slurm says no more"),
)

_SURE_SECONDS = 15.0  # a restarting controller gives reasons that are gone a moment later
_REMIND_SECONDS = 3600.0


@dataclass(frozen=True)
class Reason:
    """One of Slurm's reasons: its kind (NORMAL, MAY_PASS or NEVER), and in words."""

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


class Waiting:
    """What has been seen and said of the jobs that wait."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._since: dict[str, tuple[str, float]] = {}
        self._told: dict[str, float] = {}

    def look(self, jobs: Iterable[tuple[str, Queued]], fits: Callable[[Queued], bool]) -> dict[str, str]:
        """Say what keeps jobs from starting; the ones that never will, by id, with why.

        `jobs` are (what a job is called, how the queue shows it); `fits` says whether a job is within its
        partition's number of nodes. A reason must be seen twice, 15 s apart, before it is final.
        """
        current = time.monotonic()
        never: dict[str, str] = {}
        waiting: dict[str, list[str]] = {}
        for called, shown in jobs:
            reason = read_reason(shown.reason)
            if shown.state != "PENDING" or reason.kind == NORMAL:
                self._since.pop(shown.job_id, None)
                continue
            known = self._since.get(shown.job_id)
            if known is None or known[0] != shown.reason:
                known = self._since[shown.job_id] = (shown.reason, current)
            final = reason.kind == NEVER and not (shown.reason == "PartitionNodeLimit" and fits(shown))
            if final and current - known[1] >= _SURE_SECONDS:
                never[shown.job_id] = f"it can never start: {reason.words} (Slurm's reason: {shown.reason})"
            elif not final:
                waiting.setdefault(shown.reason, []).append(f"{called}: job {shown.job_id}")
        self._say(waiting, current)
        return never

    def _say(self, waiting: dict[str, list[str]], current: float) -> None:
        """One line for each reason, when it is new, and every hour."""
        for reason, jobs in waiting.items():
            if current - self._told.get(reason, float("-inf")) >= _REMIND_SECONDS:
                self._told[reason] = current
                others = f" and {len(jobs) - 3} more" if len(jobs) > 3 else ""
                words = (
                    "nodes that it needs are down" if reason == "PartitionNodeLimit" else read_reason(reason).words
                )
                self._tell(
                    f"Waiting in Slurm's queue, for as long as it takes: {'; '.join(jobs[:3])}{others}: "
                    f"{words} (Slurm's reason: {reason})"
                )
        for reason in [reason for reason in self._told if reason not in waiting]:
            del self._told[reason]
