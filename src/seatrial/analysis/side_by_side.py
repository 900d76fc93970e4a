"""Two parts of a stage at a time, each in a process of its own, where there are two processors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context

from seatrial.errors import SeatrialError


def side_by_side(here: Callable[[], None], there: Callable[[], None]) -> None:
    """Do both; `there` in another process where there is a processor for it, or else after `here`.

    Neither may need what the other makes, and `there` gives nothing back: it writes files, each aside and renamed,
    and may be done twice. What goes wrong there is raised here.
    """
    # a fork has already what was read; elsewhere than on Linux it is not safe
    alone = sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2
    other = None if alone else get_context("fork").Process(target=_or_exit, args=(there,))
    with suppress(OSError):  # no process or no memory for one: it takes longer here
        if other is not None:
            other.start()
    try:
        here()
    finally:
        if other is not None and other.pid is not None:
            other.join()
    if other is None or other.exitcode != 0:
        there()  # what went wrong there goes wrong here too, and is said


def _or_exit(there: Callable[[], None]) -> None:
    """Without a word where it does not come to its end: who waits for it says what is wrong."""
    try:
        there()
    except (SeatrialError, OSError, MemoryError, KeyboardInterrupt):
        raise SystemExit(1) from None
