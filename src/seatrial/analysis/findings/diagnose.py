"""From what was observed to causes: all are looked for, and those that are found are ranked by what they cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from seatrial.analysis.findings import (
    compute,
    data_loading,
    failed_node,
    framework,
    held_device,
    interconnect,
    noise,
    storage,
    straggler,
)
from seatrial.analysis.findings.look import Look, percent, place_of, share_words
from seatrial.analysis.findings.observed import Finding, Observed
from seatrial.config.findings import FindingRules

LOOKS: tuple[Callable[[Observed, FindingRules], Look], ...] = (
    failed_node.look,
    straggler.look,
    held_device.look,
    interconnect.look,
    storage.look,
    data_loading.look,
    compute.look,
    framework.look,
    noise.look,
)
"""How each cause is looked for; where two cost the same, the earlier comes first."""
FIRM = ("major", "minor")


def diagnose(observed: Observed, rules: FindingRules) -> list[Finding]:
    """What holds the workload back, what costs most first; never empty.

    Findings come before suspicions (inconclusive). The first is major where less than `productive_low` of the time
    is productive. Where there is neither, one entry of cause `none` says what was looked at: severity `none` where
    computing was split off and little is lost (`_little_lost`), else `not_known`; so too where the workload is
    slower than its reference beyond doubt and nothing of what was measured says why.
    """
    looks = [look(observed, rules) for look in LOOKS]
    found = [finding for look in looks for finding in look.findings]
    if not found:
        return [_none(observed, rules, looks)]
    first, *others = sorted(found, key=lambda finding: rank(observed, finding))
    wasted = observed.productive is not None and observed.productive.under(rules.productive_low.value)
    if wasted and first.severity == "minor":
        first = replace(first, severity="major")
    return [first, *others]


def rank(observed: Observed, finding: Finding) -> tuple[bool, bool, float]:
    """Sorts what is found before what is suspected before `none`, and what costs most first.

    A dead node in a study of which nothing completed costs everything.
    """
    everything = finding.cause == "failed_node" and not observed.runs
    cost = finding.cost.value if finding.cost is not None else float(everything)
    return finding.cause == "none", finding.severity not in FIRM, -cost


def _little_lost(observed: Observed, rules: FindingRules) -> bool:
    """Whether computing was split off, and is beyond doubt the time that counts as healthy or nearly all of it."""
    productive = observed.productive or observed.shares.get("compute")
    if productive is None or "compute" not in observed.shares:
        return False
    lost = [share.value for part, share in observed.shares.items() if part != "compute"]
    bound = rules.least_share.value
    return productive.over(rules.productive_high.value) or all(
        share <= bound for share in (*lost, _untold(observed))
    )


def _untold(observed: Observed) -> float:
    """The share of the time that is in no part that was split off."""
    return max(0.0, 1 - sum(share.value for share in observed.shares.values()))


def _none(observed: Observed, rules: FindingRules, looks: list[Look]) -> Finding:
    seen = tuple(dict.fromkeys(words for look in looks for words in look.seen))
    unknown = tuple(dict.fromkeys(words for look in looks for words in look.unknown))
    slower = bool(observed.slower_than_reference)
    known = _little_lost(observed, rules) and not slower
    split = () if observed.productive is None else (f"productive fraction {share_words(observed.productive)}",)
    return Finding(
        cause="none",
        severity="none" if known else "not_known",
        title=_title(observed, known, slower),
        where=observed.where,
        evidence=(*split, *seen),
        action="Nothing to do" if known else "Measure what is missing",
        counter_evidence=unknown,
        next_step="none"
        if known and not unknown
        else f"what would tell more: {'; '.join(unknown) or 'a reference'}",
        remedy_cost="nothing" if known else "the time of the measurements that are missing",
        place=place_of(observed),
    )


def _title(observed: Observed, known: bool, slower: bool) -> str:
    if known:
        return "None found: nothing that was measured holds the workload back"
    if slower and observed.over_reference is not None:
        ratio = percent(observed.over_reference.value - 1)
        return f"Not yet known: it is {ratio} slower than its reference, and nothing that was measured says why"
    if "compute" in observed.shares:
        lost = percent(1 - observed.shares["compute"].value)
        return f"Not yet known: {lost} of the time is not spent computing, and nothing that was measured says why"
    if observed.shares:
        return f"Not yet known: where {percent(_untold(observed))} of the time goes was not measured"
    return f"Not yet known: {observed.split_note or 'where the time of a step goes was not measured'}"
