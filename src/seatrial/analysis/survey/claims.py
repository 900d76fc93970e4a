"""Claims held against the published results: which of them the data bears out, and which it does not.

A claim that is looked for case by case (`spread`, `form_factor`) is borne out where at least its `share` of the
cases hold it, contradicted where none does, and else not borne out. A claim of fact (`published`, `introduced`) is
borne out or contradicted; a rule of thumb (`slower_than_median`) is borne out or not. Where there is no case,
nothing can be said. Rounds of which the table holds only a part count as proof that something exists, never as
cases: what is missing could change their figures.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

from seatrial.analysis.survey.medians import Median
from seatrial.analysis.survey.results import Like, Row, Surveyed, numbers, round_order
from seatrial.config.base import Threshold
from seatrial.config.survey import (
    Claim,
    CloudClaim,
    FormFactorClaim,
    IntroducedClaim,
    PublishedClaim,
    SlowerClaim,
    SpreadClaim,
    UnaddressedClaim,
)
from seatrial.reference.names import PUBLISHED_ON, canonical_benchmark
from seatrial.units import format_figure

Word = Literal["borne_out", "not_borne_out", "contradicted", "cannot_be_said", "not_addressed"]
COLUMNS = ("claim", "kind", "stated", "source", "verdict", "cases", "holds", "evidence", "rule", "result_numbers")
RATIO_OF_FIGURE = {"minutes": "ratio", "chip_minutes": "chip_ratio", "minutes_like_for_like": "widest_ratio"}
"""Columns of the spread table."""
ENDS_OF_FIGURE = {
    "minutes": ("fastest", "slowest"),
    "chip_minutes": ("least_chip", "most_chip"),
    "minutes_like_for_like": ("widest_fastest", "widest_slowest"),
}


@dataclass(frozen=True)
class Found:
    """What the data says of one claim. `cases` and `holds` are None where nothing is counted."""

    verdict: Word
    evidence: str
    rule: str
    cases: int | None = None
    holds: int | None = None
    result_numbers: str = ""


@dataclass(frozen=True)
class Evidence:
    """What claims are held against: the results, what the other tables make of them, the study's threshold."""

    results: Sequence[Surveyed]
    medians: Mapping[Like, Median]
    spread: Sequence[Row]
    form_factors: Sequence[Row]
    slower_than_median: Threshold
    published_on: Mapping[str, dt.date] = field(default_factory=lambda: PUBLISHED_ON)

    @property
    def partial_rounds(self) -> set[str]:
        """Rounds of which the table holds only a part."""
        return {s.round for s in self.results if s.partial}


def claim_rows(claims: Sequence[Claim], evidence: Evidence) -> list[Row]:
    """tables/survey_claims.csv: a row per claim, in the study's order."""
    rows: list[Row] = []
    for claim in claims:
        found = JUDGES[claim.kind](claim, evidence)
        rows.append(
            {
                "claim": claim.name,
                "kind": claim.kind,
                "stated": claim.stated,
                "source": claim.source,
                "verdict": found.verdict,
                "cases": found.cases,
                "holds": found.holds,
                "evidence": found.evidence,
                "rule": found.rule,
                "result_numbers": found.result_numbers or None,
            }
        )
    return rows


def _counted(holds: int, cases: int, share: Threshold) -> Word:
    if not cases:
        return "cannot_be_said"
    if not holds:
        return "contradicted"
    return "borne_out" if holds >= share.value * cases else "not_borne_out"


def _share_rule(share: Threshold) -> str:
    return (
        f"borne out in at least {100 * share.value:g} % of the cases ({share.source}), contradicted in none; "
        "rounds that the table holds in part are not counted"
    )


