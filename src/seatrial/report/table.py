"""A table of the page: caption, columns, rows of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from seatrial.units import format_figure, format_minutes

MOST_ROWS = 200
"""Longer tables are cut on the page, which says so; the CSV has them all."""
TEXT, NUMBER, PROSE, WHO = "text", "number", "prose", "text who"
"""Kinds of columns: words, figures (to the right), sentences (wide), a figure with who reached it on what."""
MULTIPLY = "\u00d7"
BAD = frozenset({"fail", "slower", "faster", "failed", "contradicted"})
UNSETTLED = frozenset(
    {
        "inconclusive",
        "not_known",
        "not_borne_out",
        "incomplete",
        "missing",
        "aborted",
        "unsupported",
        "no_reference",
    }
)
"""Words of a cell's kind by which a table that is cut shows its worst rows first."""


@dataclass(frozen=True)
class Link:
    """A word that leads to another place on the page, or to a file beside it."""

    text: str
    anchor: str = ""
    title: str = ""
    """Shown on hovering."""
    after: str = ""
    """A word that follows the link."""
    file: str = ""
    """A file's path from the study's folder, where the page lies; in place of `anchor`."""

    @property
    def href(self) -> str:
        return quote(self.file) if self.file else f"#{self.anchor}"


@dataclass(frozen=True)
class Cell:
    """Text of one cell, a second, smaller line under it, how it stands (a class of the style sheet), and links."""

    text: str
    under: str = ""
    kind: str = ""
    links: Sequence[Link] = ()
    folded: Sequence[Link] = ()
    """Further links, folded behind their number."""
    swept: bool = False
    """Whether the row is of a case of a sweep: a table that is cut keeps these before others."""


@dataclass(frozen=True)
class Table:
    """`columns` are (heading, kind of column); the first cell of a row is the row's heading."""

    name: str
    caption: str
    columns: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[Cell]] = field(default_factory=list)
    total: int = 0
    file: str = ""
    """The file that has all rows."""
    anchors: Sequence[str] = ()
    """The ids of the rows, where links lead to them."""
    citation: str = ""
    """What must stand beside published figures, under the caption."""

    @property
    def cut(self) -> bool:
        return self.total > len(self.rows)


def table(
    name: str,
    caption: str,
    columns: Sequence[tuple[str, str]],
    rows: Sequence[Sequence[Cell]],
    file: str,
    citation: str = "",
) -> Table:
    """A table of at most MOST_ROWS rows that knows how many there are.

    Of more rows it keeps the worst, then those of sweeps, each in the order given.
    """
    kept = rows if len(rows) <= MOST_ROWS else sorted(rows, key=_standing)[:MOST_ROWS]
    return Table(name, caption, columns, kept, len(rows), file, citation=citation)


def _standing(row: Sequence[Cell]) -> tuple[int, bool]:
    """Sorts rows: what failed, what is not settled, the rest; among them what was swept first."""
    kinds = {word for cell in row for word in cell.kind.split()}
    return 0 if kinds & BAD else 1 if kinds & UNSETTLED else 2, not any(cell.swept for cell in row)


def span(low: float | None, high: float | None, digits: int = 3) -> str:
    """'1.2 to 1.4', or nothing where there is no interval."""
    if low is None or high is None or low != low or high != high:
        return ""
    return f"{format_figure(low, digits)} to {format_figure(high, digits)}"


def ratio_words(value: float | None) -> str:
    """A ratio to two decimals: '1.10'."""
    if value is None or value != value:
        return "-"
    return f"{value:.2f}" if 0.1 <= abs(value) < 100 else format_figure(value, 3)


def span_of_ratios(low: float | None, high: float | None) -> str:
    """'0.87 to 0.94', or nothing where there is no interval."""
    if low is None or high is None:
        return ""
    return f"{ratio_words(low)} to {ratio_words(high)}"


def span_of_minutes(low: float | None, high: float | None) -> str:
    """'31.4 s to 43.4 s', 'at least 31.4 s' without an upper end, or nothing where there is no interval."""
    if low is not None and high is None:
        return f"at least {format_minutes(low)}"
    if low is None or high is None:
        return ""
    return f"{format_minutes(low)} to {format_minutes(high)}"


def reached_in_words(row: Mapping[str, Any]) -> str:
    """'3 of 5 repeats reached it', of a row of time_to_quality.csv."""
    return f"{row['converged']} of {count(row['repeats'], 'repeat')} reached it"


def count(n: int, one: str, many: str | None = None) -> str:
    """'1 repeat', '3 repeats'."""
    return f"{n} {one if n == 1 else many or one + 's'}"
