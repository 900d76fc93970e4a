"""Templates with what every one of them needs: tables, figures, and escaping that nothing gets around."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from seatrial.report.case_links import MOST_FOLDED, record_links
from seatrial.report.drawing import Drawn
from seatrial.report.figure_files import DATA
from seatrial.report.study_tables import StudyTables
from seatrial.report.svg import inline
from seatrial.report.table import Link, Table
from seatrial.report.table_html import table_html

MOST_OF_ONE, MOST_OF_ALL = 400_000, 1_500_000
"""Characters of a figure's SVG, and of all figures, that stand on the page, which stays under 3 MB. A larger figure
is there as its PNG, and beyond all of them there are links to the files."""


class Rendering:
    """The templates of one page, for one study and its figures."""

    def __init__(self, study: StudyTables, figures: Iterable[Drawn]) -> None:
        self._study = study
        self._figures = {figure.name: figure for figure in figures}
        self._room = MOST_OF_ALL
        self._environment = Environment(
            loader=PackageLoader("seatrial.report", ""),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(show=self.show, draw=self.draw, study=study.plan.study)
        self._macros = self._environment.get_template("macros.html.j2").module

    def render(self, template: str, **words: object) -> Markup:
        """One template. Every word is escaped; only tables and figures made here are not."""
        return Markup(self._environment.get_template(template).render(**words))

    def show(self, table: Table) -> Markup:
        """A table with its caption, in a region that scrolls where the window is narrow."""
        made = table_html(table, self._macros.cell_text)  # type: ignore[attr-defined]
        return Markup(self._macros.table_block(table, made, _is_file(table.file)))  # type: ignore[attr-defined]

    def draw(self, name: str) -> Markup:
        """A figure with how to read it, its files, and the records behind it; nothing where it was not drawn."""
        figure = self._figures.get(name)
        if figure is None:
            return Markup("")
        records = record_links(self._study, figure.records.case_ids)
        return Markup(
            self._macros.figure_block(  # type: ignore[attr-defined]
                figure,
                self._picture(figure),
                _files(figure),
                [Link(table, file=table) for table in figure.records.tables],
                records[:MOST_FOLDED],
                len(records),
            )
        )

    def _picture(self, figure: Drawn) -> Markup | None:
        """The figure as it stands on the page; None where there is no room for it."""
        picture = Markup(inline(figure.svg))
        if len(picture) > min(self._room, MOST_OF_ONE):
            png = self._study.paths.figures / f"{figure.name}.png"
            if not png.is_file():
                return None
            encoded = base64.b64encode(png.read_bytes()).decode()
            picture = Markup('<img src="data:image/png;base64,{}" alt="{}">').format(encoded, figure.caption)
        elif figure.narrow:
            both = Markup('<div class="wide">{}</div>\n<div class="narrow">{}</div>')
            both = both.format(picture, Markup(inline(figure.narrow)))
            picture = both if len(both) <= self._room else picture
        if len(picture) > self._room:
            return None
        self._room -= len(picture)
        return picture


def style() -> Markup:
    """The page's one style sheet."""
    return Markup(_own_file("page.css"))


def script() -> Markup:
    """The page's one script: it sorts tables. The page works without it."""
    return Markup(_own_file("sort.js"))


def script_source() -> str:
    """What the page's policy allows to run: the script with this digest and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(str(script()).encode()).digest()).decode()}'"


def _own_file(name: str) -> str:
    return resources.files("seatrial.report").joinpath(name).read_text(encoding="utf-8").strip()


def _files(figure: Drawn) -> list[Link]:
    """The files of a figure beside the page."""
    words = {DATA: "data as CSV"}
    return [
        Link(words.get(suffix, suffix.upper()), file=f"figures/{figure.name}.{suffix}") for suffix in figure.files
    ]


def _is_file(path: str) -> bool:
    return bool(path) and not path.endswith("/")