def _spread(claim: SpreadClaim, evidence: Evidence) -> Found:
    column = RATIO_OF_FIGURE[claim.figure]
    cases = [row for row in evidence.spread if row[column] is not None and not row["partial"]]
    holds = [row for row in cases if row[column] >= claim.at_least]
    bound = format_figure(claim.at_least)
    rule = f"a case is a benchmark in a round, and holds from {bound} times; {_share_rule(claim.share)}"
    if not cases:
        return Found("cannot_be_said", "no benchmark has two results to compare", rule, 0, 0)
    widest = max(cases, key=lambda row: row[column])
    ends = ENDS_OF_FIGURE[claim.figure]
    who = " against ".join(f"{widest[f'{end}_submitter']}, {widest[f'{end}_system']}" for end in ends)
    words = (
        f"{len(holds)} of {len(cases)} benchmarks and rounds reach {bound} times; "
        f"the middle one is {_times(median(row[column] for row in cases))}, "
        f"the widest {_times(widest[column])} ({widest['benchmark']} in {widest['round']}: {who})"
    )
    behind = " ".join(str(widest[f"{end}_result"]) for end in ends)
    return Found(_counted(len(holds), len(cases), claim.share), words, rule, len(cases), len(holds), behind)


def _form_factor(claim: FormFactorClaim, evidence: Evidence) -> Found:
    pairs = {(pair.linked, pair.card) for pair in claim.pairs}
    rows = [
        r for r in evidence.form_factors if (r["linked_family"], r["card_family"]) in pairs and not r["partial"]
    ]
    inside = [r for r in rows if claim.low <= r["ratio"] <= claim.high]
    span = f"{format_figure(claim.low)} to {format_figure(claim.high)}"
    case = "a case is a benchmark, round and count that both forms have"
    rule = f"{case}, and holds at {span} times; {_share_rule(claim.share)}"
    if not rows:
        return Found("cannot_be_said", "no benchmark, round and count has both forms", rule, 0, 0)
    above, below = (
        [r["ratio"] for r in rows if r["ratio"] > claim.high],
        [r["ratio"] for r in rows if r["ratio"] < claim.low],
    )
    single = sum(r["card_submitters"] == 1 for r in rows)
    words = (
        f"{len(inside)} of {len(rows)} comparisons lie at {span}, {len(above)} above"
        f"{f' (up to {_times(max(above))})' if above else ''}, {len(below)} below"
        f"{f' (down to {_times(min(below))})' if below else ''}; "
        f"the middle one is {_times(median(r['ratio'] for r in rows))}. In {single} of them the cards are one "
        "submitter's. The forms may differ in clocks and power limits too, so no ratio is the link's alone"
    )
    behind = sorted({int(n) for r in rows for n in r["card_result_numbers"].split()})
    verdict = _counted(len(inside), len(rows), claim.share)
    return Found(verdict, words, rule, len(rows), len(inside), " ".join(map(str, behind)))


def _published(claim: PublishedClaim, evidence: Evidence) -> Found:
    rule = f"borne out where {claim.round} was published from {_day(claim.first)} to {_day(claim.last)}"
    day = evidence.published_on.get(claim.round)
    if day is None:
        return Found("cannot_be_said", f"the day on which {claim.round} was published is not known", rule)
    then = [r for r, d in evidence.published_on.items() if claim.first <= d <= claim.last]
    instead = f"; what was published then is {', '.join(then)}" if then and claim.round not in then else ""
    words = f"{claim.round} was published on {_day(day)}{instead}"
    return Found("borne_out" if claim.first <= day <= claim.last else "contradicted", words, rule)


def _introduced(claim: IntroducedClaim, evidence: Evidence) -> Found:
    """The first round with each benchmark. A round that the table does not hold could have been the first one only
    where it lies before all that it holds."""
    rule = (
        f"borne out where {claim.round} is the first round with each of them, contradicted where it is not for one"
    )
    words, verdicts, behind = [], [], []
    for name in map(canonical_benchmark, claim.benchmarks):
        known = [s for s in evidence.results if s.benchmark == name]
        by_round = sorted({s.round for s in known}, key=round_order)
        first = by_round[0] if by_round else None
        behind += [s.number for s in known if s.round == first][:1]
        verdicts.append(_first_seen(claim.round, first, evidence))
        words.append(_seen(name, claim.round, by_round, evidence))
    worst: Word = next(
        (w for w in ("contradicted", "cannot_be_said") if w in verdicts),
        "borne_out",
    )
    holds = sum(v == "borne_out" for v in verdicts)
    return Found(worst, "; ".join(words), rule, len(verdicts), holds, " ".join(map(str, behind)))


