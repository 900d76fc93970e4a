"""The results that a survey is about: published scores of the closed division, twins once, each with a number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from seatrial.reference.citation import cite
from seatrial.reference.names import PUBLISHED_ON, canonical_benchmark, canonical_submitter
from seatrial.reference.published import PublishedResult, as_results, is_partial
from seatrial.reference.selection import twins_once
from seatrial.reference.table_file import SCORES

COLUMNS = (
    "number",
    "round",
    "published_on",
    "retrieved",
    "partial",
    "division",
    "submitter",
    "system",
    "availability",
    "benchmark",
    "accelerator_family",
    "accelerators",
    "minutes",
    "chip_minutes",
    "runs",
    "confidence",
    "source",
    "citation",
)
Row = dict[str, Any]


class Like(NamedTuple):
    """What results must share to be compared with one another."""

    round: str
    benchmark: str
    family: str
    accelerators: int


@dataclass(frozen=True)
class Surveyed:
    """One published result under the names that all rounds share; `number` is that in tables/survey_results.csv."""

    number: int
    published: PublishedResult
    benchmark: str
    submitter: str
    """For comparison; what is shown is `published.submitter`."""
    partial: bool
    """Whether the table holds only a part of the round, and not a random one."""

    @property
    def round(self) -> str:
        return self.published.round

    @property
    def minutes(self) -> float:
        return self.published.minutes

    @property
    def chip_minutes(self) -> float | None:
        """Accelerators x minutes; None for a machine without accelerators."""
        return self.published.accelerators * self.minutes or None

    @property
    def like(self) -> Like:
        of = self.published
        return Like(of.round, self.benchmark, of.accelerator_family, of.accelerators)


def round_order(round_: str) -> tuple[int, ...]:
    """v5.1 -> (5, 1): rounds in the order in which they were held."""
    return tuple(int(part) for part in round_.removeprefix("v").split("."))


def survey_results(table: pd.DataFrame, rounds: Iterable[str]) -> list[Surveyed]:
    """The surveyed results of `rounds` in `table`, numbered from 1, by round, benchmark and time.

    What may be part of a reference (`reference.selection.comparable`: no rounded claim, nothing unverified, twins
    once), and beside it machines without accelerators.
    """
    chosen = table[table["round"].isin(list(rounds)) & (table["division"] == "closed")]
    results = twins_once(r for r in as_results(chosen) if r.confidence in SCORES)
    ordered = sorted(results, key=lambda r: (round_order(r.round), canonical_benchmark(r.benchmark)))
    partial = {round_: is_partial(table, round_) for round_ in {r.round for r in ordered}}
    return [
        Surveyed(
            number=number,
            published=result,
            benchmark=canonical_benchmark(result.benchmark),
            submitter=canonical_submitter(result.submitter),
            partial=partial[result.round],
        )
        for number, result in enumerate(ordered, start=1)
    ]


def result_rows(results: Sequence[Surveyed]) -> list[Row]:
    """tables/survey_results.csv: every result with its citation."""
    return [
        {
            "number": s.number,
            "round": s.round,
            "published_on": PUBLISHED_ON.get(s.round),
            "retrieved": s.published.retrieved,
            "partial": s.partial,
            "division": s.published.division,
            "submitter": s.published.submitter,
            "system": s.published.system,
            "availability": s.published.availability,
            "benchmark": s.benchmark,
            "accelerator_family": s.published.accelerator_family,
            "accelerators": s.published.accelerators,
            "minutes": s.minutes,
            "chip_minutes": s.chip_minutes,
            "runs": s.published.n_runs,
            "confidence": s.published.confidence,
            "source": s.published.source,
            "citation": cite(s.published),
        }
        for s in results
    ]


def by_like(results: Iterable[Surveyed]) -> dict[Like, list[Surveyed]]:
    """The results in groups of equals, fastest first, in the order in which they came."""
    groups: dict[Like, list[Surveyed]] = {}
    for result in results:
        groups.setdefault(result.like, []).append(result)
    return {like: sorted(group, key=lambda s: (s.minutes, s.number)) for like, group in groups.items()}


def submitters(results: Iterable[Surveyed]) -> int:
    """How many different submitters are behind the results."""
    return len({s.submitter for s in results})


def numbers(results: Iterable[Surveyed]) -> str:
    """The numbers of the results behind a figure: '12 15 18'."""
    return " ".join(str(s.number) for s in results)
