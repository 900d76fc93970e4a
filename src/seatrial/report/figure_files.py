"""figures/: every figure as SVG, PDF and PNG, with what is drawn as CSV; the same tables give the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

from seatrial.analysis.once import reading_once
from seatrial.analysis.side_by_side import shared_out
from seatrial.analysis.tables import write_csv
from seatrial.figure_index import IndexEntry, write_index
from seatrial.paths import StudyPaths, written_aside
from seatrial.report.drawing import Drawn
from seatrial.report.emergence import draw_emergence, read_emergence
from seatrial.report.figures import drawers
from seatrial.report.probes.section import ProbeSection
from seatrial.report.probes.sections import SECTIONS
from seatrial.report.study_tables import StudyTables, read_study
from seatrial.report.survey_figures import draw_survey
from seatrial.report.svg import settings
from seatrial.report.tornado import draw_tornadoes

PNG_DPI, PNG_PAPER = 144, "white"
"""Twice the page's pixels; on white, for viewers that show what is transparent as black."""


def _pdf(figure: Figure, file: BinaryIO) -> None:
    metadata = {"CreationDate": None, "Creator": None, "Producer": None}
    FigureCanvasPdf(figure).print_pdf(file, metadata=metadata)


def _png(figure: Figure, file: BinaryIO) -> None:
    dpi, paper = figure.dpi, figure.get_facecolor()
    figure.set_dpi(PNG_DPI)
    figure.set_facecolor(PNG_PAPER)
    # compressed harder it takes three times as long and is a twentieth smaller
    FigureCanvasAgg(figure).print_png(file, metadata={"Software": None}, pil_kwargs={"compress_level": 1})
    figure.set_dpi(dpi)
    figure.set_facecolor(paper)


IMAGES: dict[str, Callable[[Figure, BinaryIO], None]] = {"pdf": _pdf, "png": _png}
"""Formats beside SVG, by suffix: nothing of them tells when or by which release it was drawn. Not by savefig, which
draws everything twice."""
DATA = "csv"


class _Made(NamedTuple):
    """Figures whose files are written, and the section that they stand in, where that is a probe's."""

    figures: list[Drawn]
    section: ProbeSection | None = None


@reading_once()
def figures(paths: StudyPaths) -> list[Drawn]:
    """Draw all figures of a study again from its tables and write their files; what else is there stays.

    Raises UnreadableFile where collect or analyse has not run.
    """
    return make_figures(read_study(paths))[0]


def make_figures(
    study: StudyTables, meanwhile: Callable[[], object] = lambda: None
) -> tuple[list[Drawn], list[ProbeSection]]:
    """Draw every figure for which there is something to draw, and write its files and the index of all.

    Returns the figures in the page's order, and the sections of the probes, in which some of them stand. Two
    processes share the work where there are processors for it; `meanwhile` is done first in this one.
    """
    folder = study.paths.figures
    folder.mkdir(parents=True, exist_ok=True)
    parts: list[Callable[[], _Made]] = [partial(_of_drawer, folder, draw) for draw in _drawers(study)]
    parts += [partial(_of_section, folder, study, make) for make in SECTIONS]
    made = shared_out(meanwhile, parts)
    found = [figure for part in made for figure in part.figures]
    write_index_of(study.paths, found)
    return found, [part.section for part in made if part.section is not None]


def _drawers(study: StudyTables) -> list[Callable[[], list[Drawn]]]:
    """What draws the figures that stand in no section of a probe."""
    windows = read_emergence(study.paths)
    return [
        *drawers(study),
        lambda: draw_tornadoes(study.decisions),
        lambda: draw_emergence(windows),
        lambda: draw_survey(study.survey),
    ]


def _of_drawer(folder: Path, draw: Callable[[], list[Drawn]]) -> _Made:
    return _Made([_written(folder, figure) for figure in draw()])


def _of_section(folder: Path, study: StudyTables, make: Callable[[StudyTables], ProbeSection | None]) -> _Made:
    section = make(study)
    if section is None:
        return _Made([])
    found = [_written(folder, figure) for figure in section.figures]
    return _Made(found, replace(section, figures=found))


def _written(folder: Path, figure: Drawn) -> Drawn:
    """The figure, when its files are written."""
    contents = {"svg": figure.svg.encode()} | images(figure)
    for suffix, content in contents.items():
        with written_aside(folder / f"{figure.name}.{suffix}") as aside:
            aside.write_bytes(content)
    if figure.data is not None:
        write_csv(folder / f"{figure.name}.{DATA}", figure.data.columns, figure.data.rows)
    return replace(figure, files=(*contents, *((DATA,) if figure.data is not None else ())))


def write_index_of(paths: StudyPaths, found: Sequence[Drawn]) -> None:
    """Write the index of the figures, and remove the files of those that are drawn no more."""
    current = {f"{figure.name}.{suffix}" for figure in found for suffix in figure.files}
    for suffix in ("svg", *IMAGES, DATA):
        for stale in sorted(paths.figures.glob(f"*.{suffix}")):
            if stale.name not in current:
                stale.unlink()
    write_index(paths.figure_index, [_entry(figure) for figure in found])


def _entry(figure: Drawn) -> IndexEntry:
    return IndexEntry(
        name=figure.name,
        title=figure.title,
        reading=figure.reading,
        caption=figure.caption,
        tables=figure.records.tables,
        case_ids=figure.records.case_ids,
        suffixes=figure.files,
    )


def images(figure: Drawn) -> dict[str, bytes]:
    """The figure in the other formats, by suffix, laid out as its SVG is."""
    if figure.figure is None:
        return {}
    found = {}
    # the layout has settled with the SVG; settling it again would cost as much as drawing, and could move things
    figure.figure.set_layout_engine("none")
    with settings():
        for suffix, draw in IMAGES.items():
            content = BytesIO()
            draw(figure.figure, content)
            found[suffix] = content.getvalue()
    return found
