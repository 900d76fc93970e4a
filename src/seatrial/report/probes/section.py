"""What a probe has on the page."""

from __future__ import annotations

from dataclasses import dataclass, field

from seatrial.report.drawing import Drawn
from seatrial.report.table import Table


@dataclass(frozen=True)
class ProbeSection:
    """One section of the page; `name` is its anchor, a slug."""

    name: str
    title: str
    short: str
    """Its name in the list of sections."""
    words: list[str] = field(default_factory=list)
    """Sentences that stand before the figures; plain text."""
    figures: list[Drawn] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    details: list[tuple[str, Table]] = field(default_factory=list)
    """Tables that are folded away, with the words to unfold them."""
