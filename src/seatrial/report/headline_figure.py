"""A figure of the first screen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One headline figure: what it is, its value, what qualifies it, how it stands."""

    name: str
    value: str
    under: str
    kind: str = ""
    unit: str = ""
