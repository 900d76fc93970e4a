"""The tornado of a decision: how far each input alone moves it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from seatrial.analysis.decisions.decision import Decision, Swing
from seatrial.analysis.decisions.sensitivity import size
from seatrial.analysis.decisions.words import amount, interval, scale_of
from seatrial.report.axes import WHOLE, legend_below, reference_line, rows_figure, values_at_right
from seatrial.report.drawing import Drawing, Drawn, drawn
from seatrial.report.figure_data import FigureData
from seatrial.report.palette import SERIES
from seatrial.report.table import count
from seatrial.units import format_figure

FILE = "decisions.json"
MOST_SWINGS = 12
"""More inputs than this are left to decisions.json."""
MOST_TORNADOES = 12
DRAWN = ("decision", "case_id", "input", "figure", "unit", "value", "at_low", "at_high")
LOW, HIGH = SERIES[:2]
TONES = {"input at its low end": LOW, "input at its high end": HIGH}


def draw_tornadoes(decisions: Sequence[Decision]) -> list[Drawn]:
    """A figure for each of the first decisions that something moves."""
    found = [drawn(name, partial(tornado, one), has_rows=True) for name, one in tornado_names(decisions).items()]
    return [figure for figure in found if figure is not None]


def tornado_names(decisions: Sequence[Decision]) -> dict[str, Decision]:
    """The file's name of each tornado that is drawn, with its decision."""
    names: dict[str, Decision] = {}
    for one in decisions:
        if _drawable(one) and len(names) < MOST_TORNADOES:
            same = sum(other.kind == one.kind for other in names.values())
            names[f"tornado_{one.kind}{f'_{same + 1}' if same else ''}"] = one
    return names


def tornado(decision: Decision) -> Drawing | None:
    """A bar for each input from the figure at its low end to that at its high end, the widest on top."""
    swings = _drawable(decision)[:MOST_SWINGS]
    if not swings:
        return None
    first = decision.figures[0]
    assert first.value is not None
    scale, unit = scale_of(first.value, first.unit)
    figure, ax = rows_figure(len(swings), [swing.input for swing in swings], WHOLE)
    middle = first.value / scale
    _bars(ax, swings, scale, middle)
    reference_line(ax, middle, amount(first.value, first.unit), "-")
    words = [_words(swing, scale) for swing in swings]
    values_at_right(ax, words)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: format_figure(x, 3)))
    ax.set(xlabel=f"{first.name}, {unit}" if unit else first.name, ylabel="")
    legend_below(ax)
    caption = "; ".join(f"{swing.input}: {said}" for swing, said in zip(swings, words, strict=True))
    left_out = len(_drawable(decision)) - len(swings)
    more = f" {count(left_out, 'more input')} in {FILE}." if left_out else ""
    reading = f"Each bar: this input alone from its low to its high end, all others as stated.{more}"
    ends = interval(first)
    basis = f"The line is the figure as stated; with all inputs at once: {ends} ({first.method})." if ends else ""
    return Drawing(figure, f"What moves it: {decision.title}", reading, caption, _data(decision), basis)


def _bars(ax: Axes, swings: Sequence[Swing], scale: float, middle: float) -> None:
    ends = [middle]
    for end, tone in TONES.items():
        found = [swing.at_low if tone == LOW else swing.at_high for swing in swings]
        places = [place for place, value in enumerate(found) if value is not None]
        at = [value / scale for value in found if value is not None]
        ax.barh(places, [value - middle for value in at], 0.62, left=middle, color=tone, linewidth=0, label=end)
        ends += at
    margin = 0.04 * (max(ends) - min(ends))
    ax.set_xlim(min(ends) - margin, max(ends) + margin)


def _drawable(decision: Decision) -> list[Swing]:
    """The swings that move the decision's first figure; none where the figure itself is not known."""
    if not decision.figures or decision.figures[0].value is None:
        return []
    return [swing for swing in decision.swings if size(swing) > 0]


def _words(swing: Swing, scale: float) -> str:
    low, high = ("none" if end is None else format_figure(end / scale, 3) for end in (swing.at_low, swing.at_high))
    return f"{low} to {high}"


def _data(decision: Decision) -> FigureData:
    first = decision.figures[0]
    rows = [
        {
            "decision": decision.title,
            "case_id": case_id,
            "input": swing.input,
            "figure": first.name,
            "unit": first.unit,
            "value": first.value,
            "at_low": swing.at_low,
            "at_high": swing.at_high,
        }
        for case_id in decision.case_ids or (None,)
        for swing in decision.swings
    ]
    return FigureData((FILE,), DRAWN, rows)
