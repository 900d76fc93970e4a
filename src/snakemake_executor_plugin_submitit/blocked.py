"""For how long jobs have been seen waiting for an administrator, also by the Snakemakes before this one.

What nobody watched does not count: a job may have been free to start while no Snakemake ran.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

from .ranks import write_json
from .status import Queued
from .writing import said_where_it_fails

_PAUSE_SECONDS = 600.0  # between two writings: a Snakemake that is killed loses that much
_FORGOTTEN_SECONDS = 30 * 24 * 3600.0


class BlockedTimes:
    """Seconds by job, kept in a file of the submitit folder (`path`; None: for this run alone)."""

    def __init__(self, path: Path | None, tell: Callable[[str], None]) -> None:
        self._path = path
        self._tell = tell
        self._before = {key: seconds for key, (seconds, _) in self._read().items()}
        self._mine: dict[str, float] = {}
        self._written: set[str] = set()
        self._forgotten: set[str] = set()
        self._due = float("-inf")

    def before(self, job: Queued) -> float:
        """For how long earlier Snakemakes have seen a job blocked, up to their end."""
        return self._before.get(_key(job), 0.0)

    def count(self, job: Queued, seconds: float) -> None:
        """A job has been blocked for so long, in this run and before."""
        self._mine[_key(job)] = seconds
        self._forgotten.discard(_key(job))

    def forget(self, job: Queued) -> None:
        """A job is not blocked: what may follow is counted anew."""
        key = _key(job)
        if key in self._before or key in self._written:
            self._forgotten.add(key)
            self._due = float("-inf")  # at once: it must not count on in the next run
        for known in (self._before, self._mine):
            known.pop(key, None)
        self._written.discard(key)

    def write(self) -> None:
        """Keep what is known, at most every ten minutes; a failure is said."""
        current = time.monotonic()
        if self._path is None or current < self._due or not (self._mine or self._forgotten):
            return
        self._due, at = current + _PAUSE_SECONDS, time.time()
        # also those of other Snakemakes in this folder, and those that nobody has looked at yet
        kept = {key: known for key, known in self._read().items() if key not in self._forgotten}
        with said_where_it_fails(f"{self._path}: for how long jobs have been blocked"):
            write_json(self._path, {**kept, **{key: (seconds, at) for key, seconds in self._mine.items()}})
            self._written |= self._mine.keys()

    def _read(self) -> dict[str, tuple[float, float]]:
        """Seconds, and when they were noted (since 1970), by job; nothing where that cannot be read."""
        try:
            content = json.loads(self._path.read_text(encoding="utf-8")) if self._path is not None else {}
            found = {str(key): (float(seconds), float(at)) for key, (seconds, at) in content.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError, RecursionError, OverflowError) as problem:
            self._tell(f"{self._path} does not say for how long jobs have been blocked ({problem}); it counts anew")
            return {}
        return {key: known for key, known in found.items() if time.time() - known[1] < _FORGOTTEN_SECONDS}


def _key(job: Queued) -> str:
    """A job's name holds a random part, so that an id that Slurm gives anew is another job's."""
    return f"{job.name} {job.job_id}"
