"""What a figure is before and after it is written as SVG."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure

from seatrial.report.figure_data import FigureData, Records
from seatrial.report.narrow import narrowed
from seatrial.report.svg import settings, to_svg


@dataclass(frozen=True)
class Drawing:
    """A figure before it is written; `caption` gives its figures to people who cannot see it."""

    figure: Figure
    title: str
    reading: str
    caption: str
    data: FigureData
    """What is drawn, value by value."""
    basis: str = ""
    """On how many repeats it rests and how its intervals are made, in words; said after how to read it."""


@dataclass(frozen=True)
class Drawn:
    """One figure: its file's name, title, caption for people who cannot see it, and the SVG."""

    name: str
    title: str
    reading: str
    """How to read it, what n is and how intervals are made."""
    caption: str
    svg: str
    records: Records = field(default_factory=Records)
    """The tables that it is drawn from, and the cases in it."""
    data: FigureData | None = field(default=None, repr=False)
    figure: Figure | None = field(default=None, repr=False, compare=False)
    """As the SVG was made of it; what other files of it are made of. It goes to no other process."""
    files: tuple[str, ...] = ()
    """The suffixes of its files, once they are written."""
    narrow: str = field(default="", repr=False)
    """The SVG for a narrow window; empty where the other one will do."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "figure": None}


def drawn(name: str, drawer: Callable[[], Drawing | None], *, has_rows: bool = False) -> Drawn | None:
    """One figure as SVG under its file's name; None where there is nothing to draw.

    `has_rows`: a narrow page shows rows of its own in place of it.
    """
    with settings():
        found = drawer()
        if found is None:
            return None
        name_on_page = name.replace("_", "-")
        narrow = ""
        if not has_rows:
            with narrowed(found.figure) as is_narrow:
                if is_narrow:
                    narrow = to_svg(found.figure, f"{name_on_page}-narrow", found.title, found.caption)
        svg = to_svg(found.figure, name_on_page, found.title, found.caption)
    reading = f"{found.reading} {found.basis}".strip()
    return Drawn(
        name, found.title, reading, found.caption, svg, found.data.records, found.data, found.figure, narrow=narrow
    )
