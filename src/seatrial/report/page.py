"""tables -> figures/ and report.html: one page that needs nothing else, not even a network."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from seatrial import __version__
from seatrial.paths import StudyPaths, write_text
from seatrial.reference.citation import notice
from seatrial.report import headline, sections
from seatrial.report.convergence_table import convergence_table
from seatrial.report.drawing import Drawn
from seatrial.report.emergence import EmergenceTables, emergence_section, read_emergence
from seatrial.report.figure_files import all_figures, write_figures
from seatrial.report.findings import findings_section
from seatrial.report.measurement_tables import inside_training_table, probes_table, sampled_table
from seatrial.report.probes.sections import ProbeSection, probe_sections
from seatrial.report.provenance import provenance_table
from seatrial.report.routing import routing_table
from seatrial.report.step_time import step_time_table, utilisation_table
from seatrial.report.study_tables import StudyTables, read_study
from seatrial.report.survey_sections import survey_sections
from seatrial.report.svg import inline
from seatrial.report.time_to_quality_table import time_to_quality_table
from seatrial.units import format_figure


def report(paths: StudyPaths) -> None:
    """Write the figures and the page. The same records give the same bytes; no record at all still gives a page.

    Raises UnreadableFile where collect or analyse has not run.
    """
    study = read_study(paths)
    windows = read_emergence(paths)
    sections_of_probes = probe_sections(study)
    of_probes = [figure for section in sections_of_probes for figure in section.figures]
    figures = all_figures(study, of_probes)
    write_figures(paths, figures)
    write_text(paths.report, page(study, figures, windows, sections_of_probes))


def page(
    study: StudyTables,
    figures: list[Drawn],
    windows: EmergenceTables | None = None,
    sections_of_probes: Sequence[ProbeSection] = (),
) -> str:
    """The HTML of the page. Every text is escaped; only our own style sheet and figures are not."""
    files = resources.files("seatrial.report")
    environment = Environment(
        loader=PackageLoader("seatrial.report", ""),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("page.html.j2")
    kind, word, sentence = headline.verdict(study)
    plan = study.plan
    return template.render(
        style=Markup(files.joinpath("page.css").read_text(encoding="utf-8")),
        version=__version__,
        study=plan.study,
        target=plan.study.target,
        stated="; ".join(dict.fromkeys(study.stated_systems.values())),
        command=" ".join(plan.command),
        verdict_kind=kind,
        verdict=word,
        sentence=sentence,
        headline=headline.headline(study),
        accelerator_hours=format_figure(plan.plan.accelerator_hours) if plan.plan.accelerator_hours else None,
        runs_something=study.runs_something,
        node_hours=format_figure(plan.plan.node_hours),
        cost=headline.cost_in_words(study),
        dates=_dates(study),
        outcome_counts=sections.outcome_counts(study),
        figures={figure.name: figure for figure in figures},
        svg={figure.name: Markup(inline(figure.svg)) for figure in figures},
        plan=sections.plan_table(study),
        criteria=sections.criteria_table(study),
        findings=findings_section(study.findings),
        time_to_quality=time_to_quality_table(study),
        inside_training=inside_training_table(study),
        resumed=sections.resumed(study),
        convergence=convergence_table(study),
        step_time=step_time_table(study),
        utilisation=utilisation_table(study),
        sampled=sampled_table(study),
        routing=routing_table(study),
        emergence=emergence_section(windows),
        comparison=sections.comparison_table(study),
        references=sections.references_table(study),
        outcomes=sections.outcomes_table(study),
        probes=probes_table(study),
        probe_sections=sections_of_probes,
        provenance=provenance_table(study),
        notices=notice(study.has_own_results) if study.comparison or study.survey else (),
        survey=survey_sections(study.survey),
        has_work=bool(study.cases),
    )


def _dates(study: StudyTables) -> str:
    """The days of the first and the last repeat, from the records."""
    starts = sorted(str(row["started_at"])[:10] for row in study.repeats if row["started_at"])
    ends = sorted(str(row["finished_at"])[:10] for row in study.repeats if row["finished_at"])
    if not starts or not ends:
        return ""
    return starts[0] if starts[0] == ends[-1] else f"{starts[0]} to {ends[-1]}"
