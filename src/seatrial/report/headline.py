"""The first screen: the verdict in words and the few figures that answer the question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from seatrial.analysis.decisions.decision import Decision
from seatrial.analysis.decisions.procurement.decide import KIND as PROCUREMENT
from seatrial.analysis.decisions.rests_on import rests_on
from seatrial.analysis.judge import covers
from seatrial.analysis.time_to_quality import NOT_CONVERGED
from seatrial.analysis.verdict_file import is_of_published
from seatrial.analysis.verdicts import NO_CRITERIA, overall, overall_in_words
from seatrial.report.decisions import anchor, headline_cost, headline_of_decisions, headline_of_leading
from seatrial.report.findings import findings_section, main_cost
from seatrial.report.headline_figure import Figure, missing
from seatrial.report.leading import leading
from seatrial.report.sections import WORDS_OF_STANDING, not_completed
from seatrial.report.study_tables import Row, StudyTables, case_label, handed_over, whose
from seatrial.report.survey_headline import survey_headline
from seatrial.report.table import (
    MULTIPLY,
    Link,
    count,
    ratio_words,
    reached_in_words,
    span_of_minutes,
    span_of_ratios,
)
from seatrial.units import age_in_words, format_figure, format_minutes, parse_month

SENTENCES = {
    "pass": "All criteria pass.",
    "fail": "A criterion fails.",
    "inconclusive": "Not yet known: what was measured does not settle every criterion.",
    "incomplete": "Something that a criterion needs was not measured.",
    "no_reference": "Not yet known: nothing published compares with what was measured.",
    NO_CRITERIA: "No criteria were declared, so there is nothing to pass or fail.",
}
LONG = 3
"""Statements from which on a sentence is a list."""
SURVEY_SENTENCE = "A survey of published results: it declares no criteria, so nothing passes or fails."


def verdict(study: StudyTables) -> tuple[str, str, str]:
    """The study's verdict: its class, its word and a sentence."""
    if study.unbelieved is not None:
        return "incomplete", "not known", f"{study.unbelieved}."
    word = overall(study.verdicts)
    if word == NO_CRITERIA and study.survey is not None and not study.cases:
        return word, "nothing to judge", SURVEY_SENTENCE
    shown = "no criteria" if word == NO_CRITERIA else word.replace("_", " ")
    sentence = SENTENCES[word]
    counts = overall_in_words(study.verdicts).partition("(")[2].rstrip(")")
    return word, shown, f"{sentence} {counts[:1].upper()}{counts[1:]}." if counts else sentence


def verdict_sources(study: StudyTables) -> tuple[Link, ...]:
    """Where the verdict comes from; nothing where no criterion was declared."""
    if not study.verdicts:
        return ()
    return Link("Criteria", "criteria"), Link("verdicts.json", file="verdicts.json")


@dataclass(frozen=True)
class MainFinding:
    """What holds the workloads back, in a sentence; what that costs, and where the evidence stands."""

    sentence: str
    kind: str
    cost: str = ""
    sources: Sequence[Link] = ()
    name: str = "What holds it back"
    enumerates: bool = False
    """Whether the sentence lists statements of which each can stand alone."""
    rests_on: str = ""
    """Of a decision its inputs and sources, in words."""

    @property
    def parts(self) -> list[str]:
        """The statements of a long sentence, for a list; nothing where it reads well as one."""
        said = self.sentence.rstrip(".").split("; ")
        return (
            [f"{words[:1].upper()}{words[1:]}" for words in said] if self.enumerates and len(said) >= LONG else []
        )


def main_finding(study: StudyTables) -> MainFinding | None:
    """The finding that costs most, not known where none could be made; None where the study runs nothing."""
    if not study.cases:
        return None
    found = findings_section(study.findings)
    if found is None:
        return MainFinding("Not known: nothing was measured that could be held back.", "wait")
    sources = (Link("Evidence", "findings"), Link("findings.json", file="findings.json"))
    sentence = found.sentence or "Not known: no training was measured; what probes found stands below."
    return MainFinding(sentence, found.kind if found.sentence else "wait", main_cost(study.findings), sources)


def main_sentence(study: StudyTables) -> MainFinding | None:
    """The sentence of the first screen below the verdict: the main finding, without work the first decision.

    None where that decision leads the page.
    """
    if study.cases or not study.decisions:
        return main_finding(study)
    return None if leading(study) is not None else _decided(study, study.decisions[0])


