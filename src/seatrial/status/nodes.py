"""Which nodes take no jobs now, and why, in the words of whoever took them out: of a job Slurm says no more."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from seatrial.status.slurm_commands import answer, time_of

NODES_FORMAT = "%N|%T|%u|%H|%E"


@dataclass(frozen=True)
class OutOfService:
    """Nodes that are drained, down or failing, for one reason."""

    nodes: str
    """As Slurm shortens them: node[3-4]."""
    state: str
    reason: str
    by: str | None = None
    since: dt.datetime | None = None

    def to_json(self) -> dict[str, str | None]:
        """The same as plain values."""
        return {**vars(self), "since": None if self.since is None else self.since.isoformat()}


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
    said, silent = answer(words, seconds, "which nodes are drained or down is not known")
    return () if said is None else read_reasons(said), silent


def read_reasons(text: str) -> tuple[OutOfService, ...]:
    """Nodes from sinfo's output in NODES_FORMAT; lines of another form, and what is told twice, are passed over."""
    found = []
    for line in text.splitlines():
        fields = line.split("|", 4)
        if len(fields) < 5:
            continue
        nodes, state, user, at, reason = (field.strip() for field in fields)
        by = user if user not in ("", "Unknown") else None
        found.append(OutOfService(nodes, state, reason, by, time_of(at)))
    return tuple(dict.fromkeys(found))
