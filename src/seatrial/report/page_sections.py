"""The sections of the page in their order: each is a template and the words that it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from seatrial.reference.citation import notice
from seatrial.report import headline, sections
from seatrial.report.convergence_table import convergence_table
from seatrial.report.decisions import decisions_section
from seatrial.report.emergence import EmergenceTables, emergence_section
from seatrial.report.findings import findings_section
from seatrial.report.leading import leading
from seatrial.report.measurement_tables import inside_training_table, probes_table, sampled_table
from seatrial.report.probes.section import ProbeSection
from seatrial.report.provenance import provenance_table
from seatrial.report.routing import routing_table
from seatrial.report.step_time import step_time_table, utilisation_table
from seatrial.report.study_tables import StudyTables
from seatrial.report.survey_headline import survey_headline
from seatrial.report.survey_sections import survey_sections
from seatrial.report.table import Table
from seatrial.report.time_to_quality_table import time_to_quality_table
from seatrial.units import format_figure


@dataclass(frozen=True)
class Contents:
    """What the sections are made of."""

    study: StudyTables
    windows: EmergenceTables | None = None
    probes: Sequence[ProbeSection] = ()


@dataclass(frozen=True)
class PageSection:
    """One template of the page."""

    template: str
    places: Sequence[tuple[str, str]]
    """(anchor, name in the list of sections) of each `<section>` in it."""
    words: Mapping[str, object] = field(default_factory=dict)
    """What the template names, beside `show(table)`, `draw(figure)` and `study`."""


def page_sections(contents: Contents) -> list[PageSection]:
    """The sections that this study has; the decision that it is about comes first."""
    makers = sorted(SECTIONS, key=lambda make: make is not _decisions) if leading(contents.study) else SECTIONS
    return [section for make in makers for section in make(contents)]


def _criteria(contents: Contents) -> list[PageSection]:
    found = sections.criteria_table(contents.study)
    return [PageSection("criteria.html.j2", [("criteria", "Criteria")], {"criteria": found})] if found.rows else []


def _findings(contents: Contents) -> list[PageSection]:
    found = findings_section(contents.study.findings)
    return [PageSection("findings.html.j2", [("findings", "Findings")], {"findings": found})] if found else []


def _decisions(contents: Contents) -> list[PageSection]:
    study = contents.study
    found = decisions_section(study.decisions, study.procurement, leading=leading(study))
    return [PageSection("decisions.html.j2", [("decisions", "Decisions")], {"decisions": found})] if found else []


def _time_to_quality(contents: Contents) -> list[PageSection]:
    study = contents.study
    found = time_to_quality_table(study)
    words = {
        "time_to_quality": found,
        "inside_training": inside_training_table(study),
        "resumed": sections.resumed(study),
        "convergence": convergence_table(study),
    }
    place = ("time-to-quality", "Time to quality")
    return [PageSection("time_to_quality.html.j2", [place], words)] if found.rows else []


def _training(contents: Contents) -> list[PageSection]:
    study = contents.study
    words: dict[str, Table] = {
        "step_time": step_time_table(study),
        "utilisation": utilisation_table(study),
        "sampled": sampled_table(study),
        "routing": routing_table(study),
    }
    places = [("step-time", "Step time"), ("routing", "Routing")]
    shown = [place for place, name in zip(places, ("step_time", "routing"), strict=True) if words[name].rows]
    return [PageSection("training.html.j2", shown, words)] if shown else []


def _emergence(contents: Contents) -> list[PageSection]:
    found = emergence_section(contents.windows)
    return [PageSection("emergence.html.j2", [("emergence", "Windows")], {"emergence": found})] if found else []


def _comparison(contents: Contents) -> list[PageSection]:
    study = contents.study
    found = sections.comparison_table(study)
    words = {"comparison": found, "references": sections.references_table(study)}
    return [PageSection("comparison.html.j2", [("comparison", "Comparison")], words)] if found.rows else []


def _survey(contents: Contents) -> list[PageSection]:
    tables = contents.study.survey
    survey = survey_sections(tables)
    if survey is None or tables is None:
        return []
    places = [
        *([("survey-claims", "Claims")] if survey.claims.rows else []),
        ("survey-spread", "Spread"),
        ("survey-medians", "Medians"),
        ("survey-rounds", "Rounds"),
        ("survey-scaling", "Scaling"),
        ("survey-cost", "Cost"),
        ("survey-results", "Results"),
    ]
    # a study without work of its own has these figures on the first screen
    summary = survey_headline(tables) if contents.study.cases else []
    return [PageSection("survey.html.j2", places, {"survey": survey, "summary": summary})]


def _outcomes(contents: Contents) -> list[PageSection]:
    study = contents.study
    if not study.cases and (study.survey is not None or study.decisions):
        return []
    words = {
        "outcomes": sections.outcomes_table(study),
        "outcome_counts": sections.outcome_counts(study),
        "stated": bool(study.stated_systems),
    }
    return [PageSection("outcomes.html.j2", [("outcomes", "What did not complete")], words)]


def _probes(contents: Contents) -> list[PageSection]:
    found = [
        PageSection("probe.html.j2", [(section.name, section.short)], {"section": section})
        for section in contents.probes
    ]
    plain = probes_table(contents.study)
    if plain.rows:
        found.append(PageSection("probes.html.j2", [("probes", "Probes")], {"probes": plain}))
    return found


def _plan(contents: Contents) -> list[PageSection]:
    study = contents.study
    plan = study.plan
    words = {
        "target": plan.study.target,
        "stated": "; ".join(dict.fromkeys(study.stated_systems.values())),
        "runs_something": study.runs_something,
        "has_work": bool(study.cases),
        "accelerator_hours": format_figure(plan.plan.accelerator_hours) if plan.plan.accelerator_hours else None,
        "node_hours": format_figure(plan.plan.node_hours),
        "cost": headline.cost_in_words(study),
        "command": " ".join(plan.command),
        "plan": sections.plan_table(study),
        "provenance": provenance_table(study),
    }
    return [PageSection("plan.html.j2", [("plan", "Plan")], words)]


def _notices(contents: Contents) -> list[PageSection]:
    study = contents.study
    published = bool(study.comparison or study.survey)
    words = {
        "notices": notice(study.has_own_results) if published else (),
        "has_intervals": bool(study.cases or study.comparison),
    }
    return [PageSection("notices.html.j2", [("notices", "Notices")], words)]


SECTIONS: tuple[Callable[[Contents], list[PageSection]], ...] = (
    _criteria,
    _findings,
    _decisions,
    _time_to_quality,
    _training,
    _emergence,
    _comparison,
    _survey,
    _outcomes,
    _probes,
    _plan,
    _notices,
)
"""In the order of the page; a maker gives nothing where the study has none of it."""
