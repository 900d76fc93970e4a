"""A tornado as rows of the page itself, for windows too narrow to read the figure in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seatrial.analysis.decisions.decision import Decision
from seatrial.analysis.decisions.sensitivity import size
from seatrial.analysis.decisions.words import scale_of
from seatrial.report.tornado import MOST_SWINGS
from seatrial.units import format_figure


@dataclass(frozen=True)
class Bar:
    """One end of a bar, from the figure as stated: where it begins and how wide it is, in per cent of the row."""

    end: str
    """'low' or 'high': the end of the input's range."""
    left: float
    width: float


@dataclass(frozen=True)
class SwingRow:
    """An input with its two bars and what the figure is at either end, in words."""

    name: str
    words: str
    bars: Sequence[Bar]


def swing_rows(decision: Decision) -> list[SwingRow]:
    """The rows of a decision's tornado, in its order; none where its first figure is not known."""
    if not decision.figures or decision.figures[0].value is None:
        return []
    swings = [swing for swing in decision.swings if size(swing) > 0][:MOST_SWINGS]
    middle = decision.figures[0].value
    scale, unit = scale_of(middle, decision.figures[0].unit)
    ends = [end for swing in swings for end in (swing.at_low, swing.at_high) if end is not None]
    least, most = min([middle, *ends]), max([middle, *ends])
    rows = []
    for swing in swings:
        at = {"low": swing.at_low, "high": swing.at_high}
        said = " to ".join("none" if end is None else format_figure(end / scale, 3) for end in at.values())
        bars = [
            Bar(
                name,
                round(100 * (min(end, middle) - least) / (most - least), 2),
                round(100 * abs(end - middle) / (most - least), 2),
            )
            for name, end in at.items()
            if end is not None
        ]
        rows.append(SwingRow(swing.input, f"{said} {unit}".rstrip(), bars))
    return rows
