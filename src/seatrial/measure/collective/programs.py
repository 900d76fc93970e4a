"""A program that is started on one rank or on each, and watched by all of them until every one is done."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between the ranks' looks at their programs."""
GRACE_SECONDS = 10.0
"""Between TERM and KILL."""
DIES_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux."""


@dataclass(frozen=True)
class Ended:
    """How this rank's program ended. `code`: as subprocess counts it; None: it was stopped, or none was started."""

    words: Sequence[str]
    code: int | None
    elsewhere: bool = False
    """It was stopped, for another rank's program failed."""
    late: bool = False
    """It was stopped, for the time was up."""

    def in_words(self) -> str:
        name = Path(self.words[0]).name
        if self.late:
            return f"{name} was stopped when its time was up"
        return f"{name} ended with exit code {self.code}" if self.code is not None else f"{name} was stopped"


def run_together(
    words: Sequence[str], environment: Mapping[str, str], output: Path, limit: float, *, starts: bool
) -> Ended:
    """Start the program where `starts`, and wait until all ranks' programs are done, one fails, or `limit` seconds
    are over; then those that still run are stopped.

    Call it on every rank; the process group must be one of CPUs (gloo). Its output goes to `output`. Raises OSError
    where it cannot be started.
    """
    child = _start(words, environment, output) if starts else None
    try:
        failed, late = _watch(child, limit)
    finally:
        stopped = child is not None and child.poll() is None
        if child is not None:
            _stop(child)
    if child is None or stopped:
        return Ended(words, None, elsewhere=failed, late=late)
    return Ended(words, child.returncode, late=False)


def _watch(child: subprocess.Popen[bytes] | None, limit: float) -> tuple[bool, bool]:
    """Whether a rank's program failed, and whether the time was up, once no rank has to wait any more."""
    import torch
    import torch.distributed as dist

    begin, pause = time.monotonic(), SHORTEST_PAUSE
    while True:
        code = 0 if child is None else child.poll()
        mine = [float(code is None), float(code not in (None, 0)), float(time.monotonic() - begin > limit)]
        state = torch.tensor(mine)
        # all ranks see the same, and a rank that is gone is noticed here
        dist.all_reduce(state, op=dist.ReduceOp.MAX)
        running, failed, late = (bool(value) for value in state.tolist())
        if failed or late or not running:
            return failed, late and running and not failed
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _start(words: Sequence[str], environment: Mapping[str, str], output: Path) -> subprocess.Popen[bytes]:
    """Start the program in a process group of its own, which ends when this process does."""
    with output.open("wb") as file:
        return subprocess.Popen(
            words,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_dies_with_parent(),
        )


def _dies_with_parent() -> Callable[[], None]:
    """What a child does first: ask Linux to be killed when its parent dies. The library is loaded beforehand."""
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(DIES_WITH_PARENT, signal.SIGKILL)

    return ask


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End the program, where it runs, and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            break
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    child.wait()
