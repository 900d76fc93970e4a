"""The sections of the probes: figures, tables and words, one section for a kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from seatrial.report.drawing import Drawn
from seatrial.report.study_tables import StudyTables
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


SECTIONS: tuple[Callable[[StudyTables], ProbeSection | None], ...] = ()
"""In the order of the page; None where the study has no such probe."""


def probe_sections(study: StudyTables) -> list[ProbeSection]:
    """The sections of the probes that the study has."""
    return [section for make in SECTIONS if (section := make(study)) is not None]
