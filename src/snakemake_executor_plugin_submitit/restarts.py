"""Whether a job that did not complete is submitted again, and whether that uses up one of Snakemake's retries.

Snakemake's own retries (`--retries`) are for jobs that fail by themselves; its `attempt` scales what they ask for.
What Slurm did to a job says nothing against it: it is submitted again with what it had asked for, a stated number
of times. A job that somebody cancelled, or that can never start, is not. `--retries 0` means never at all.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from .outcomes import Outcome

AGAIN, COUNTED, NEVER = "again", "counted", "never"
_INTERRUPTED = ("NODE_FAIL", "PREEMPTED")


@dataclass(frozen=True)
class Decision:
    """`how` is AGAIN (at the same attempt), COUNTED (Snakemake's retries decide) or NEVER; `words` say why."""

    how: str
    words: str = ""


class Restarts:
    """Counts what happened to each job while this Snakemake lives."""

    def __init__(self, max_timeouts: int, max_interruptions: int) -> None:
        self._limits = {"TIMEOUT": max_timeouts, "interrupted": max_interruptions}
        self._seen: Counter[tuple[str, str]] = Counter()

    def decide(self, key: str, outcome: Outcome, on_slurm: bool, retries: int) -> Decision:
        """What to do about a job that ended as `outcome`; `retries` is what Snakemake allows it."""
        if not retries:
            return Decision(COUNTED)
        if outcome.state == "CANCELLED" and on_slurm:
            return Decision(NEVER, "It is not submitted again.")
        kind = "interrupted" if outcome.state in _INTERRUPTED else outcome.state
        if kind not in self._limits:
            return Decision(COUNTED)
        self._seen[key, kind] += 1
        done, limit = self._seen[key, kind], self._limits[kind]
        if done <= limit:
            return Decision(AGAIN, f"It is submitted again ({done} of {limit} times for this).")
        return Decision(NEVER, f"It is not submitted again: this has happened {done} times, {limit} are allowed.")

    def timeouts_left(self, key: str, retries: int) -> int:
        """How often this job would still be submitted again if it reached its time limit; 0: that is its end."""
        return max(0, self._limits["TIMEOUT"] - self._seen[key, "TIMEOUT"]) if retries else 0


def at_the_same_attempt(job: Any) -> None:
    """Let Snakemake submit a failed job again without counting that as a retry."""
    job.attempt -= 1  # its scheduler adds one


def without_retries(job: Any) -> None:
    """Let Snakemake give a failed job up whatever retries it has left."""
    job.attempt = max(job.attempt, job.restart_times + 1)
