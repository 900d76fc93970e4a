"""Which nodes take no jobs now, and why, in the words of whoever took them out: of a job Slurm says no more."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
from collections.abc import Collection
from dataclasses import dataclass

NODES_FORMAT = "%N|%T|%u|%H|%E"


@dataclass(frozen=True)
class OutOfService:
    """Nodes that are drained, down or failing, for one reason."""

    nodes: str
    """As Slurm shortens them: node[3-4]."""
    state: str
    reason: str
    by: str | None = None
    since: str | None = None
    """ISO 8601 in UTC."""


def out_of_service(
    partitions: Collection[str | None], seconds: float
) -> tuple[tuple[OutOfService, ...], str | None]:
    """Nodes of these partitions (None among them: of all) that take no jobs; and, where Slurm does not say, why.

    Slurm is asked once. Never raises for what it finds.
    """
    words = ["sinfo", "--noheader", "--list-reasons", f"--format={NODES_FORMAT}"]
    named = [name for name in partitions if name]
    if named and None not in partitions:
        words.append(f"--partition={','.join(sorted(named))}")
    environment = {**os.environ, "TZ": "UTC", "SLURM_TIME_FORMAT": "standard"}
    unknown = "which nodes are drained or down is not known"
    try:
        done = subprocess.run(
            words, capture_output=True, encoding="utf-8", errors="replace", timeout=seconds, env=environment,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return (), f"sinfo did not answer within {seconds:g} s: {unknown}"
    except OSError as problem:
        return (), f"sinfo cannot be run ({problem.strerror}): {unknown}"
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        return (), f"sinfo: {said}: {unknown}"
    return read_reasons(done.stdout), None


def read_reasons(text: str) -> tuple[OutOfService, ...]:
    """Nodes from sinfo's output in NODES_FORMAT; lines of another form, and what is told twice, are passed over."""
    found = []
    for line in text.splitlines():
        fields = line.split("|", 4)
        if len(fields) < 5:
            continue
        nodes, state, user, at, reason = (field.strip() for field in fields)
        by = user if user not in ("", "Unknown") else None
        found.append(OutOfService(nodes, state, reason, by, _time(at)))
    return tuple(dict.fromkeys(found))


def _time(text: str) -> str | None:
    """A time of Slurm's as ISO 8601 in UTC; None for `Unknown` and the like."""
    try:
        return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).isoformat()
    except ValueError:
        return None
