"""A wide figure has a drawing for narrow windows; the wide one and its files stay what they are."""

from __future__ import annotations

import re
from pathlib import Path

from matplotlib.figure import Figure

from seatrial.report.axes import HALF, WHOLE, legend_below, new_figure, reference_line, rows_figure
from seatrial.report.drawing import Drawing, drawn
from seatrial.report.figure_data import FigureData
from seatrial.report.narrow import NARROW, narrowed

LABELS = ["a label that is much too long for a telephone, eight accelerators", "short"]


def rows(width: float = WHOLE) -> Figure:
    figure, ax = rows_figure(2, LABELS, width)
    ax.plot([1, 2], [0, 1], label="one")
    ax.plot([2, 3], [0, 1], label="another")
    for x, name in ((1.0, "median"), (1.1, "threshold")):
        reference_line(ax, x, name, "--")
    legend_below(ax)
    return figure


def drawing(figure: Figure) -> Drawing:
    return Drawing(figure, "A title", "How to read it.", "words", FigureData(("a.csv",), ("x",), []))


def test_within_it_the_figure_is_narrow_with_folded_labels_and_after_it_as_before() -> None:
    figure = rows()
    (ax,) = figure.axes
    size, labels = tuple(figure.get_size_inches()), [label.get_text() for label in ax.get_yticklabels()]
    (legend,) = figure.legends
    with narrowed(figure) as is_narrow:
        assert is_narrow and figure.get_figwidth() == NARROW < HALF and figure.get_figheight() > size[1]
        folded = ax.get_yticklabels()[0].get_text()
        assert folded.count("\n") == 3 and max(map(len, folded.split("\n"))) <= 22
        assert [text.get_ha() for text in ax.texts] == ["right", "left"]
        assert figure.legends != [legend] and len(figure.legends[0].get_texts()) == 2
    assert tuple(figure.get_size_inches()) == size and figure.legends == [legend]
    assert [label.get_text() for label in ax.get_yticklabels()] == labels
    assert [text.get_ha() for text in ax.texts] == ["center", "center"]


def test_a_figure_of_half_the_width_or_of_several_axes_is_left_as_it_is() -> None:
    half, (several, _) = rows(HALF), new_figure(3.0, WHOLE)
    several.add_subplot()
    for figure in (half, several):
        width = figure.get_figwidth()
        with narrowed(figure) as is_narrow:
            assert not is_narrow and figure.get_figwidth() == width


def test_both_drawings_say_the_same_and_share_no_id(tmp_path: Path) -> None:
    found = drawn("a_figure", lambda: drawing(rows()))
    assert found is not None and found.narrow
    ids = [set(re.findall(r'\bid="([^"]*)"', svg)) for svg in (found.svg, found.narrow)]
    assert all(ids) and not ids[0] & ids[1]
    assert all("<desc" in svg and ">words</desc>" in svg for svg in (found.svg, found.narrow))
    again = drawn("a_figure", lambda: drawing(rows()))
    assert again is not None and (again.svg, again.narrow) == (found.svg, found.narrow)


def test_a_figure_with_rows_of_its_own_has_no_second_drawing() -> None:
    found = drawn("a_figure", lambda: drawing(rows()), has_rows=True)
    assert found is not None and found.narrow == ""
