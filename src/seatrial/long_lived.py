"""What lives long: Python's garbage collector is told not to look through it again and again."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
OBJECTS_BETWEEN_COLLECTIONS = 500_000
"""Python's own is 700, of which ten thousand jobs of Snakemake make two thousand collections that free nothing."""


@contextmanager
def uncollected() -> Iterator[None]:
    """Inside, no garbage is looked for: a plan of ten thousand cases is a million objects without any."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def kept_for_good(make: Callable[P, R]) -> Callable[P, R]:
    """What `make` makes, and all there was before, is kept to the end of the process.

    For the process of a Snakemake, which then makes as many jobs as the study has repeats and keeps them as well:
    looking through all of it took a fifth of its time, so that it looks more seldom from then on.
    """

    @functools.wraps(make)
    def made(*words: P.args, **named: P.kwargs) -> R:
        with uncollected():
            try:
                return make(*words, **named)
            finally:
                gc.freeze()
                youngest, *older = gc.get_threshold()
                if youngest:  # 0: whoever runs this wants no collections
                    gc.set_threshold(max(youngest, OBJECTS_BETWEEN_COLLECTIONS), *older)

    return made
