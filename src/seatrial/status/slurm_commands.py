"""What a command of Slurm answers, asked once and not for long: `seatrial status` has to end without it too."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
from collections.abc import Sequence


def answer(words: Sequence[str], seconds: float, unknown: str) -> tuple[str | None, str | None]:
    """What the command prints, its times in UTC; None, and why and what is `unknown` then, where it fails."""
    environment = {**os.environ, "TZ": "UTC", "SLURM_TIME_FORMAT": "standard"}
    try:
        # reasons are words of people, in whatever encoding
        done = subprocess.run(
            words, capture_output=True, encoding="utf-8", errors="replace", timeout=seconds, env=environment,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None, f"{words[0]} did not answer within {seconds:g} s: {unknown}"
    except OSError as problem:
        return None, f"{words[0]} cannot be run ({problem.strerror}): {unknown}"
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        return None, f"{words[0]}: {said}: {unknown}"
    return done.stdout, None


def time_of(text: str) -> dt.datetime | None:
    """A time in such an answer; None for `Unknown`, `N/A` and the like."""
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else None
