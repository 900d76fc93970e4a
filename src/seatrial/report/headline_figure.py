"""A figure of the first screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seatrial.report.table import Link

NOT_KNOWN = "not known"


@dataclass(frozen=True)
class Figure:
    """One headline figure: what it is, its value, what qualifies it, how it stands."""

    name: str
    value: str
    under: str
    kind: str = ""
    unit: str = ""
    n: str = ""
    """On how many values it rests, in words."""
    sources: Sequence[Link] = ()
    """Where on the page, and in which file, it comes from."""


def missing(name: str, why: str, sources: Sequence[Link] = ()) -> Figure:
    """A figure that is not known, and why."""
    return Figure(name, NOT_KNOWN, why, "wait", sources=sources)
