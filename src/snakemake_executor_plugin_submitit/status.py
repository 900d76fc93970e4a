"""What Slurm's commands print, read into states. Pure: `slurm.py` calls the commands."""

import re
from dataclasses import dataclass

SACCT_FIELDS = ("JobID", "State", "ExitCode", "NodeList", "Start", "End", "Submit", "Reason", "JobName")
SQUEUE_FORMAT = "%F|%K|%A|%T|%D|%P|%r|%j"

ACTIVE = frozenset(
    {
        "PENDING",
        "RUNNING",
        "SUSPENDED",
        "COMPLETING",
        "CONFIGURING",
        "REQUEUED",
        "REQUEUE_HOLD",
        "REQUEUE_FED",
        "RESIZING",
        "RESV_DEL_HOLD",
        "SIGNALING",
        "SPECIAL_EXIT",
        "STAGE_OUT",
        "STOPPED",
    }
)
# States that other words of the attempts file stand for.
_SAME = {
    "BOOT_FAIL": "NODE_FAIL",
    "DEADLINE": "TIMEOUT",
    "LAUNCH_FAILED": "NODE_FAIL",
    "RECONFIG_FAIL": "NODE_FAIL",
    "REVOKED": "CANCELLED",
}
_BY_NOBODY = "Slurm notes it as cancelled, and by nobody: its controller has lost it"
_MOST_JOBS = 4_000_000  # the largest array that Slurm can be set up for
_MOST_NODES = 100_000  # a longer list is a slip of the finger
ENDED = frozenset(["COMPLETED", "FAILED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "CANCELLED", "PREEMPTED"])

IN_WORDS = {
    "COMPLETED": "it completed",
    "FAILED": "a process of it failed",
    "TIMEOUT": "it reached its time limit",
    "OUT_OF_MEMORY": "it used more memory than it had asked for",
    "NODE_FAIL": "a node of it failed",
    "CANCELLED": "it was cancelled",
    "PREEMPTED": "it was preempted by another job",
}


@dataclass(frozen=True)
class Accounting:
    """What Slurm says about one job; times are ISO 8601 in UTC, None where unknown."""

    state: str
    exit_code: int | None = None
    signal: int | None = None
    nodes: tuple[str, ...] = ()
    submitted_at: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    reason: str | None = None
    name: str | None = None
    cancelled_by: int | None = None
    """The user (uid) whose scancel it was, where Slurm says."""
    concluded: bool = False
    """Whether state and reason were concluded from what Slurm has not said."""

    @property
    def active(self) -> bool:
        """Whether the job waits or runs, or may come back."""
        return self.state in ACTIVE


def plain_state(text: str) -> str:
    """One word for a state as sacct prints it ("CANCELLED by 1000", "CANCELLED+")."""
    word = text.split()[0].rstrip("+") if text.split() else ""
    word = _SAME.get(word, word)
    return word if word in ACTIVE or word in ENDED else "FAILED"


def expand_ids(text: str) -> list[str]:
    """Job ids from one that may name several elements of an array: 7_[1-2,5%3] is 7_1, 7_2, 7_5."""
    match = re.fullmatch(r"(\d+)_\[([\d,:-]+)(?:%\d+)?\]", text, re.ASCII)
    if match is None:
        return [text]
    found: list[str] = []
    for part in match[2].split(","):
        span = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9})(?::([1-9]\d{0,8}))?)?", part, re.ASCII)
        indices = range(int(span[1]), int(span[2] or span[1]) + 1, int(span[3] or 1)) if span else range(0)
        if span is None or len(found) + len(indices) > _MOST_JOBS:
            return [text]
        found += [f"{match[1]}_{index}" for index in indices]
    return found


def expand_nodes(text: str) -> tuple[str, ...]:
    """Node names from Slurm's short form: gpu[01-03,7],login is gpu01, gpu02, gpu03, gpu7, login.

    What is no such form (somebody's own `exclude`) stays as it is.
    """
    if not text or text in ("None assigned", "Unknown", "(null)"):
        return ()
    names: list[str] = []
    for part in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", text):
        names += _expand_name(part)
    return tuple(names)


def _expand_name(part: str) -> list[str]:
    match = re.search(r"\[([^\]]*)\]", part)
    if match is None:
        return [part]
    names: list[str] = []
    tails = _expand_name(part[match.end() :])
    for span in match[1].split(","):
        bounds = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", span, re.ASCII)
        numbers = range(int(bounds[1]), int(bounds[2] or bounds[1]) + 1) if bounds else range(0)
        if bounds is None or len(names) + len(numbers) * len(tails) > _MOST_NODES:
            return [part]
        heads = [f"{part[: match.start()]}{number:0{len(bounds[1])}d}" for number in numbers]
        names += [head + tail for head in heads for tail in tails]
    return names


def _time(text: str) -> str | None:
    """sacct's time, asked for in UTC."""
    return f"{text}Z" if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", text) else None


def _canceller(text: str) -> int | None:
    """The uid in "CANCELLED by 1000"."""
    match = re.fullmatch(r"CANCELLED by (\d+)", text)
    return None if match is None else int(match[1])


