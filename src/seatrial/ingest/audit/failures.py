"""Lines that tell of a failure, whoever wrote them: Slurm, PyTorch, NCCL, the NVIDIA driver in the kernel's log."""

from __future__ import annotations

import re

from seatrial.ingest.audit.facts import Facts, LogFailure
from seatrial.ingest.audit.lines import READ

_ENDED = re.compile(
    r"(?:\bslurmstepd:|\bsrun:|\[\d{4}-\d\d-\d\dT[\d:.+-]{8,20}\]) error: \*\*\* (?:JOB|STEP) "
    r"(?P<job>[\d._+a-z]{1,40}) ON (?P<host>\S{1,80}) "
    r"CANCELLED AT \S+"
    r"(?: DUE TO (?P<why>TIME LIMIT|NODE FAILURE[^*]{0,80}|PREEMPTION))?"
)
"""A slurmstepd prints it of its job, on the host that it names: that one is alive, whichever node failed."""
_NODE_FAILED = re.compile(r"\bsrun: error: Node failure on (?P<host>\S{1,80})")
"""The only line of Slurm's in a job's output that names the node which failed."""
_MEMORY = re.compile(r"\b(?:torch\.(?:cuda\.)?OutOfMemoryError\b|CUDA out of memory\b|HIP out of memory\b)")
_XID = re.compile(r"NVRM: Xid \(PCI:[0-9a-fA-F:.]{4,20}\): (\d{1,4})\b")
_KERNEL_HOST = re.compile(r"^(?:[A-Z][a-z]{2} [ \d]\d [\d:]{8}|\d{4}-\d\d-\d\dT\S+) (\S{1,80}) kernel:")
_WATCHDOG = re.compile(r"Watchdog caught collective operation timeout")
NODE_FAIL = "node_fail"
KINDS = {"TIME LIMIT": "timeout", "NODE FAILURE": NODE_FAIL, "PREEMPTION": "preempted"}
LONGEST_MESSAGE = 160
APPLICATION_XIDS = frozenset({"13", "31", "43", "45"})
"""Xids that a program brings about as a rule (NVIDIA's catalogue of Xids); they accuse no device."""


class FailureReader:
    """Keeps the first line of every kind of failure of every host."""

    name = "messages of failures"

    def __init__(self) -> None:
        self._found: dict[tuple[str, str | None, str], LogFailure] = {}

    def take(self, line: str) -> str | None:
        """READ, or None for a line of something else."""
        kind, host, detail = self._kind(line)
        if kind is None:
            return None
        message = line.strip()[:LONGEST_MESSAGE]
        self._found.setdefault((kind, host, detail), LogFailure(kind, message, host))
        return READ

    def _kind(self, line: str) -> tuple[str | None, str | None, str]:
        if failed := _NODE_FAILED.search(line):
            return NODE_FAIL, failed["host"], ""
        if ended := _ENDED.search(line):
            why = next(
                (kind for words, kind in KINDS.items() if (ended["why"] or "").startswith(words)), "cancelled"
            )
            return why, None if why == NODE_FAIL else ended["host"], ended["job"].split(".")[0]
        if xid := _XID.search(line):
            named = _KERNEL_HOST.match(line)
            kind = "crashed" if xid[1] in APPLICATION_XIDS else "xid"
            return kind, named[1] if named else None, xid[1]
        if _MEMORY.search(line):
            return "out_of_memory", None, ""
        if _WATCHDOG.search(line):
            return "timeout", None, "collective"
        return None, None, ""

    def facts(self) -> Facts:
        """In the order in which they came; the end of a job whose failed node is named is no second failure."""
        found = list(self._found.values())
        of_jobs = [one for one in found if one.kind == NODE_FAIL and one.host is None]
        if len(of_jobs) == 1 and any(one.kind == NODE_FAIL and one.host for one in found):
            found.remove(of_jobs[0])
        return Facts(failures=tuple(found))
