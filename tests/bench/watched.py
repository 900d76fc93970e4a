"""A command, watched: how long it takes, and how much memory all its processes hold together."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil

PATIENCE_S = 900.0
READINGS_S = 0.02


@dataclass
class Watched:
    """What one run took; `peak_mb`: the most that its processes held at a time, shared pages counted for each."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    readings: list[float] = field(default_factory=list)


def watched(words: Sequence[str]) -> Watched:
    """Run `python words` on two cores to its end. Raises SystemExit where it fails."""
    found = Watched()
    before = os.times()
    began = time.monotonic()
    process = psutil.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, preexec_fn=_on_two_cores)
    watcher = threading.Thread(target=_watch, args=(process, found))
    watcher.start()
    code = process.wait(PATIENCE_S)
    found.wall_s = time.monotonic() - began
    watcher.join()
    after = os.times()
    found.cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    found.peak_mb = max(found.readings, default=0.0)
    if code:
        raise SystemExit(f"{' '.join(words)} ended with {code}")
    return found


def _on_two_cores() -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])


def _watch(process: psutil.Popen, found: Watched) -> None:
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        held = 0
        try:
            family = [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for one in family:
            try:
                held += one.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        found.readings.append(held / 1e6)
        time.sleep(READINGS_S)
