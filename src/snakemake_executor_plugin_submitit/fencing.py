"""Fencing: a submission that was given up, or that a newer one has replaced, stops by itself.

A node that Slurm has given up may live: its slurmd hangs, or its network is away. What runs there would write into
the outputs of the submission in its place. So the ledger shows the entry of a job, its token, in a file of its own
before a submission is replaced and when one is given up, and every rank looks at it before its command starts,
while that runs, and before it writes how it ended. A rank whose submission is no longer the current one kills its
command and writes nothing. What cannot be read decides nothing.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .ranks import report_path

INTERVAL = 15.0  # seconds between two looks of a rank
_MARGIN = 5.0  # a busy node, and the killing of the command


def seconds_until_fenced(latency: float) -> float:
    """Seconds after which a rank that can read its files has stopped.

    For `latency` seconds its node may show it a file as it was: over NFS as long as attributes are cached.
    """
    return INTERVAL + _MARGIN + latency


@dataclass(frozen=True)
class Fence:
    """One rank's view of whether its submission (`submitted_at` as in the ledger) still is the current one."""

    key: str
    folder: Path
    job_id: str
    submitted_at: str
    rank: int
    restart: int

    def superseded(self) -> str | None:
        """Why this rank must stop; None where its submission is the current one, or where that cannot be read.

        An older token decides nothing: network file systems show it for a while after it was replaced.
        """
        entry = _read(self.folder.parents[1] / "ledger" / f"{self.key}.json")
        submitted_at = entry.get("submitted_at")
        if not isinstance(submitted_at, str) or submitted_at < self.submitted_at:
            return None
        if submitted_at > self.submitted_at:
            return f"job {entry.get('job_id') or entry.get('name')} was submitted in its place"
        if entry.get("fenced") is True:
            return "it was given up as lost"
        if entry.get("requeues") is True:
            restart = _read(report_path(self.folder, self.job_id, self.rank)).get("restart")
            if isinstance(restart, int) and restart > self.restart:
                return "Slurm has started it again elsewhere"
        return None


def _read(path: Path) -> dict[str, Any]:
    """What a JSON file holds, empty where it cannot be read now: a file server may be away."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
