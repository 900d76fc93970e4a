"""A command under its guard: started, asked how it is, stopped."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from seatrial.train.external import guard

GRACE_SECONDS = 10.0
"""Between TERM and KILL; a scheduler that cancels a job usually waits 30 s itself."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: `code` as subprocess counts it (below 0: minus the signal), or why it never started."""

    code: int | None
    left: int = 0
    """Processes that it had left behind."""
    problem: str | None = None

    def in_words(self) -> str:
        if self.code is None:
            return self.problem or "ended nobody knows how"
        if self.code < 0:
            return f"was killed by {_signal_name(-self.code)}"
        also = f" (128 + {_signal_name(self.code - 128)})" if 128 < self.code < 128 + signal.NSIG else ""
        return f"ended with exit code {self.code}{also}"


class Command:
    """A running command, its two outputs in `output`. As a context it is stopped at the end of the block."""

    def __init__(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        output: Path,
    ) -> None:
        self._grace = GRACE_SECONDS
        self._ended: Ended | None = None
        self.stopped = False
        """Whether it was asked to end."""
        with output.open("wb") as file:
            descriptor = file.fileno()
            self._guard = subprocess.Popen(
                [sys.executable, "-P", guard.__file__, str(self._grace), str(directory), str(descriptor), *words],
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                pass_fds=[descriptor],
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def ended(self) -> Ended | None:
        """How it ended, or None while it runs."""
        if self._ended is None and self._guard.poll() is not None:
            self._ended = self._told()
        return self._ended

    def stop(self) -> Ended:
        """Ask it to end, make it end where it does not, and wait until it and all that it started are gone."""
        if (ended := self.ended()) is not None:
            return ended
        self.stopped = True
        assert self._guard.stdin is not None
        with contextlib.suppress(OSError):
            self._guard.stdin.close()
        try:
            self._guard.wait(self._grace + guard.KILL_SECONDS + 10.0)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        self._ended = self._told()
        return self._ended

    def _told(self) -> Ended:
        """What the guard said before it ended."""
        assert self._guard.stdout is not None and self._guard.stdin is not None
        said = self._guard.stdout.read().splitlines()
        self._guard.stdout.close()
        with contextlib.suppress(OSError):
            self._guard.stdin.close()
        if not said:
            return Ended(None, problem=f"its guard ended without a word ({self._guard.returncode})")
        content = json.loads(said[-1])
        if content.get("problem"):
            return Ended(None, problem=f"could not be started: {content['problem']}")
        return Ended(content["code"], content["left"])


def last_lines(output: Path, most_bytes: int) -> str:
    """The end of what a command said, whole lines only; without unprintable characters."""
    try:
        with output.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most_bytes))
            text = file.read(most_bytes).decode("utf-8", errors="replace")
    except OSError:
        return ""
    if size > most_bytes:
        text = text.partition("\n")[2] or text
    lines = text.replace("\r", "\n").splitlines()
    return "\n".join("".join(c for c in line if c.isprintable() or c == "\t") for line in lines if line.strip())


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
