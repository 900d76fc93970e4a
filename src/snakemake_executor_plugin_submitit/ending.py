"""Ending what earlier runs left and this one does not go on with: all of it in one call, and in one wait."""

import time
from dataclasses import dataclass

from snakemake_interface_common.exceptions import WorkflowError

from . import slurm
from .ledger import STOPPING
from .live import Live, Watcher
from .outcomes import Outcome
from .stopping import stop_jobs

_SECONDS_TO_GO = 300.0  # KillWait, and where a node does not answer the time in which ranks stop by themselves
_SHORTEST_PAUSE = 0.5
_PAUSE_SECONDS = 5.0  # between two questions to Slurm
_NOT_CANCELLED = ("PENDING", "RUNNING", "SUSPENDED")


@dataclass(frozen=True)
class Other:
    """A job that makes `path`, which now is another job's to make."""

    path: str
    live: Live


class Ending:
    """Jobs that are ended: those that an interrupt has cancelled already are waited for with the others."""

    def __init__(self, watcher: Watcher, timeout: float) -> None:
        self._watcher = watcher
        self._timeout = timeout
        self._lives: dict[str, Live] = {}
        self._told: set[str] = set()
        self._problems: dict[str, slurm.SlurmUnavailable] = {}

    def add(self, live: Live) -> bool:
        """End a job; whether that is new."""
        key = live.entry.key
        if key in self._lives:
            return False
        self._lives[key] = live
        return True

    def was_told(self, live: Live) -> bool:
        """Whether a job was cancelled here, so that its end is our doing."""
        return live.entry.key in self._told

    def wait(self) -> None:
        """Cancel them, and wait until nothing of them lives; some may be left after five minutes."""
        self._told |= {key for key, live in self._lives.items() if live.entry.status != STOPPING}
        # a controller that was started again may have gone back to before the interrupt's scancel
        forgotten = {key for key, live in self._lives.items() if live.shown_as in _NOT_CANCELLED}
        try:
            stop_jobs([self._lives[key] for key in sorted(self._told | forgotten)], self._timeout)
        except slurm.SlurmUnavailable as error:
            self._problems = dict.fromkeys(self._told | forgotten, error)
        due, pause = time.monotonic() + _SECONDS_TO_GO, _SHORTEST_PAUSE
        asked = [live for key, live in self._lives.items() if key not in self._problems]
        while left := [live for live in asked if live.outcome is None]:
            if len(self._watcher.look(left, ask=True)) == len(left) or time.monotonic() > due:
                return
            time.sleep(pause)
            pause = min(2 * pause, _PAUSE_SECONDS)

    def end_of(self, live: Live) -> Outcome:
        """How a job has ended. Raises WorkflowError where it lives on, SlurmUnavailable where it was not told."""
        if live.entry.key in self._problems:
            raise self._problems[live.entry.key]
        if live.outcome is None:
            raise WorkflowError(f"job {live.job_id} ({live.label}) was cancelled but does not end")
        return live.outcome
