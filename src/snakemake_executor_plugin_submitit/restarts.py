"""Whether a job that did not complete is submitted again, and whether that uses up one of Snakemake's retries.

Snakemake's own retries (`--retries`) are for jobs that fail by themselves; its `attempt` scales what they ask for.
What Slurm did to a job says nothing against it: it is submitted again with what it had asked for, a stated number
of times. A job that somebody cancelled, or that can never start, is not. `--retries 0` means never at all.

What is counted, and that a job was given up, is kept in the submitit folder (`restarts/KEY.json`), so that it holds
however often Snakemake is started again. It is forgotten when the job completes, when what the job asks for (its
resources, its command) has changed, and when the user asks for the job by `--submitit-again` or `--forcerun`.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from .jobs import Prepared
from .outcomes import Outcome
from .ranks import now, write_json
from .writing import said_where_it_fails

AGAIN, COUNTED, NEVER = "again", "counted", "never"
HOW_TO_ASK = "To have it submitted again, start the same command with --submitit-again."
_INTERRUPTED = ("NODE_FAIL", "PREEMPTED")


class GivenUp(WorkflowError):
    """A job that an earlier run gave up for good; the message says why, and how to ask for it again."""


@dataclass(frozen=True)
class Decision:
    """`how` is AGAIN (at the same attempt), COUNTED (Snakemake's retries decide) or NEVER; `words` say why."""

    how: str
    words: str = ""


@dataclass
class Counted:
    """What has happened to one job since it was last asked for."""

    asked: str
    """What it asked for, as a digest."""
    seen: dict[str, int] = field(default_factory=dict)
    given_up: str | None = None
    """Why it is not submitted again."""
    last: list[str] = field(default_factory=list)
    """The submission whose end was counted last: of a Snakemake killed after that, its end is decided again."""


class Restarts:
    """Counts what happened to each job, for as long as the submitit folder lives."""

    def __init__(
        self, base: Path, max_timeouts: int, max_interruptions: int, again: bool, tell: Callable[[str], None]
    ) -> None:
        self._folder = base / "restarts"
        self._limits = {"TIMEOUT": max_timeouts, "interrupted": max_interruptions}
        self._again = again
        self._tell = tell
        self._counted = self._load()
        self._asked: dict[str, Prepared] = {}
        self._forced: set[str] = set()

    def ask(self, member: Prepared, forced: bool) -> None:
        """Hear that Snakemake wants a job; `forced` says that the user did, by name.

        Raises GivenUp where an earlier run gave the job up and nobody has asked for it again.
        """
        if member.key in self._asked:  # Snakemake's later attempts ask for more
            return
        self._asked[member.key] = member
        if forced:
            self._forced.add(member.key)
        counted = self._counted.get(member.key)
        if counted is None:
            return
        changed = counted.asked != _digest(member)
        if not (changed or self._again or forced):
            if counted.given_up is None:
                return
            raise GivenUp(
                f"an earlier run gave it up, {counted.given_up}. {HOW_TO_ASK} A change of what it asks for "
                "(its time limit, its partition, its command) does the same."
            )
        why = "it asks for something else now" if changed else "it was asked for again"
        self._tell(f"{member.label}: what happened to it in earlier runs is forgotten, for {why}")
        self.forget(member.key)

    def asked_again(self, key: str) -> bool:
        """Whether the user asked for a job once more, whatever has become of it."""
        return self._again or key in self._forced

    def decide(
        self, key: str, outcome: Outcome, on_slurm: bool, retries: int, submission: tuple[str, str] | None = None
    ) -> Decision:
        """What to do about a job that ended as `outcome`; `retries` is what Snakemake allows it.

        `submission` is its id and when it was submitted: its end counts once, however often it is decided.
        """
        if outcome.state == "CANCELLED" and on_slurm:
            return self._give_up(key, outcome, "It is not submitted again.")
        kind = "interrupted" if outcome.state in _INTERRUPTED else outcome.state
        if kind not in self._limits:
            return Decision(COUNTED)
        counted = self._of(key)
        is_new = submission is None or counted.last != list(submission)
        done, limit = counted.seen.get(kind, 0) + is_new, self._limits[kind]
        counted.seen[kind], counted.last = done, list(submission or ())
        if done > limit:
            words = f"this has happened {done} times, {limit} are allowed"
            return self._give_up(key, outcome, f"It is not submitted again: {words}.", f"; {words}")
        self._write(key, counted)
        if not retries:
            return Decision(COUNTED)
        return Decision(AGAIN, f"It is submitted again ({done} of {limit} times for this).")

    def timeouts_left(self, key: str, retries: int) -> int:
        """How often this job would still be submitted again if it reached its time limit; 0: that is its end."""
        counted = self._counted.get(key)
        seen = counted.seen.get("TIMEOUT", 0) if counted is not None else 0
        return max(0, self._limits["TIMEOUT"] - seen) if retries else 0

    def forget(self, key: str) -> None:
        """Count anew: the job has completed, or is wanted again."""
        if self._counted.pop(key, None) is not None:
            with said_where_it_fails(f"{self._path(key)}: that a job is counted anew"):
                self._path(key).unlink(missing_ok=True)

    def _give_up(self, key: str, outcome: Outcome, words: str, more: str = "") -> Decision:
        counted = self._of(key)
        counted.given_up = f"at {now()}: it ended as {outcome.state}: {outcome.reason}{more}"
        self._write(key, counted)
        return Decision(NEVER, f"{words} {HOW_TO_ASK}")

    def _of(self, key: str) -> Counted:
        if key not in self._counted:
            member = self._asked.get(key)
            self._counted[key] = Counted(_digest(member) if member is not None else "")
        return self._counted[key]

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"

    def _write(self, key: str, counted: Counted) -> None:
        with said_where_it_fails(f"{self._path(key)}: what happened to a job"):
            self._folder.mkdir(exist_ok=True)
            write_json(self._path(key), asdict(counted))

    def _load(self) -> dict[str, Counted]:
        """What was counted so far, by key; raises WorkflowError where it cannot be read."""
        found = {}
        for path in sorted(self._folder.glob("*.json")):
            try:
                found[path.stem] = _counted(json.loads(path.read_text(encoding="utf-8")))
            except FileNotFoundError:
                continue  # another Snakemake of this folder has just seen the job complete
            except (OSError, ValueError, TypeError, AttributeError, RecursionError) as problem:
                raise WorkflowError(
                    f"{path} does not say what happened to a job in earlier runs ({problem}); remove it, and "
                    "nothing has happened to that job as far as it is counted"
                ) from problem
        return found


def _counted(content: Any) -> Counted:
    counted = Counted(**content)
    texts = isinstance(counted.asked, str) and isinstance(counted.given_up, str | None)
    numbers = all(isinstance(number, int) for number in counted.seen.values())
    if not texts or not numbers or not isinstance(counted.last, list):
        raise ValueError("not what is written there")
    return counted


def _digest(member: Prepared) -> str:
    """What a job asks for, short: two runs that ask for the same have the same."""
    return hashlib.sha256(f"{member.request!r} {member.fingerprint}".encode()).hexdigest()[:16]


def at_the_same_attempt(job: Any) -> None:
    """Let Snakemake submit a failed job again without counting that as a retry."""
    job.attempt -= 1  # its scheduler adds one


def without_retries(job: Any) -> None:
    """Let Snakemake give a failed job up whatever retries it has left."""
    job.attempt = max(job.attempt, job.restart_times + 1)