def leading_sentence(study: StudyTables) -> MainFinding | None:
    """The answer of the decision that the study is about; None where it is about none."""
    one = leading(study)
    return None if one is None else _decided(study, one)


def _decided(study: StudyTables, one: Decision) -> MainFinding:
    number = study.decisions.index(one) + 1
    sources = (Link("Decision", anchor(number)), Link("decisions.json", file="decisions.json"))
    by_proposal = one.kind == PROCUREMENT and not one.inputs
    return MainFinding(one.answer, "none", one.where, sources, one.title, by_proposal, rests_on(one))


def headline(study: StudyTables, decisions: Sequence[Decision] | None = None) -> list[Figure]:
    """The figures of the first screen, always the same ones; what is not known says so, and why.

    Before them those of the decision that the study is about (of `decisions`, the study's own where None).
    """
    decided = study.decisions if decisions is None else decisions
    if study.survey is not None and not study.cases:
        compared = [_ratio(study)] if study.comparison else []
        return [*compared, *survey_headline(study.survey)]
    if decided and not study.cases and not study.comparison:
        return headline_of_decisions(decided)
    asked = leading(study, decided)
    own = [] if asked is None else headline_of_leading(decided, asked)
    return [*own, _time(study), _ratio(study), _cost(study), _repeats(study)]


def _repeats(study: StudyTables) -> Figure:
    if not study.repeats:
        return missing("Repeats completed", "no repeat is planned")
    done = sum(row["outcome"] == "completed" for row in study.repeats)
    lost = not_completed(study)
    words = ", ".join(lost) or "nothing failed, nothing is missing"
    planned = f"n = {count(len(study.repeats), 'repeat')} of {count(len(study.cases), 'case')}"
    sources = (Link("Outcomes", "outcomes"), Link("repeats.csv", file="tables/repeats.csv"))
    value = f"{done} of {len(study.repeats)}"
    return Figure("Repeats completed", value, words, "wait" if lost else "", n=planned, sources=sources)


def _time(study: StudyTables) -> Figure:
    """The time to quality of the first training, with its interval."""
    if not study.time_to_quality:
        return missing("Time to quality", "nothing in this study trains to a quality target")
    row = study.time_to_quality[0]
    sources = (Link("Table", "time-to-quality"), Link("time_to_quality.csv", file="tables/time_to_quality.csv"))
    return replace(_time_of(study, row), n=f"n = {count(int(row['repeats']), 'repeat')}", sources=sources)


def _time_of(study: StudyTables, row: Row) -> Figure:
    more = len(study.time_to_quality) - 1
    where = case_label(study.cases[row["case_id"]]) + (f", first of {more + 1} cases" if more else "")
    if handed_over(row):
        return _score(row, f"{study.stated_systems.get(row['case_id'], '')} {where}".strip())
    reached = reached_in_words(row)
    interval = span_of_minutes(row["low_minutes"], row["high_minutes"])
    spread = f"{interval} ({row['interval_method']})" if interval else row["interval_method"]
    if row["median_minutes"] is None:
        missed = sum(
            again["case_id"] == row["case_id"] and again["error_kind"] in NOT_CONVERGED for again in study.repeats
        )
        found = Figure("Time to quality", "not measured", f"{reached}, {where}", "wait")
        return replace(found, value="not reached", under=f"{reached}, {where}; {spread}") if missed else found
    under = ", ".join((f"median, {reached}", spread, where, "unverified"))
    return Figure("Time to quality", format_minutes(row["median_minutes"]), under)


def _score(row: Row, where: str) -> Figure:
    """MLCommons' score of logs handed over; the median without the factor stands under it."""
    parts = [row["score_note"]]
    if row["median_minutes"] is not None:
        middle = format_minutes(row["median_minutes"])
        parts.append(f"median without the factor {middle}, {reached_in_words(row)}")
    under = "; ".join([*parts, f"{where}, unverified"])
    if row["score_minutes"] is None:
        return Figure("Score", "none", under, "wait")
    return Figure("Score", format_minutes(row["score_minutes"]), under)


