"""A lasting change of a run's step time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shift:
    """A run that became slower, or faster, at one step for good.

    Median seconds `before` it and from it on (`after`); `p` of "one level".
    """

    run: int
    """Of the runs, from 1."""
    step: int
    """The first of the later level, from 1, those left out as warm-up counted."""
    steps: int
    before: float
    after: float
    p: float
