"""Being told to end: SIGTERM (preemption, scancel) and SIGUSR2 (the executor's warning before a time limit)."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from seatrial.errors import MeasurementFailed

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGUSR2)
LAST_SECONDS = 0.3
"""How much later than the others rank 0 ends: without it they would call themselves abandoned."""


class StopNotice:
    """Within it the first of SIGNALS is noted and the process lives on; only the main thread can do so."""

    def __init__(self) -> None:
        self.received = 0
        """The signal that came; 0 while none has."""
        self._before: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        # Slurm's signal and the executor's copy of it may both arrive: the second says nothing new.
        self.received = self.received or number


def limit_is_final(number: int) -> bool:
    """Whether signal `number` says that the time limit is near, of a job that is not submitted again after it.

    The executor tells how often it would be; without its word it may be, by whoever started this.
    """
    return number == signal.SIGUSR2 and os.environ.get("SUBMITIT_TIMEOUTS_LEFT") == "0"


def end_by(number: int, first: bool) -> None:
    """End this process by signal `number`, as if it had not been caught: whoever started it may start it again.

    Call it on all ranks (`first`: rank 0) outside StopNotice. Raises MeasurementFailed (cancelled) where the
    process lives on all the same, as the first process of a container does.
    """
    name = signal.Signals(number).name
    log.warning("ends by %s; its checkpoint is kept", name)
    if first:
        time.sleep(LAST_SECONDS)
    # the executor starts commands with SIGUSR2 ignored, for those that do not expect it
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    raise MeasurementFailed("cancelled", f"told to end by {name}")
