"""Tables as HTML: great-tables lays them out, and what it has no words for is put on its cells.

great-tables has no caption, no roles (which a row keeps when a narrow window shows it as a card), no label at each
cell and a style sheet of 8 KB for each table. So of its HTML the table is taken, and its tags are dressed anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pandas as pd
from great_tables import GT, html
from markupsafe import Markup, escape

from seatrial.report.table import NUMBER, Cell, Table

FACTORS = {
    "ns": 1e-9, "us": 1e-6, "\u00b5s": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0,
    "B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "TiB": 2.0**40,
    "J": 1.0, "kJ": 1e3, "MJ": 1e6, "Wh": 3.6e3, "kWh": 3.6e6, "MWh": 3.6e9,
}  # fmt: skip
"""What a figure's unit makes of it, so that 90 s stands before 2 min."""
FIGURE = re.compile(r"(?P<figure>-?[\d,]*\.?\d+(?:e[+-]?\d+)?)(?:\s*(?P<unit>[A-Za-z\u00b5]+))?")
TAG = re.compile(r"<(?P<tag>table|thead|tbody|tr|th|td)\b[^>]*>")
"""A tag of great-tables' own: cells are escaped, and their markup has none of these."""
PLACE = re.compile("\ue000(\\d+)\ue001")
"""Where the content of a column's cell goes (private characters around the column's number)."""


def sort_value(text: str) -> float | None:
    """The number that a cell is sorted by: its first figure in its unit's base; None where it has none.

    '2.37 s' and '1 h 30 min' are seconds, '4 KiB' bytes, '3 of 4' is 3, '1.2 to 1.4' is 1.2.
    """
    found = FIGURE.match(text)
    if found is None:
        return None
    value = float(found["figure"].replace(",", "")) * FACTORS.get(found["unit"] or "", 1.0)
    rest = re.match(r"\s*(\d+) min\b", text[found.end() :]) if found["unit"] == "h" else None
    return value + 60.0 * int(rest[1]) if rest else value


def table_html(table: Table, cell_html: Callable[[Cell], Markup]) -> Markup:
    """The `<table>` with its caption; `cell_html` gives what stands in a cell, escaped."""
    rows = [[str(cell_html(cell)) for cell in row] for row in table.rows]
    inner = _filled(_laid(table), rows) if rows else _laid(table)
    return Markup(re.sub(r"(?<=>)\s+(?=</?t)", "\n", TAG.sub(_Dresser(table), inner)))


def _laid(table: Table) -> str:
    """The table as great-tables lays it out, with one row (none where there is none) of PLACEs.

    It takes 0.1 ms for each cell, and all rows are laid out alike.
    """
    names = [f"c{i}" for i in range(len(table.columns))]
    places = [[f"\ue000{i}\ue001" for i in range(len(names))]] if table.rows else []
    frame = pd.DataFrame(places, columns=names, dtype=object)
    labels = [html(str(escape(name)).replace("{", "&#123;")) for name, _ in table.columns]
    laid = (
        GT(frame, rowname_col="c0", id=f"table-{table.name}")
        .tab_stubhead(labels[0])
        .cols_label(dict(zip(names[1:], labels[1:], strict=True)))
        .fmt_passthrough(names, escape=False)
        .as_raw_html()
    )
    return laid[laid.index("<table") : laid.rindex("</table>") + len("</table>")]


def _filled(laid: str, rows: Sequence[Sequence[str]]) -> str:
    """The laid out table with its row as often as there are rows, and their cells at its PLACEs."""
    first = laid.index("<tr", laid.index("<tbody"))
    last = laid.rindex("</tr>") + len("</tr>")
    # between every two pieces of the row stands the number of the column whose cell goes there
    pieces = PLACE.split(laid[first:last])
    made = []
    for cells in rows:
        filled = [cells[int(piece)] if i % 2 else piece for i, piece in enumerate(pieces)]
        made.append("".join(filled))
    return laid[:first] + "\n".join(made) + laid[last:]


class _Dresser:
    """Replaces the tags of one table in the order in which they come."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.row, self.column = -2, -1
        """The row of headings is row -1."""

    def __call__(self, found: re.Match[str]) -> str:
        tag = found["tag"]
        if tag == "table":
            return f'<table id="table-{self.table.name}" role="table">{self._caption()}'
        if tag in ("thead", "tbody"):
            return f'<{tag} role="rowgroup">'
        if tag == "tr":
            self.row, self.column = self.row + 1, -1
            anchors = self.table.anchors if self.row >= 0 else ()
            return f'<tr role="row" id="{escape(anchors[self.row])}">' if anchors else '<tr role="row">'
        self.column += 1
        return self._cell()

    def _cell(self) -> str:
        label, kind = self.table.columns[self.column]
        if self.row < 0:
            return f'<th scope="col" role="columnheader" class="{kind}">'
        value = sort_value(self.table.rows[self.row][self.column].text) if kind == NUMBER else None
        key = "" if value is None else f' data-sort="{value:.10g}"'
        if self.column == 0:
            return f'<th scope="row" role="rowheader"{key}>'
        kind = f"{kind} empty" if self._is_empty() else kind
        return f'<td role="cell" class="{kind}" data-label="{escape(label)}"{key}>'

    def _is_empty(self) -> bool:
        """Whether nothing at all stands in the cell: where a row is a card, its label is left out."""
        cell = self.table.rows[self.row][self.column]
        return not (cell.text or cell.under or cell.links or cell.folded)

    def _caption(self) -> str:
        table = self.table
        cut = (
            f" ({len(table.rows)} of {table.total:,} rows, the worst and the swept first; "
            f"all {table.total:,} are in {table.file})"
            if table.cut
            else ""
        )
        cited = Markup('<span class="citation">{}</span>').format(table.citation) if table.citation else ""
        return Markup("<caption><span>{}{}</span>{}</caption>").format(table.caption, cut, cited)
