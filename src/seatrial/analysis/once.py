"""What a stage reads of a study it reads once: all of its tables are then made of one state of the study."""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")
OBJECTS_BETWEEN_COLLECTIONS = 2_000_000
_READ: ContextVar[dict[Hashable, Any] | None] = ContextVar("what a stage has read", default=None)


@contextmanager
def reading_once() -> Iterator[None]:
    """Inside, `once` keeps what it reads; inside another such block nothing changes.

    For a stage, whose inputs nobody is to change while it runs. What is kept is shared: it must not be changed.
    """
    if _READ.get() is not None:
        yield
        return
    token, thresholds = _READ.set({}), gc.get_threshold()
    # a stage holds a million objects from begin to end: to look through them for cycles takes a fifth of its time
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, *thresholds[1:])
    try:
        yield
    finally:
        _READ.reset(token)
        gc.set_threshold(*thresholds)


def once(key: Hashable, read: Callable[[], T]) -> T:
    """What `read` gave for this key inside the `reading_once` around it; outside of any it is read every time.

    What `read` raises is raised, and read again the next time.
    """
    known = _READ.get()
    if known is None:
        return read()
    if key not in known:
        known[key] = read()
    found: T = known[key]
    return found


def kept(key: Hashable) -> Any:
    """What `once` has kept under this key; None where that is nothing, and outside of `reading_once`."""
    return (_READ.get() or {}).get(key)


def is_reading_once() -> bool:
    """Whether what `once` reads is kept."""
    return _READ.get() is not None