def _ratio(study: StudyTables) -> Figure:
    """The ratio that a criterion is about where there is one, else the own training's, else the subject's.

    Of several the slowest; the words under it count the others, so that none is out of sight.
    """
    name = "Against the published median"
    sources = (Link("Table", "comparison"), Link("comparison.csv", file="tables/comparison.csv"))
    known = [row for row in study.comparison if row["ratio"] is not None]
    if not known:
        if not study.comparison:
            return missing(name, "nothing in this study names a benchmark that results are published of")
        return Figure(name, "undefined", study.comparison[0]["note"] or "", sources=sources)
    judged = [row for row in known if _has_criterion(study, row)]
    among = next(rows for rows in (_own(judged), judged, _own(known), known) if rows)
    row = max(among, key=lambda r: r["ratio"])
    slowest = f"slowest of {len(among)}: " if len(among) > 1 else ""
    interval = span_of_ratios(row["ratio_low"], row["ratio_high"])
    bounds = f"{interval}, " if interval else "no interval, "
    own = row["subject"] == "training"
    who = whose(row) if own else f"{row['submitter']}, published"
    standing = f"{WORDS_OF_STANDING[row['standing']]} at {format_figure(row['threshold'])}"
    others = _others(study, [other for other in known if other is not row])
    under = f"{bounds}{standing}; {slowest}{row['benchmark']}, {who}{others}"
    name = name if own else f"{row['submitter']} against the published median"
    kind = {"slower": "fail", "not_slower": "pass"}.get(row["standing"], "wait")
    return Figure(name, ratio_words(row["ratio"]), under, kind, MULTIPLY, _counts(row), sources)


def _counts(row: Row) -> str:
    """'n = 10 runs against 8 results of 5 submitters'."""
    runs, results = count(int(row["measured_n"] or 0), "run"), count(int(row["reference_n"] or 0), "result")
    return f"n = {runs} against {results} of {count(int(row['reference_submitters'] or 0), 'submitter')}"


def _own(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["subject"] == "training"]


def _has_criterion(study: StudyTables, row: Row) -> bool:
    return any(is_of_published(v) and covers(v["where"], row) for v in study.verdicts)


def _others(study: StudyTables, others: list[Row]) -> str:
    """'. 4 more; 2 slower, no criterion covers them': the comparisons that the headline does not show."""
    if not others:
        return ""
    slower = [row for row in others if row["standing"] == "slower"]
    if not slower:
        return f". {len(others)} more; none found slower"
    bare = sum(not _has_criterion(study, row) for row in slower)
    words = f". {len(others)} more; {len(slower)} slower"
    if bare == len(slower):
        return f"{words}, no criterion covers {'it' if bare == 1 else 'them'}"
    return f"{words}, {bare} of them without a criterion" if bare else words


def _cost(study: StudyTables) -> Figure:
    """What a run to quality costs where it was measured, else what the planned repeats cost at most.

    Without a price not known, and what they use at most instead.
    """
    measured = headline_cost(study.decisions)
    if measured is not None:
        return measured
    plan, sources = study.plan.plan, (Link("Plan", "plan"), Link("study.json", file="study.json"))
    if not study.runs_something:
        return missing("Cost", "nothing was run here", sources)
    hours = (
        f"{format_figure(plan.accelerator_hours, 3)} accelerator-hours"
        if plan.accelerator_hours
        else f"{format_figure(plan.node_hours, 3)} node-hours"
    )
    planned = f"{hours} with every repeat at its time limit"
    n = f"n = {count(plan.repeats, 'planned repeat')}"
    if plan.cost is None:
        return replace(missing("Cost", f"no price is stated; planned: at most {planned}", sources), n=n)
    dated = cost_in_words(study).partition(", ")[2]
    return Figure("Cost, at most", _amount(plan.cost), f"{planned}; {dated}", "", plan.cost["currency"], n, sources)


def _amount(cost: dict[str, Any]) -> str:
    low, high = format_figure(cost["low"], 3), format_figure(cost["high"], 3)
    return low if low == high else f"{low} to {high}"


def cost_in_words(study: StudyTables) -> str:
    """What the plan costs at most, with the price's date; its age where that is more than a year."""
    cost = study.plan.plan.cost
    if cost is None:
        return ""
    age = _age(cost["as_of"], study.repeats)
    dated = f"price of {cost['as_of']}, {age}" if age else f"price of {cost['as_of']}"
    return f"at most {_amount(cost)} {cost['currency']}, {dated}: {cost['source']}"


def _age(as_of: str, repeats: list[Row]) -> str | None:
    """How old the price was when the last repeat ended (never today: the same records give the same page)."""
    ends = [str(row["finished_at"])[:10] for row in repeats if row["finished_at"]]
    try:
        return age_in_words(as_of, parse_month(max(ends))) if ends else None
    except ValueError:
        return None
