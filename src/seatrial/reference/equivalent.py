"""The like-for-like reference: the median of published results that are the same in everything that matters.

Same benchmark, round, division, accelerator family with form factor, and exact accelerator count; at least
MINIMUM_RESULTS results by MINIMUM_SUBMITTERS different submitters. One system listed several times counts once, a
rounded claim never. Anything else is undefined, in words: times of one family fall 5-20 % from round to round by
software alone, and families and form factors differ by more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np
import pandas as pd

from seatrial.errors import nearest_name
from seatrial.reference.names import PARTIAL_ROUNDS, canonical_benchmark, canonical_submitter
from seatrial.reference.published import PublishedResult, as_results, load_published
from seatrial.reference.selection import (
    check_benchmark,
    check_division,
    check_known,
    check_round,
    fastest_first,
    of_benchmark,
    of_others,
    submitters_of,
    without_twins,
)

MINIMUM_RESULTS = 3
MINIMUM_SUBMITTERS = 3
NEAREST_SHOWN = 3

Basis = Literal["exact", "undefined"]


@dataclass(frozen=True)
class Reference:
    """What a measurement is held against, or why there is nothing to hold it against."""

    benchmark: str
    round: str
    family: str | None
    accelerators: int
    basis: Basis
    minutes: float | None
    """Median of the scores of `results`; None where the basis is undefined."""
    n: int
    """Results at exactly this count, whether or not they suffice."""
    submitters: int
    """Different submitters among them."""
    quartiles: tuple[float, float] | None
    """25th and 75th percentile of the scores, in minutes."""
    results: tuple[PublishedResult, ...]
    """The results behind `n`, fastest first."""
    nearest: tuple[PublishedResult, ...]
    """Where the basis is undefined: the results nearest in count of the same benchmark, round and family."""
    note: str
    """What the reference rests on, or why it is undefined, in words."""
    partial: bool
    """Whether the table holds only a part of the round."""


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

    `exclude_submitter` leaves out that submitter's results and those it took part in, so that a published system is
    compared with the others. Raises ConfigError for a division, round or benchmark that the table does not have.
    """
    table = load_published() if table is None else table
    check_division(division)
    check_round(round_, table)
    check_benchmark(benchmark, table)
    same = of_benchmark(table[(table["round"] == round_) & (table["division"] == division)], benchmark)
    like = same[(same["accelerator_family"] == family) & (same["confidence"] != "rounded")]
    if exclude_submitter is not None:
        like = of_others(like, exclude_submitter)
    like = without_twins(like)
    # a machine without accelerators has no equivalent, though the table lists some with a count of 0
    results = fastest_first(as_results(like[(like["accelerators"] == accelerators) & (like["accelerators"] > 0)]))
    submitters = submitters_of(results)
    defined = len(results) >= MINIMUM_RESULTS and submitters >= MINIMUM_SUBMITTERS
    minutes = [r.minutes for r in results]
    nearest = () if defined else _nearest(like, accelerators)
    partial = round_ in PARTIAL_ROUNDS
    if defined:
        parts = [f"median of {len(results)} results by {submitters} submitters", _same_runs(results)]
    else:
        other = "other " if exclude_submitter is not None else ""
        why = _why_undefined(table, same, benchmark, round_, family, accelerators)
        why = why or _too_few(len(results), submitters, accelerators, family, other)
        parts = [f"undefined: {why}", _in_words(nearest)]
    parts.append(f"the table holds only a part of round {round_}, not a random one" if partial else "")
    return Reference(
        benchmark=benchmark,
        round=round_,
        family=family,
        accelerators=accelerators,
        basis="exact" if defined else "undefined",
        minutes=median(minutes) if defined else None,
        n=len(results),
        submitters=submitters,
        quartiles=_quartiles(minutes) if defined else None,
        results=results,
        nearest=nearest,
        note="; ".join(p for p in parts if p),
        partial=partial,
    )


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
    rows = without_twins(rows[(rows["system"] == system) | (rows["system_id"] == system)])
    for wanted in benchmarks or ():
        known = rows["benchmark"].map(canonical_benchmark)
        if canonical_benchmark(wanted) not in set(known):
            check_known(f"{key}.benchmarks", wanted, rows["benchmark"])
    if benchmarks is not None:
        wanted_names = {canonical_benchmark(b) for b in benchmarks}
        rows = rows[rows["benchmark"].map(canonical_benchmark).isin(wanted_names)]
    return sorted(as_results(rows), key=lambda r: (r.benchmark, r.accelerators, r.system_id or "", r.source))


def _nearest(like: pd.DataFrame, accelerators: int) -> tuple[PublishedResult, ...]:
    """The results nearest in count, on a logarithmic scale."""
    if accelerators < 1:
        return ()
    found = [r for r in fastest_first(as_results(like)) if r.accelerators > 0]
    found.sort(key=lambda r: abs(math.log(r.accelerators / accelerators)))
    return tuple(found[:NEAREST_SHOWN])


def _quartiles(minutes: list[float]) -> tuple[float, float]:
    low, high = np.percentile(minutes, [25, 75])
    return float(low), float(high)


def _why_undefined(
    table: pd.DataFrame, same: pd.DataFrame, benchmark: str, round_: str, family: str | None, accelerators: int
) -> str | None:
    """Why there can be no equivalent result at all; None where there are merely too few."""
    if family is None:
        return "this hardware has no family among the published results"
    if accelerators < 1:
        return "a machine without accelerators has no equivalent"
    if same.empty:
        rounds = sorted(set(of_benchmark(table, benchmark)["round"]))
        return f"{benchmark} has no results in round {round_}; it has in {', '.join(rounds)}"
    families = sorted(set(table["accelerator_family"]))
    if family not in families:
        near = nearest_name(family, families)
        hint = f" (did you mean {near!r}?)" if near else ""
        return f"no published result is of family {family!r}{hint}"
    if family not in set(same["accelerator_family"]):
        return f"no result of family {family} on {benchmark} in round {round_}"
    return None


def _too_few(n: int, submitters: int, accelerators: int, family: str | None, other: str) -> str:
    if not n:
        found = f"no results by {other}submitters" if other else "no results"
    else:
        plural = "s" if submitters > 1 else ""
        found = f"{n} result{'s' if n > 1 else ''} by {submitters} {other}submitter{plural}"
    needed = f"{MINIMUM_RESULTS} by {MINIMUM_SUBMITTERS} are needed"
    return f"{found} at exactly {accelerators} x {family}; {needed}"


def _in_words(nearest: tuple[PublishedResult, ...]) -> str:
    if not nearest:
        return ""
    entries = [
        f"{r.submitter} with {r.system} ({r.accelerators} x {r.accelerator_family}) {r.minutes:.4g} min"
        for r in nearest
    ]
    return f"nearest: {', '.join(entries)}"


def _same_runs(results: tuple[PublishedResult, ...]) -> str:
    """A remark on results of one submitter that are equal to the last digit: perhaps the same runs listed twice."""
    seen: dict[tuple[str, float], int] = {}
    for r in results:
        key = (canonical_submitter(r.submitter), r.minutes)
        seen[key] = seen.get(key, 0) + 1
    repeated = [f"{count} of {name} are equal to the last digit" for (name, _), count in seen.items() if count > 1]
    return ", ".join(repeated)
