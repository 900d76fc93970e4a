"""tables -> figures/, summary.md and report.html: one page that needs nothing else, not even a network."""

from __future__ import annotations

from collections.abc import Iterable

from seatrial import __version__
from seatrial.analysis.once import reading_once
from seatrial.paths import StudyPaths, write_text
from seatrial.report import headline, page_sections
from seatrial.report.drawing import Drawn
from seatrial.report.emergence import read_emergence
from seatrial.report.figure_files import make_figures
from seatrial.report.measurement_tables import write_long_tables
from seatrial.report.page_sections import Contents
from seatrial.report.rendering import Rendering, script, script_source, style
from seatrial.report.study_tables import StudyTables, read_study
from seatrial.report.summary import write_summary


@reading_once()
def report(paths: StudyPaths) -> None:
    """Write the figures, the page and its summary. The same records give the same bytes.

    No record at all still gives a page.
    Raises UnreadableFile where collect or analyse has not run.
    """
    study = read_study(paths)

    def meanwhile() -> None:
        """What the page needs, and would be done twice if another process did it."""
        write_long_tables(study)
        _ = study.unbelieved

    figures, sections = make_figures(study, meanwhile)
    write_text(paths.report, page(Contents(study, read_emergence(paths), sections), figures))
    write_summary(paths, study)


def page(contents: Contents, figures: Iterable[Drawn]) -> str:
    """The HTML of the page. Every text is escaped; only our own style sheet, script, tables and figures are not."""
    study, plan = contents.study, contents.study.plan
    rendering = Rendering(study, figures)
    sections = page_sections.page_sections(contents)
    kind, word, sentence = headline.verdict(study)
    return rendering.render(
        "page.html.j2",
        style=style(),
        script=script(),
        script_source=script_source(),
        version=__version__,
        target=plan.study.target,
        stated="; ".join(dict.fromkeys(study.stated_systems.values())),
        runs_something=study.runs_something,
        has_work=bool(study.cases),
        measured_elsewhere=any(given.measured for one in study.decisions for given in one.inputs),
        dates=_dates(study),
        leading=headline.leading_sentence(study),
        verdict_kind=kind,
        verdict=word,
        sentence=sentence,
        verdict_sources=headline.verdict_sources(study),
        finding=headline.main_sentence(study),
        headline=headline.headline(study),
        sections=sections,
        bodies=[rendering.render(section.template, **section.words) for section in sections],
    )


def _dates(study: StudyTables) -> str:
    """The days of the first and the last repeat, from the records."""
    starts = sorted(str(row["started_at"])[:10] for row in study.repeats if row["started_at"])
    ends = sorted(str(row["finished_at"])[:10] for row in study.repeats if row["finished_at"])
    if not starts or not ends:
        return ""
    return starts[0] if starts[0] == ends[-1] else f"{starts[0]} to {ends[-1]}"
