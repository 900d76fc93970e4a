"""Two parts of a stage at a time, in this process and another, where there are two processors.

No part needs what another one makes. Those of the other process give nothing back: they write files, each aside and
renamed, and may be done twice. What goes wrong there is raised here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.context import ForkProcess

from seatrial.errors import SeatrialError

PLACE_BYTES = 2
MOST_PARTS = 2**11
"""So many places every pipe holds before somebody reads."""


def side_by_side(here: Callable[[], None], there: Callable[[], None]) -> None:
    """Do both; `there` in the other process, or after `here` where there is none."""
    with _beside(there) as other:
        here()
    if other is None or other.exitcode != 0:
        there()  # what went wrong there goes wrong here too, and is said


def shared_out(first: Callable[[], None], parts: Sequence[Callable[[], None]]) -> None:
    """Do `first`, which is done here, and all parts: each process takes the next one when it is free."""
    if not parts:
        first()
        return
    queue, filled = os.pipe()
    try:
        with os.fdopen(filled, "wb") as file:
            file.write(b"".join(place.to_bytes(PLACE_BYTES, "big") for place in range(len(parts[:MOST_PARTS]))))

        def take() -> None:
            while place := os.read(queue, PLACE_BYTES):
                parts[int.from_bytes(place, "big")]()

        with _beside(take) as other:
            first()
            take()
    finally:
        os.close(queue)
    failed = other is not None and other.exitcode != 0
    for part in parts if failed else parts[MOST_PARTS:]:
        part()


@contextmanager
def _beside(there: Callable[[], None]) -> Iterator[ForkProcess | None]:
    """The process that does `there` beside the block, and has ended after it; None where none was started."""
    # a fork has already what was read; elsewhere than on Linux it is not safe
    alone = sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2
    other = None if alone else get_context("fork").Process(target=_or_exit, args=(there,))
    try:
        if other is not None:
            other.start()
    except OSError:  # no process or no memory for one: it takes longer here
        other = None
    try:
        yield other
    finally:
        if other is not None:
            other.join()


def _or_exit(there: Callable[[], None]) -> None:
    """Without a word where it does not come to its end: who waits for it says what is wrong."""
    try:
        there()
    except (SeatrialError, OSError, MemoryError, KeyboardInterrupt):
        raise SystemExit(1) from None
