"""What a figure is before and after it is written as SVG."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from seatrial.report.svg import settings, to_svg


@dataclass(frozen=True)
class Drawing:
    """A figure before it is written; `caption` gives its figures to people who cannot see it."""

    figure: Figure
    title: str
    reading: str
    caption: str


@dataclass(frozen=True)
class Drawn:
    """One figure: its file's name, title, caption for people who cannot see it, and the SVG."""

    name: str
    title: str
    reading: str
    """How to read it."""
    caption: str
    svg: str


def drawn(name: str, drawer: Callable[[], Drawing | None]) -> Drawn | None:
    """One figure as SVG under its file's name; None where there is nothing to draw."""
    with settings():
        found = drawer()
        if found is None:
            return None
        svg = to_svg(found.figure, name.replace("_", "-"), found.title, found.caption)
        return Drawn(name, found.title, found.reading, found.caption, svg)
