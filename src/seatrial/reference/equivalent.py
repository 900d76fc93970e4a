"""The like-for-like reference: the median of published results that are the same in everything that matters.

Same benchmark, round, division, accelerator family with form factor, and exact accelerator count; at least
MINIMUM_RESULTS results by MINIMUM_SUBMITTERS different submitters. Where these are too few, the medians at the
counts next to it are interpolated (`interpolation`), and the basis says so. One system listed several times counts
once, a rounded claim never. Anything else is undefined, in words: times of one family fall 5-20 % from round to
round by software alone, and families and form factors differ by more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from seatrial.reference.interpolation import (
    CountMedian,
    ErrorBand,
    bracket,
    count_medians,
    error_band,
    interpolate,
)
from seatrial.reference.names import canonical_benchmark, canonical_submitter
from seatrial.reference.published import PublishedResult, as_results, is_partial, load_published
from seatrial.reference.reasons import (
    Question,
    accuracy,
    behind,
    between,
    listed,
    no_bracket,
    no_equivalent,
    same_runs,
    too_few,
    wholeness,
)
from seatrial.reference.selection import (
    check_benchmark,
    check_division,
    check_known,
    check_round,
    comparable,
    fastest_first,
    of_others,
    submitters_of,
    twins_once,
)

MINIMUM_RESULTS = 3
MINIMUM_SUBMITTERS = 3
NEAREST_SHOWN = 3

Basis = Literal["exact", "interpolated", "undefined"]


@dataclass(frozen=True)
class Reference:
    """What a measurement is held against, or why there is nothing to hold it against."""

    benchmark: str
    round: str
    division: str
    family: str | None
    accelerators: int
    basis: Basis
    minutes: float | None
    """exact: median of the scores of `results`; interpolated: between `neighbours`; undefined: None."""
    n: int
    """exact and undefined: results at exactly this count, whether or not they suffice; interpolated: results of
    both neighbours."""
    submitters: int
    """Different submitters among them."""
    quartiles: tuple[float, float] | None
    """exact: 25th and 75th percentile of the scores, in minutes; else None (each neighbour has its own)."""
    results: tuple[PublishedResult, ...]
    """The results behind `n`, by count and then time."""
    neighbours: tuple[CountMedian, ...]
    """interpolated: the medians below and above; else none."""
    band: ErrorBand | None
    """interpolated: how far off it may be; else None."""
    nearest: tuple[PublishedResult, ...]
    """undefined: the results nearest in count of the same benchmark, round and family; interpolated: those at
    exactly this count, too few for a median."""
    note: str
    """What the reference rests on, or why it is undefined, in words."""
    partial: bool
    """Whether the table holds only a part of the round."""
    of_other_families: tuple[PublishedResult, ...] = ()
    """undefined, with no result of the family: those nearest in count of the same benchmark and round by other
    families; not comparable."""

    def is_like(self, result: PublishedResult) -> bool:
        """Whether `result` is of the same benchmark, round, division, family and count."""
        own = (self.round, self.division, self.family, self.accelerators)
        its = (result.round, result.division, result.accelerator_family, result.accelerators)
        return its == own and canonical_benchmark(result.benchmark) == canonical_benchmark(self.benchmark)

    @property
    def interval(self) -> tuple[float, float] | None:
        """interpolated: the band's ends in minutes; else None."""
        if self.band is None or self.minutes is None:
            return None
        return self.minutes / self.band.factor, self.minutes * self.band.factor


def find_reference(
    benchmark: str,
    round_: str,
    family: str | None,
    accelerators: int,
    *,
    exclude_submitter: str | None = None,
    division: str = "closed",
    table: pd.DataFrame | None = None,
) -> Reference:
    """The reference for `accelerators` of `family` on `benchmark`, from `table` (None: the shipped results).

    Further results files come with `table=load_tables(paths)`. `exclude_submitter` leaves out that submitter's
    results and those it took part in, so that a published system is compared with the others. Raises ConfigError
    for a division, round or benchmark that the table does not have.
    """
    table = load_published() if table is None else table
    check_division(division)
    check_round(round_, table)
    check_benchmark(benchmark, table)
    rows = table[table["division"] == division]
    if exclude_submitter is not None:
        rows = of_others(rows, exclude_submitter)
    of_round = comparable(as_results(rows[rows["round"] == round_]))
    same = [r for r in of_round if canonical_benchmark(r.benchmark) == canonical_benchmark(benchmark)]
    like = [r for r in same if r.accelerator_family == family]
    medians = count_medians(like)
    at_count = next((m for m in medians if m.accelerators == accelerators), None)
    among_others = exclude_submitter is not None
    asked = Question(benchmark, round_, division, family, accelerators, among_others, is_partial(table, round_))
    if at_count is not None and at_count.n >= MINIMUM_RESULTS and at_count.submitters >= MINIMUM_SUBMITTERS:
        return _exact(asked, at_count)
    around = bracket(medians, accelerators) if accelerators > 0 else None
    if around is not None:
        pools = _pools(asked, like, same, of_round, lambda: comparable(as_results(rows)))
        return _interpolated(asked, at_count, around, error_band(pools))
    return _undefined(asked, at_count, medians, no_equivalent(table, asked), same)


