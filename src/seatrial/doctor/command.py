"""Asking another program, for so long and no longer: what hangs is killed, and what cannot be killed is left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

LAST_SECONDS = 2.0
"""How long a killed program may take to go. One that waits for a dead disk or driver never does."""


@dataclass(frozen=True)
class Answer:
    """What a program said. `code` None: it was not there, or did not answer in time; then `problem` says which."""

    words: tuple[str, ...]
    code: int | None
    out: str = ""
    err: str = ""
    problem: str = ""
    late: bool = False

    @property
    def fine(self) -> bool:
        return self.code == 0

    @property
    def why(self) -> str:
        """Why it was not fine, in one line: the last thing it said, else how it ended."""
        said = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        return self.problem or (said[-1] if said else f"exit code {self.code}")


def there(program: str) -> str | None:
    """Where a program is found on PATH, or None."""
    return shutil.which(program)


def ask(words: Sequence[str], seconds: float, environment: Mapping[str, str] | None = None) -> Answer:
    """Run a program for at most `seconds` and take what it prints; never raises for what the program does.

    `environment` replaces this process's own. The program
    has no terminal and reads nothing. Its whole process group is killed when the time is up.
    """
    try:
        child = subprocess.Popen(
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=None if environment is None else dict(environment),
            start_new_session=True,
        )
    except OSError as problem:
        return Answer(tuple(words), None, problem=f"{words[0]} could not be run: {problem.strerror or problem}")
    try:
        out, err = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _stop(child)
        return Answer(tuple(words), None, problem=f"{words[0]} did not answer within {seconds:g} s", late=True)
    return Answer(tuple(words), child.returncode, out, err)


def _stop(child: subprocess.Popen[str]) -> None:
    """TERM first, so that srun gives its allocation back; then KILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with suppress(subprocess.TimeoutExpired):
            child.wait(LAST_SECONDS)
    for pipe in (child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()