def _exit(text: str) -> tuple[int | None, int | None]:
    """Exit code and signal from sacct's CODE:SIGNAL."""
    match = re.fullmatch(r"(\d+):(\d+)", text)
    if match is None:
        return None, None
    return int(match[1]), int(match[2]) or None


def read_sacct(text: str) -> dict[str, Accounting]:
    """Jobs by id from `sacct --parsable2 --noheader --format=<SACCT_FIELDS>`.

    Steps are looked at for one thing: memory, which can show there alone. Lines that are not understood are
    passed over, for a job that is not known is asked for again. A job that ran and was cancelled by nobody was
    lost: a controller that starts without the jobs that it had closes them so (seen on Slurm 22.05).
    """
    found: dict[str, Accounting] = {}
    out_of_memory: set[str] = set()
    for line in text.splitlines():
        fields = dict(zip(SACCT_FIELDS, line.split("|", len(SACCT_FIELDS) - 1), strict=False))
        if len(fields) < len(SACCT_FIELDS):
            continue
        job_id, _, step = fields["JobID"].partition(".")
        state = plain_state(fields["State"])
        if step:
            if state == "OUT_OF_MEMORY":
                out_of_memory.add(job_id)
            continue
        exit_code, number = _exit(fields["ExitCode"])
        reason = fields["Reason"] if fields["Reason"] not in ("", "None") else None
        lost = fields["State"] == "CANCELLED" and _time(fields["Start"]) is not None
        for single in expand_ids(job_id):
            found[single] = Accounting(
                state="FAILED" if lost else state,
                exit_code=exit_code,
                signal=number,
                nodes=expand_nodes(fields["NodeList"]),
                submitted_at=_time(fields["Submit"]),
                started_at=_time(fields["Start"]),
                ended_at=_time(fields["End"]),
                reason=_BY_NOBODY if lost else reason,
                name=fields["JobName"],
                cancelled_by=_canceller(fields["State"]),
                concluded=lost,
            )
    for job_id in out_of_memory & found.keys():
        if found[job_id].state == "FAILED":
            found[job_id] = Accounting(**{**vars(found[job_id]), "state": "OUT_OF_MEMORY"})
    return found


@dataclass(frozen=True)
class Queued:
    """One job as squeue shows it."""

    job_id: str
    state: str
    reason: str
    name: str
    nodes: int | None = None
    partition: str = ""


def read_squeue(text: str) -> dict[str, Queued]:
    """Jobs by id from `squeue --noheader --array --format=<SQUEUE_FORMAT>`."""
    found: dict[str, Queued] = {}
    for line in text.splitlines():
        fields = line.split("|", 7)
        if len(fields) < 8:
            continue
        array_id, index, job_id, state, nodes, partition, reason, name = fields
        count = int(nodes) if nodes.isdigit() else None
        for single in expand_ids(job_id if index == "N/A" else f"{array_id}_{index}"):
            found[single] = Queued(single, plain_state(state), reason, name.strip(), count, partition)
    return found


# States in which a node takes jobs, now or later; sinfo adds * to that of a node that does not answer.
_TAKES_JOBS = frozenset(["allocated", "completing", "idle", "mixed", "planned", "reserved"])

_FAILED = frozenset(["down", "error", "fail", "failing", "unknown"])
_MARKS = "~#!%$@^-"


@dataclass(frozen=True)
class Node:
    """A node of one partition as sinfo shows it."""

    name: str
    partition: str
    default: bool
    usable: bool
    features: frozenset[str]
    down: bool = False
    """Whether it has failed, as Slurm sees it; a node that somebody drains has not."""


def read_sinfo(text: str) -> list[Node]:
    """Nodes from `sinfo --noheader --Node --format=%N|%P|%T|%f`."""
    found = []
    for line in text.splitlines():
        fields = line.strip().split("|")
        if len(fields) == 4:
            name, partition, state, features = fields
            found.append(
                Node(
                    name=name,
                    partition=partition.rstrip("*"),
                    default=partition.endswith("*"),
                    usable=state.rstrip(_MARKS) in _TAKES_JOBS,
                    features=frozenset(features.split(",")),
                    down=state.endswith("*") or state.rstrip(_MARKS) in _FAILED,
                )
            )
    return found


def partition_name(line: str) -> str | None:
    """The partition of a line of `scontrol --oneliner show partition`; None where it is of none."""
    match = re.match(r"PartitionName=(\S+)", line)
    return match[1] if match else None


def node_limit(line: str) -> int | None:
    """The most nodes that the partition of such a line can give to one job, now or ever; None where not known.

    One that has no node at all may be given some as they come.
    """
    said = dict(re.findall(r"(?:^|\s)(MaxNodes|TotalNodes)=(\S+)", line))
    total, most = said.get("TotalNodes", ""), said.get("MaxNodes", "")
    if not total.isdigit() or int(total) == 0:
        return int(most) if most.isdigit() else None
    return min(int(total), int(most)) if most.isdigit() else int(total)
