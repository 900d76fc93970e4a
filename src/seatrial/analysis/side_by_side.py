"""Parts of a stage, two at a time: in this process and another, where there are two processors.

No part needs what another one makes. A part may be done twice: those that write files write each aside and rename
it. What goes wrong in the other process is raised here.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from typing import TypeVar

from seatrial.errors import SeatrialError

T = TypeVar("T")
PLACE_BYTES = 2
MOST_PARTS = 2**11
"""So many places every pipe holds before somebody reads."""


def shared_out(first: Callable[[], object], parts: Sequence[Callable[[], T]]) -> list[T]:
    """Do `first`, which is done here, and all parts: each process takes the next one when it is free.

    Returns what the parts give, in their order; from the other process it comes pickled.
    """
    found: dict[int, T] = {}
    queue = _filled(range(len(parts[:MOST_PARTS])))
    results, given = os.pipe()

    def take() -> None:
        while place := os.read(queue, PLACE_BYTES):
            number = int.from_bytes(place, "big")
            found[number] = parts[number]()

    def there() -> None:
        os.close(results)  # else to write would not end where nobody reads any more
        take()
        with os.fdopen(given, "wb") as file:
            pickle.dump(found, file)

    with os.fdopen(queue, "rb", buffering=0), _beside(there) as other:
        os.close(given)  # else what is read would not end with the other process
        with os.fdopen(results, "rb") as file:
            first()
            take()
            content = file.read()
    if other is not None and other.exitcode == 0:
        found |= pickle.loads(content)
    # what the other process came to no end with goes wrong here too, and is said
    return [found[number] if number in found else part() for number, part in enumerate(parts)]


def _filled(places: Iterable[int]) -> int:
    """The end to read of a pipe that holds these places, and then ends."""
    queue, filled = os.pipe()
    with os.fdopen(filled, "wb") as file:
        file.write(b"".join(place.to_bytes(PLACE_BYTES, "big") for place in places))
    return queue


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