def _exact(asked: Question, found: CountMedian) -> Reference:
    parts = [f"median of {behind(found.n, found.submitters)}", same_runs(found.results), wholeness(asked)]
    return Reference(
        benchmark=asked.benchmark,
        round=asked.round,
        division=asked.division,
        family=asked.family,
        accelerators=asked.accelerators,
        basis="exact",
        minutes=found.minutes,
        n=found.n,
        submitters=found.submitters,
        quartiles=found.quartiles,
        results=found.results,
        neighbours=(),
        band=None,
        nearest=(),
        note=_joined(parts),
        partial=asked.partial,
    )


def _interpolated(
    asked: Question, found: CountMedian | None, around: tuple[CountMedian, CountMedian], band: ErrorBand
) -> Reference:
    results = (*around[0].results, *around[1].results)
    at_count = found.results if found is not None else ()
    few = too_few(asked, found, MINIMUM_RESULTS, MINIMUM_SUBMITTERS)
    few = f"{few}: {listed(at_count)}" if at_count else few
    parts = [between(asked, *around), accuracy(band), few, same_runs(results), wholeness(asked)]
    return Reference(
        benchmark=asked.benchmark,
        round=asked.round,
        division=asked.division,
        family=asked.family,
        accelerators=asked.accelerators,
        basis="interpolated",
        minutes=interpolate(*around, asked.accelerators),
        n=len(results),
        submitters=submitters_of(results),
        quartiles=None,
        results=results,
        neighbours=around,
        band=band,
        nearest=at_count,
        note=_joined(parts),
        partial=asked.partial,
    )


def _undefined(
    asked: Question,
    found: CountMedian | None,
    medians: tuple[CountMedian, ...],
    why: str | None,
    same: Sequence[PublishedResult],
) -> Reference:
    """`same`: the results of all families on the benchmark in the round."""
    if why is None:
        few = too_few(asked, found, MINIMUM_RESULTS, MINIMUM_SUBMITTERS)
        why = f"{few}; {no_bracket(asked, medians)}"
    nearest = _nearest([r for m in medians for r in m.results], asked)
    others = () if medians else _nearest(same, asked)
    entries = f"nearest: {listed(nearest)}" if nearest else ""
    if others:
        entries = f"nearest of another family, not comparable: {listed(others)}"
    return Reference(
        benchmark=asked.benchmark,
        round=asked.round,
        division=asked.division,
        family=asked.family,
        accelerators=asked.accelerators,
        basis="undefined",
        minutes=None,
        n=found.n if found is not None else 0,
        submitters=found.submitters if found is not None else 0,
        quartiles=None,
        results=found.results if found is not None else (),
        neighbours=(),
        band=None,
        nearest=nearest,
        note=_joined([f"undefined: {why}", entries, wholeness(asked)]),
        partial=asked.partial,
        of_other_families=others,
    )


def _pools(
    asked: Question,
    like: Sequence[PublishedResult],
    same: Sequence[PublishedResult],
    of_round: Sequence[PublishedResult],
    everything: Callable[[], Sequence[PublishedResult]],
) -> Iterator[tuple[str, Sequence[PublishedResult]]]:
    """Whose errors tell how far off an interpolation is, from the most alike to all that is known.

    Only errors are taken from other families and rounds, never times.
    """
    yield f"{asked.benchmark} on {asked.family} in {asked.round}", like
    yield f"{asked.benchmark} in {asked.round}", same
    yield f"all benchmarks in {asked.round}", of_round
    yield "all benchmarks and rounds", everything()


def _nearest(results: Sequence[PublishedResult], asked: Question) -> tuple[PublishedResult, ...]:
    """The results nearest in count, on a logarithmic scale; at equal distance the same chip comes first."""
    if asked.accelerators < 1:
        return ()
    chip = (asked.family or "").partition("-")[0]

    def far(result: PublishedResult) -> tuple[float, bool]:
        distance = abs(math.log(result.accelerators / asked.accelerators))
        return distance, result.accelerator_family.partition("-")[0] != chip

    return tuple(sorted(fastest_first(results), key=far)[:NEAREST_SHOWN])


def _joined(parts: Sequence[str]) -> str:
    return "; ".join(part for part in parts if part)


def subject_results(
    round_: str,
    submitter: str,
    system: str,
    benchmarks: list[str] | None = None,
    table: pd.DataFrame | None = None,
) -> list[PublishedResult]:
    """The closed-division results of a published system, by its description or its id; twins once.

    Sorted by benchmark and count. Raises ConfigError, with what is allowed and the nearest spelling, for a round,
    submitter, system or benchmark that is not there.
    """
    table = load_published() if table is None else table
    key = "references.subjects"
    check_known(f"{key}.round", round_, table["round"])
    rows = table[(table["round"] == round_) & (table["division"] == "closed")]
    names = rows["submitter"].map(canonical_submitter)
    check_known(f"{key}.submitter", submitter, [*rows["submitter"], *names])
    rows = rows[names == canonical_submitter(submitter)]
    check_known(f"{key}.system", system, [*rows["system"], *rows["system_id"].dropna()], shown=rows["system"])
    rows = rows[(rows["system"] == system) | (rows["system_id"] == system)]
    for wanted in benchmarks or ():
        known = rows["benchmark"].map(canonical_benchmark)
        if canonical_benchmark(wanted) not in set(known):
            check_known(f"{key}.benchmarks", wanted, rows["benchmark"])
    if benchmarks is not None:
        wanted_names = {canonical_benchmark(b) for b in benchmarks}
        rows = rows[rows["benchmark"].map(canonical_benchmark).isin(wanted_names)]
    return sorted(
        twins_once(as_results(rows)), key=lambda r: (r.benchmark, r.accelerators, r.system_id or "", r.source)
    )
