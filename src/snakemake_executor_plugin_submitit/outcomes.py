"""What became of a job, from all that is known: its ranks' reports, Slurm's accounting, the daemons' messages.

Pure but for reading the ends of submitit's error files.
"""

import pwd
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .ranks import RankReport, failing_rank, signal_name
from .status import IN_WORDS, Accounting

_DAEMON = re.compile(r"^\s*(slurmstepd|slurmd|srun)\b")
_MEMORY = re.compile(r"exceeded (job |step )?memory limit|oom[-_ ]kill|out[- ]of[- ]memory", re.IGNORECASE)
_TAIL_BYTES = 65536


@dataclass(frozen=True)
class Outcome:
    """How a job ended: `state` is Slurm's word, on every cluster; the rest None where unknown."""

    state: str
    exit_code: int | None = None
    signal: int | None = None
    reason: str | None = None
    failing_rank: int | None = None
    failing_node: str | None = None
    nodes: tuple[str, ...] = ()
    started_at: str | None = None
    ended_at: str | None = None
    hopeless: bool = False
    """Whether it could never have started."""

    @property
    def success(self) -> bool:
        """Whether the job did what it was asked."""
        return self.state == "COMPLETED"


def tail_text(path: Path, size: int = _TAIL_BYTES) -> str:
    """The last `size` bytes of a file as text; empty where there is none, and why where it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - size))
            return file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:  # what is quoted of a log must not end a workflow
        return f"{path} cannot be read: {error.strerror or error}"


def memory_message(error_files: Sequence[Path]) -> str | None:
    """The line by which a Slurm daemon says that memory ran out, or None.

    Only lines of the daemons count: a program may print such words for reasons of its own.
    """
    for path in error_files:
        for line in tail_text(path).splitlines():
            if _DAEMON.match(line) and _MEMORY.search(line):
                return line.strip()
    return None


def judge(
    reports: Sequence[RankReport],
    accounting: Accounting | None,
    memory: str | None,
    on_slurm: bool,
    completed: bool,
) -> Outcome:
    """The outcome of a job that has ended.

    `accounting` is None where Slurm was not asked or does not know; `memory` is a daemon's message that memory
    ran out; `completed` says that all ranks left a result of success.
    """
    started = min((report.started_at for report in reports), default=None)
    ends = [report.ended_at for report in reports if report.ended_at]
    # the report of a rank on a node that died may never be seen
    nodes = tuple(dict.fromkeys([*(r.node for r in reports), *(accounting.nodes if accounting else ())]))
    times = {
        "nodes": nodes,
        "started_at": started or (accounting.started_at if accounting else None),
        "ended_at": max(ends, default=None) or (accounting.ended_at if accounting else None),
    }
    if completed or (accounting is not None and accounting.state == "COMPLETED"):
        return Outcome(state="COMPLETED", exit_code=0, **times)  # type: ignore[arg-type]
    state = _state(reports, accounting, memory, on_slurm)
    # where a node was lost, ranks on other nodes fail because their peer has gone: the silent one is the first
    culprit = failing_rank(r for r in reports if state != "NODE_FAIL" or r.ended_at is None)
    exit_code, number = _ending(culprit, accounting)
    return Outcome(
        state=state,
        exit_code=exit_code,
        signal=number,
        reason=_reason(state, culprit, accounting, memory, reports),
        failing_rank=culprit.rank if culprit else None,
        failing_node=culprit.node if culprit else None,
        **times,  # type: ignore[arg-type]
    )


def _state(reports: Sequence[RankReport], accounting: Accounting | None, memory: str | None, on_slurm: bool) -> str:
    said = accounting.state if accounting else "FAILED"
    if said != "FAILED":
        return said
    if memory:
        return "OUT_OF_MEMORY"
    if any(report.time_limit for report in reports):
        return "TIMEOUT"
    stopped = [report for report in reports if report.told_to_stop]
    if stopped and failing_rank(reports) is None:
        # Slurm says CANCELLED itself; a bare SIGTERM there is the warning before preemption
        return "PREEMPTED" if on_slurm else "CANCELLED"
    return "FAILED"


def _user(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def _ending(culprit: RankReport | None, accounting: Accounting | None) -> tuple[int | None, int | None]:
    if culprit is not None and culprit.ended_at is not None:
        return culprit.exit_code, culprit.signal
    if accounting is not None and (accounting.exit_code or accounting.signal):
        return accounting.exit_code, accounting.signal
    return None, None


def _reason(
    state: str,
    culprit: RankReport | None,
    accounting: Accounting | None,
    memory: str | None,
    reports: Sequence[RankReport],
) -> str:
    parts = [IN_WORDS.get(state, state)]
    if state == "CANCELLED" and accounting is not None and accounting.cancelled_by is not None:
        parts = [f"it was cancelled by {_user(accounting.cancelled_by)}"]
    if memory:
        parts.append(memory)
    if accounting is not None and accounting.reason:
        parts.append(accounting.reason if accounting.concluded else f"Slurm's reason: {accounting.reason}")
    if culprit is not None:
        parts.append(f"rank {culprit.rank} on {culprit.node} {culprit.ending()}")
    elif accounting is not None and accounting.signal:
        parts.append(f"signal {accounting.signal} ({signal_name(accounting.signal)})")
    if not reports:
        parts.append("no rank of it had started its command")
    return "; ".join(parts)
