"""figures/: every figure as SVG, PDF and PNG, with what is drawn as CSV; the same tables give the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

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
from seatrial.report.figures import draw_all
from seatrial.report.probes.sections import probe_sections
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
SUFFIXES = ("svg", *IMAGES, DATA)


@reading_once()
def figures(paths: StudyPaths) -> list[Drawn]:
    """Draw all figures of a study again from its tables and write their files; what else is there stays.

    Raises UnreadableFile where collect or analyse has not run.
    """
    study = read_study(paths)
    of_probes = [figure for section in probe_sections(study) for figure in section.figures]
    found = all_figures(study, of_probes)
    write_figures(paths, found)
    return found


def all_figures(study: StudyTables, of_probes: Sequence[Drawn]) -> list[Drawn]:
    """Every figure for which there is something to draw, in the page's order; the probes' stand in sections."""
    windows = read_emergence(study.paths)
    tornadoes = draw_tornadoes(study.decisions)
    return [*draw_all(study), *tornadoes, *draw_emergence(windows), *draw_survey(study.survey), *of_probes]


def write_figures(
    paths: StudyPaths,
    found: Sequence[Drawn],
    meanwhile: Callable[[], None] = lambda: None,
    needed: Collection[str] = (),
) -> None:
    """Write the files of each figure and the index of all; files of figures that are drawn no more are removed.

    Two processes share the work where there are processors for it. Beside it `meanwhile` is done here, when the
    figures that are named in `needed` are written.
    """
    folder = paths.figures
    folder.mkdir(parents=True, exist_ok=True)

    shared_out(lambda: None, [partial(_write, folder, figure) for figure in found if figure.name in needed])
    shared_out(meanwhile, [partial(_write, folder, figure) for figure in found if figure.name not in needed])
    entries = [_entry(figure) for figure in found]
    current = {f"{entry.name}.{suffix}" for entry in entries for suffix in entry.suffixes}
    for suffix in SUFFIXES:
        for stale in sorted(folder.glob(f"*.{suffix}")):
            if stale.name not in current:
                stale.unlink()
    write_index(paths.figure_index, entries)


def _write(folder: Path, figure: Drawn) -> None:
    for suffix, content in ({"svg": figure.svg.encode()} | images(figure)).items():
        with written_aside(folder / f"{figure.name}.{suffix}") as aside:
            aside.write_bytes(content)
    if figure.data is not None:
        write_csv(folder / f"{figure.name}.{DATA}", figure.data.columns, figure.data.rows)


def _entry(figure: Drawn) -> IndexEntry:
    return IndexEntry(
        name=figure.name,
        title=figure.title,
        reading=figure.reading,
        caption=figure.caption,
        tables=figure.records.tables,
        case_ids=figure.records.case_ids,
        suffixes=suffixes_of(figure),
    )


def suffixes_of(figure: Drawn) -> tuple[str, ...]:
    """The formats that a figure is written in."""
    drawn_as = IMAGES if figure.figure is not None else ()
    return ("svg", *drawn_as, *((DATA,) if figure.data is not None else ()))


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
