"""A wide figure for a narrow window: the same drawing, laid out anew so that a telephone shows all of it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FixedLocator

from seatrial.report.axes import HALF, LEGEND_ROW

NARROW = 5.15
"""Inches: at the least scale of a page's figures the 358 pixels that a window of 390 has beside its margins."""
LONGEST_LABEL = 22
"""Characters of a row's label that leave the axes room."""
LINE = 0.16
"""Inches of a further line in a label."""


@contextmanager
def narrowed(figure: Figure) -> Iterator[bool]:
    """Within it `figure` is NARROW, with its labels folded and its legend in one column; after it as before.

    False, and the figure as it is, where it is narrow already or has several axes side by side.
    """
    if figure.get_figwidth() <= HALF or len(figure.axes) != 1:
        yield False
        return
    (ax,) = figure.axes
    size, labels = figure.get_size_inches().copy(), _row_labels(ax)
    legend = figure.legends[0] if figure.legends else None
    short = [_folded(label) for label in labels]
    lines = sum(new.count("\n") - old.count("\n") for new, old in zip(short, labels, strict=True))
    height = size[1] + LINE * lines
    if labels:
        ax.set_yticks(ax.get_yticks(), short)
    if legend is not None:
        handles = [handle for handle in legend.legend_handles if handle is not None]
        words = [text.get_text() for text in legend.get_texts()]
        legend.remove()
        height += LEGEND_ROW * len(words) / 2
        other = figure.legend(handles, words, loc="outside lower left", ncols=1)
    above = _names_of_lines(ax)
    if len(above) == 2:  # they would lie over each other
        above[0].set_horizontalalignment("right")
        above[1].set_horizontalalignment("left")
    figure.set_size_inches(NARROW, height)
    yield True
    figure.set_size_inches(*size)
    for one in above:
        one.set_horizontalalignment("center")
    if labels:
        ax.set_yticks(ax.get_yticks(), labels)
    if legend is not None:
        other.remove()
        figure.legends.append(legend)


def _row_labels(ax: Axes) -> list[str]:
    """The labels of rows, the first on top; none of an axis with figures."""
    if not ax.yaxis_inverted() or not isinstance(ax.yaxis.get_major_locator(), FixedLocator):
        return []
    return [label.get_text() for label in ax.get_yticklabels()]


def _folded(label: str) -> str:
    """A label in short lines; no word is broken."""
    lines = [textwrap.wrap(line, LONGEST_LABEL, break_long_words=False) or [""] for line in label.split("\n")]
    return "\n".join(part for parts in lines for part in parts)


def _names_of_lines(ax: Axes) -> list[Text]:
    """The names of lines of reference above the axes, from left to right."""
    found: list[tuple[float, Text]] = [
        (one.xy[0], one)
        for one in ax.texts
        if isinstance(one, Annotation) and one.get_horizontalalignment() == "center"
    ]
    return [one for _, one in sorted(found, key=lambda each: each[0])]
