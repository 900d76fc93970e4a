"""Ctrl-C and SIGTERM: each ends the workflow, and none of them is lost or leaves Snakemake hanging."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType

_BETWEEN_LOOKS = 0.05
"""Seconds between two looks at what the main thread does."""
_MOST_LOOKS = 40


class Interrupts:
    """Raises KeyboardInterrupt where the main thread waits, in place of wherever it happens to be.

    Python's own handler raises between any two instructions. Where that is within threading, a lock stays taken for
    good and Snakemake hangs when it ends; where it is within a coroutine, asyncio cancels that one in place of
    raising, and the interrupt is lost if the coroutine ends well for all that. So it is raised once the main thread
    is seen twice at the same instruction, which is where it waits; at the latest after two seconds.
    """

    def __init__(self) -> None:
        self._seen: tuple[FrameType | None, int] | None = None
        self._looks = 0
        self._process = os.getpid()
        reading, self._asks = os.pipe()
        threading.Thread(target=_deliver_again, args=(reading,), name="interrupts", daemon=True).start()

    def came(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: raise KeyboardInterrupt, or let it come again in a moment; one SIGTERM is enough."""
        here = (frame, frame.f_lasti if frame else 0)
        waits, self._seen = here == self._seen, here
        self._looks += 1
        alone = self._process != os.getpid()  # a fork: the thread that would send it again is its parent's
        if not waits and not alone and self._looks < _MOST_LOOKS:
            os.write(self._asks, bytes([number]))  # nothing here may take a lock: the main thread may hold it
            return
        self._seen, self._looks = None, 0
        if number == signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)  # a second one must not disturb the cancelling
        raise KeyboardInterrupt


def _deliver_again(reading: int) -> None:
    while asked := os.read(reading, 1):
        time.sleep(_BETWEEN_LOOKS)
        signal.pthread_kill(threading.main_thread().ident or 0, asked[0])


_taken: Interrupts | None = None


def take_interrupts() -> None:
    """Let Ctrl-C and SIGTERM be handled here; Ctrl-C only where it is not ignored, nor another's.

    Snakemake's own handler of SIGTERM waits until all jobs have ended, which on a cluster may be days.
    """
    global _taken
    if threading.current_thread() is not threading.main_thread():
        return
    if _taken is None:
        _taken = Interrupts()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _taken.came)
    set_now = signal.getsignal(signal.SIGTERM)
    if callable(set_now) and set_now != _taken.came:
        signal.signal(signal.SIGTERM, _taken.came)
