"""Waiting for what other processes do, and ending a Snakemake, in tests that start some."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable


def until(condition: Callable[[], object], seconds: float = 90, what: str = "it", pause: float = 0.2) -> None:
    """Wait for something to come to pass. Raises AssertionError where it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come to pass within {seconds:g} s"
        time.sleep(pause)


def interrupt(process: subprocess.Popen[str] | subprocess.Popen[bytes], seconds: float = 60) -> None:
    """End a Snakemake that still runs as Ctrl-C does, so that it cancels its jobs; or kill it."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=30)
