"""What holds the workloads back: one sentence in the page's first lines, and the findings with their evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seatrial.analysis.findings.diagnose import FIRM
from seatrial.analysis.findings.findings_file import Cost, FindingEntry
from seatrial.analysis.findings.of_study import PROBES_OF
from seatrial.report.step_time import share_span, share_words

MOST_SHOWN = 30
"""More findings are in findings.json; what costs most comes first."""
WORDS_OF_CAUSE = {
    "interconnect": "Interconnect",
    "storage": "Storage",
    "data_loading": "Data loading",
    "compute": "Compute",
    "framework": "Framework",
    "straggler_node": "Straggling node",
    "failed_node": "Failed node",
    "noise": "Noise",
    "none": "None found",
}
WORDS_OF_SEVERITY = {
    "major": "major",
    "minor": "minor",
    "inconclusive": "suspected, not yet known",
    "none": "nothing found",
    "not_known": "not yet known",
}
KINDS = {"major": "fail", "minor": "wait", "inconclusive": "wait", "none": "pass", "not_known": "wait"}
"""Severity -> class of the style sheet."""


@dataclass(frozen=True)
class Shown:
    """One finding as the page shows it: heading, how it stands, what it costs, and (name, sentences) below."""

    heading: str
    title: str
    severity: str
    kind: str
    where: str
    cost: str
    facts: Sequence[tuple[str, Sequence[str]]]


@dataclass(frozen=True)
class FindingsSection:
    """The findings of a study; `sentence` stands in the first lines of the page, empty where nothing trains."""

    sentence: str
    kind: str
    shown: Sequence[Shown]
    more: int


def findings_section(found: Sequence[FindingEntry]) -> FindingsSection | None:
    """The section; None where the study has nothing that could be held back."""
    if not found:
        return None
    named = [one for one in found if one.cause != "none"]
    listed = named or found
    shown = [_shown(one) for one in listed[:MOST_SHOWN]]
    return FindingsSection(_sentence(found, named), KINDS[found[0].severity], shown, len(listed) - len(shown))


def _sentence(found: Sequence[FindingEntry], named: Sequence[FindingEntry]) -> str:
    first = found[0]
    if not named:
        unknown = [one for one in found if one.severity == "not_known"]
        if all(one.where.startswith(PROBES_OF) for one in found):
            return ""
        return f"{(unknown or found)[0].title}."
    others = f" {len(named) - 1} more below." if len(named) > 1 else ""
    if first.severity not in FIRM:
        return f"Suspected, not yet known: {_lower(first.title)}.{others}"
    return f"{WORDS_OF_CAUSE[first.cause]}: {_lower(first.title)}.{others}"


def _lower(title: str) -> str:
    """A title within a sentence; what begins with a name or an abbreviation stays as it is."""
    head = title.partition(" ")[0]
    return title[:1].lower() + title[1:] if head.isalpha() and head.istitle() else title


def _shown(one: FindingEntry) -> Shown:
    facts = [
        ("Evidence", one.evidence),
        ("Counter-evidence" if one.cause != "none" else "Not measured", one.counter_evidence),
        ("Without it", [one.without_it]),
        ("Next", [one.action, one.next_step]),
        ("What that costs", [one.remedy_cost]),
    ]
    kept = [(name, [words for words in said if words]) for name, said in facts]
    return Shown(
        heading=WORDS_OF_CAUSE[one.cause],
        title=one.title,
        severity=WORDS_OF_SEVERITY[one.severity],
        kind=KINDS[one.severity],
        where=f"{one.workload} ({one.where})" if one.workload != one.where else one.where,
        cost=_cost_words(one.cost),
        facts=[(name, said) for name, said in kept if said],
    )


def _cost_words(cost: Cost | None) -> str:
    if cost is None:
        return ""
    ends = share_span(cost.low, cost.high)
    return f"{share_words(cost.value)} of the time{f' ({ends})' if ends else ', no interval'}"


def main_cost(found: Sequence[FindingEntry]) -> str:
    """What the first finding costs, with interval, method and n; nothing where its cost is not known."""
    cost = found[0].cost if found else None
    if cost is None:
        return ""
    interval = f", {cost.method}" if cost.low is not None else ""
    return f"{_cost_words(cost)}{interval}, n = {cost.n}"