def _first_seen(claimed: str, first: str | None, evidence: Evidence) -> Word:
    if first is None:
        return "cannot_be_said"
    surveyed = {s.round for s in evidence.results}
    if round_order(first) < round_order(claimed):
        return "contradicted"
    if first == claimed:
        earlier = [r for r in surveyed if round_order(r) < round_order(claimed)]
        return "borne_out" if earlier else "cannot_be_said"
    # first seen later: the claimed round is not there, or only a part of it
    return "contradicted" if claimed in surveyed - evidence.partial_rounds else "cannot_be_said"


def _seen(name: str, claimed: str, rounds: Sequence[str], evidence: Evidence) -> str:
    if not rounds:
        return f"{name} is in no surveyed round"
    part = " (of which the table holds a part)" if claimed in evidence.partial_rounds else ""
    absent = f", not in {claimed}{part}" if claimed not in rounds else ""
    return f"{name} is first seen in {rounds[0]} and last in {rounds[-1]}{absent}"


def _slower(claim: SlowerClaim, evidence: Evidence) -> Found:
    threshold = evidence.slower_than_median
    ratios = [
        (s.minutes / m.minutes, s) for m in evidence.medians.values() if not m.results[0].partial for s in m.results
    ]
    beyond = sorted(((r, s) for r, s in ratios if r > threshold.value), key=lambda pair: -pair[0])
    limit = f"{100 * claim.at_most.value:g} %"
    rule = (
        f"borne out where at most {limit} of the results with a like-for-like median exceed "
        f"{_times(threshold.value)} it ({claim.at_most.source}); rounds that the table holds in part do not count"
    )
    if not ratios:
        return Found("cannot_be_said", "no result has a like-for-like median", rule, 0, 0)
    share = len(beyond) / len(ratios)
    named = "; ".join(f"{_who(s)}, {s.benchmark} in {s.round}, {_times(r)}" for r, s in beyond[:3])
    words = (
        f"{len(beyond)} of {len(ratios)} results with a like-for-like median are beyond {_times(threshold.value)} "
        f"it ({100 * share:.2g} %){f', furthest: {named}' if named else ''}. "
        "Whether a diagnosis finds a cause is not in the data"
    )
    verdict: Word = "borne_out" if share <= claim.at_most.value else "not_borne_out"
    return Found(verdict, words, rule, len(ratios), len(beyond), numbers(s for _, s in beyond))


def _cloud(claim: CloudClaim, evidence: Evidence) -> Found:
    large = {canonical_benchmark(b) for b, size in claim.sizes.items() if size > claim.billion_parameters}
    of_clouds = [s for s in evidence.results if s.benchmark in large and _is_cloud(s)]
    size = f"{format_figure(claim.billion_parameters)} billion parameters"
    rule = f"contradicted where a result of a cloud trains a model of more than {size}"
    if not of_clouds:
        words = f"no surveyed result of a cloud trains a model of more than {size}"
        return Found("cannot_be_said", f"{words}; that nobody entered one proves nothing", rule, 0, 0)
    sizes = {canonical_benchmark(name): value for name, value in claim.sizes.items()}
    top = max(of_clouds, key=lambda s: (sizes[s.benchmark], s.like.accelerators))
    words = (
        f"{len(of_clouds)} results of clouds train models of more than {size}, the largest {top.benchmark} by "
        f"{_who(top)} on {top.like.accelerators} x {top.like.family} in {top.round}. "
        "Whether it pays is not in the data"
    )
    return Found("contradicted", words, rule, len(of_clouds), 0, str(top.number))


def _who(s: Surveyed) -> str:
    return f"{s.published.submitter}, {s.published.system}"


def _is_cloud(s: Surveyed) -> bool:
    return "cloud" in (s.published.availability or "").lower()


def _not_addressed(claim: UnaddressedClaim, evidence: Evidence) -> Found:
    return Found("not_addressed", claim.why, "not addressed by these data")


def _times(value: float) -> str:
    return f"{format_figure(value, 3)} times"


def _day(day: dt.date) -> str:
    return f"{day.day} {day:%B %Y}"


JUDGES: dict[str, Callable[[Any, Evidence], Found]] = {
    "spread": _spread,
    "form_factor": _form_factor,
    "published": _published,
    "introduced": _introduced,
    "slower_than_median": _slower,
    "cloud_ceiling": _cloud,
    "not_addressed": _not_addressed,
}
