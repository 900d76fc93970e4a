"""Empty figures of the page's two widths, and what is drawn around the data."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seatrial.report.palette import GRID, REFERENCE

HALF, WHOLE = 6.2, 9.4
"""Widths in inches: beside another figure, or alone."""
LONGEST_LABEL = {HALF: 34, WHOLE: 64}
"""Characters of a row's label that leave the axes room, by width; longer ones are folded."""
VALUE_PAD = 3.5
"""Points between the axes and a row's figure, as before a tick's label."""
LEGEND_ROW = 0.19
"""Inches."""
LONGEST_OF_TWO = 32
"""Characters of a legend's entry that two columns of a half-width figure have room for."""


def new_figure(height: float, width: float = HALF) -> tuple[Figure, Axes]:
    """A figure of `height` x `width` inches with its axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def rows_figure(n: int, labels: Sequence[str], width: float = HALF) -> tuple[Figure, Axes]:
    """A figure with one labelled row per entry, first on top; long labels are folded."""
    labels = [_folded(label, LONGEST_LABEL.get(width, LONGEST_LABEL[HALF])) for label in labels]
    lines = max(label.count("\n") + 1 for label in labels)
    figure, ax = new_figure(0.95 + n * (0.26 + 0.16 * lines), width)
    ax.set_yticks(range(n), labels)
    ax.set_ylim(n - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    # rows have no label for all of them: where it would be clear of theirs need not be worked out
    ax.yaxis.set_label_coords(0, 0.5)
    ax.grid(axis="x")
    return figure, ax


def _folded(label: str, longest: int) -> str:
    """A label in lines of `longest` characters, broken after commas where it has any."""
    held = label.replace(" ", "\xa0").replace(",\xa0", ", ")
    lines = [part for line in held.split("\n") for part in textwrap.wrap(line, longest) or [""]]
    return "\n".join(lines).replace("\xa0", " ")


def values_at_right(ax: Axes, words: Sequence[str]) -> None:
    """Each row's figure in words, right of the axes."""
    # not a second axis: its ticks cost as much again as the words
    for place, of_row in enumerate(words):
        at = (1, place)
        ax.annotate(of_row, at, (VALUE_PAD, 0), ax.get_yaxis_transform(), "offset points", va="center_baseline")


def reference_line(ax: Axes, x: float, words: str, style: str) -> None:
    """A vertical line of reference with its name above the axes."""
    ax.axvline(x, color=REFERENCE if style == "--" else GRID, linewidth=1.3, linestyle=style, zorder=1)
    ax.annotate(words, (x, 1), (0, 3), ax.get_xaxis_transform(), "offset points", ha="center", color=REFERENCE)


def legend_below(ax: Axes) -> None:
    """The legend below the figure, where lines cannot run through it; none for a single line.

    The figure grows by what a longer legend needs, so that the axes keep their height.
    """
    handles, labels = ax.get_legend_handles_labels()
    drawn = ax.get_legend()
    if drawn is not None:
        drawn.remove()
    if len(labels) > 1:
        columns = 2 if max(len(label) for label in labels) <= LONGEST_OF_TWO else 1
        figure = ax.get_figure(root=True)
        assert figure is not None
        rows = -(-len(labels) // columns)
        figure.set_figheight(figure.get_figheight() + LEGEND_ROW * (rows - 1))
        figure.legend(handles, labels, loc="outside lower left", ncols=columns)
