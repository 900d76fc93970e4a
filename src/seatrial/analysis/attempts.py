"""What the executor noted about each attempt at a repeat, and what it says about a repeat without a record."""

from __future__ import annotations

import json
import signal as signals
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ERROR_OF_STATE = {
    "TIMEOUT": "timeout",
    "DEADLINE": "timeout",
    "OUT_OF_MEMORY": "out_of_memory",
    "NODE_FAIL": "node_fail",
    "BOOT_FAIL": "node_fail",
    "CANCELLED": "cancelled",
    "REVOKED": "cancelled",
    "PREEMPTED": "preempted",
    "FAILED": "crashed",
}
"""Slurm's final state -> error kind."""
WORDS_OF_KIND = {
    "timeout": "the time limit was reached",
    "out_of_memory": "the memory limit was reached",
    "node_fail": "a node failed",
    "cancelled": "it was cancelled",
    "preempted": "it was preempted",
    "crashed": "the process died",
}
UNDER_WAY = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED", "RESIZING")


@dataclass(frozen=True)
class Attempts:
    """All attempts at one repeat, oldest first; `problem` says why the file could not be read."""

    entries: list[dict[str, Any]]
    problem: str | None = None

    @property
    def last(self) -> dict[str, Any] | None:
        return self.entries[-1] if self.entries else None


@dataclass(frozen=True)
class Cause:
    """Why a repeat has no record: kind of error (None where none is known), words, rank."""

    kind: str | None
    message: str
    rank: int | None = None


def read_attempts(path: Path) -> Attempts | None:
    """The attempts noted in `path`, or None where there is no such file. Never raises for bad content."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as problem:
        return Attempts([], f"cannot read {path.name}: {problem}")
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        return Attempts([], f"cannot read {path.name}: not a list of attempts")
    return Attempts(content)


def cause(attempts: Attempts | None, log: Path) -> Cause:
    """Why a repeat left no record, in words, from its attempts; where none was noted, from its log."""
    if attempts is not None and attempts.problem:
        return Cause(None, f"no record; {attempts.problem}")
    last = attempts.last if attempts is not None else None
    if last is None:
        return _from_log(log)
    state = _state(last)
    if state in UNDER_WAY:
        return Cause(None, f"not finished: its job is {state}{_where(last)}")
    if state == "COMPLETED":
        return Cause("crashed", f"its job ended well but left no record{_where(last)}")
    kind = kind_of(last)
    rank = last.get("failing_rank")
    return Cause(kind, _sentence(last), rank if isinstance(rank, int) else None)


def _from_log(log: Path) -> Cause:
    """What a log says by itself. There may be an empty one of a job that never began."""
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return Cause(None, "not started")
    except OSError as problem:
        return Cause(None, f"no record, and no attempt was noted; its log cannot be read: {problem}")
    if not size:
        return Cause(None, "not started: no attempt was noted, and its log is empty")
    return Cause("crashed", "no record, and no attempt was noted; its log says how far it came")


def kind_of(attempt: dict[str, Any]) -> str | None:
    """The kind of error that an attempt ended with; None for a job that Slurm would not even take: nothing crashed.

    For attempts that ended badly: any state that is not known counts as a crash.
    """
    kind = ERROR_OF_STATE.get(_state(attempt), "crashed")
    return None if kind == "crashed" and _never_started(attempt) else kind


def in_words(attempt: dict[str, Any]) -> str:
    """How an attempt ended, in words and by Slurm's state."""
    kind = kind_of(attempt)
    words = "it never started" if kind is None or _never_started(attempt) else WORDS_OF_KIND[kind]
    return f"{words} ({_state(attempt)})"


def _state(attempt: dict[str, Any]) -> str:
    """Slurm's state, without what it adds: `CANCELLED by 1000`."""
    words = str(attempt.get("state") or "UNKNOWN").split()
    return words[0].rstrip("+").upper()


def _sentence(attempt: dict[str, Any]) -> str:
    parts = [in_words(attempt)]
    number = attempt.get("signal")
    if isinstance(number, int) and number:
        parts.append(f"killed by signal {number} ({_signal_name(number)})")
    code = attempt.get("exit_code")
    if code not in (None, 0, "0", "0:0", "", []):
        parts.append(f"exit code {code}")
    reason = attempt.get("reason")
    if reason not in (None, "", "None"):
        parts.append(str(reason).strip())
    return "; ".join(parts) + _where(attempt)


def _never_started(attempt: dict[str, Any]) -> bool:
    """Whether Slurm did not take a job, or it was taken out of the queue because nothing could start it.

    One that somebody else cancelled has an end, also where it only waited.
    """
    return all(name in attempt and not attempt[name] for name in ("started_at", "ended_at", "nodes"))


def _where(attempt: dict[str, Any]) -> str:
    """Job and nodes of an attempt, as the end of a sentence."""
    parts = []
    if attempt.get("external_jobid"):
        parts.append(f"job {attempt['external_jobid']}")
    nodes = node_names(attempt.get("nodes"))
    if nodes:
        parts.append(f"on {nodes}")
    return f"; {' '.join(parts)}" if parts else ""


def node_names(nodes: object) -> str:
    """Nodes as one text, whether they were noted as a list or as Slurm's node list."""
    if isinstance(nodes, str):
        return nodes
    if isinstance(nodes, list):
        return ",".join(str(node) for node in nodes)
    return ""


def _signal_name(number: int) -> str:
    try:
        return signals.Signals(number).name
    except ValueError:
        return "unknown"
