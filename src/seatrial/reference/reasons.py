"""What a reference rests on, or why there is none, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from seatrial.errors import nearest_name
from seatrial.reference.interpolation import REACH, CountMedian, ErrorBand
from seatrial.reference.names import canonical_submitter
from seatrial.reference.published import RESULTS_IN_ROUND, PublishedResult
from seatrial.reference.selection import of_benchmark


@dataclass(frozen=True)
class Question:
    """What a reference is asked for."""

    benchmark: str
    round: str
    division: str
    family: str | None
    accelerators: int
    among_others: bool
    """Whether one submitter is left out."""
    partial: bool
    """Whether the table holds only a part of the round."""

    @property
    def hardware(self) -> str:
        return f"{self.accelerators} x {self.family}"


def no_equivalent(table: pd.DataFrame, asked: Question) -> str | None:
    """Why there can be no equivalent result at all; None where there are merely too few."""
    if asked.family is None:
        return "this hardware has no family among the published results"
    if asked.accelerators < 1:
        return "a machine without accelerators has no equivalent"
    rows = of_benchmark(table[table["division"] == asked.division], asked.benchmark)
    same = rows[rows["round"] == asked.round]
    if same.empty:
        rounds = sorted(set(rows["round"]))
        elsewhere = f"it has in {', '.join(rounds)}" if rounds else "nor in any other"
        division = "" if asked.division == "closed" else f" ({asked.division} division)"
        return f"{asked.benchmark} has no results in round {asked.round}{division}; {elsewhere}"
    families = sorted(set(table["accelerator_family"]))
    if asked.family not in families:
        near = nearest_name(asked.family, families)
        hint = f" (did you mean {near!r}?)" if near else ""
        return f"no published result is of family {asked.family!r}{hint}"
    if asked.family not in set(same["accelerator_family"]):
        return f"no result of family {asked.family} on {asked.benchmark} in round {asked.round}"
    return None


def too_few(asked: Question, found: CountMedian | None, results: int, submitters: int) -> str:
    """'2 results by 2 submitters at exactly 32 x B200; 3 by 3 are needed'."""
    other = "other " if asked.among_others else ""
    if found is not None:
        words = behind(found.n, found.submitters, other)
    else:
        words = "no results by other submitters" if other else "no results"
    return f"{words} at exactly {asked.hardware}; {results} by {submitters} are needed"


def no_bracket(asked: Question, medians: Sequence[CountMedian]) -> str:
    """Why the medians around a count cannot be interpolated."""
    missing = []
    below = [m.accelerators for m in medians if m.accelerators < asked.accelerators]
    above = [m.accelerators for m in medians if m.accelerators > asked.accelerators]
    for side, counts in (("below", below[-1:]), ("above", above[:1])):
        if not counts:
            missing.append(f"none {side}")
        elif not 1 / REACH <= counts[0] / asked.accelerators <= REACH:
            missing.append(f"the nearest {side} is {counts[0]}")
    return f"no interpolation without a count on both sides within a factor of {REACH:.0f}: {', '.join(missing)}"


def between(asked: Question, below: CountMedian, above: CountMedian) -> str:
    """Between which medians, or single results, an interpolated reference lies."""
    ends = [f"{m.minutes:.4g} min at {m.accelerators} ({rests_on(m)})" for m in (below, above)]
    return f"interpolated at {asked.hardware} between {' and '.join(ends)}"


def accuracy(band: ErrorBand) -> str:
    """How far off an interpolated reference may be, and how that is known."""
    medians = f"{band.predictions} left-out median{'' if band.predictions == 1 else 's'} of {band.pool}"
    if band.single_results:
        medians += f" ({band.single_results} of them single results)"
    if band.coverage is None:
        return f"off by a factor of {band.factor:.2f} or more: only {medians} could be predicted"
    factor = f"{band.factor:.2f} either way{', the least that is assumed' if band.is_floor else ''}"
    share = 100 * band.within // band.predictions
    return (
        f"{band.within} of {medians} were predicted within a factor of {factor} ({share} %; "
        "they share neighbours: what was seen, not a confidence)"
    )


def rests_on(found: CountMedian) -> str:
    """'median of 3 results by 2 submitters', or of what else it is."""
    if found.n == 1:
        return f"single result by {found.results[0].submitter}"
    if found.submitters == 1:
        return f"median of {found.n} results, all by {found.results[0].submitter}"
    return f"median of {behind(found.n, found.submitters)}"


def wholeness(asked: Question) -> str:
    """What the table may not have of the round."""
    if asked.partial:
        return part_of(asked.round)
    if asked.round not in RESULTS_IN_ROUND:
        return f"round {asked.round} is only as whole as the table that was added"
    return ""


def part_of(round_: str) -> str:
    """That the table does not have all of a round."""
    return f"the table holds only a part of round {round_}, not a random one"


def listed(results: Sequence[PublishedResult]) -> str:
    """Results in a few words each."""
    return ", ".join(
        f"{r.submitter} with {r.system} ({r.accelerators} x {r.accelerator_family}) {r.minutes:.4g} min"
        for r in results
    )


def same_runs(results: Sequence[PublishedResult]) -> str:
    """A remark on results of one submitter that are equal to the last digit: perhaps the same runs listed twice."""
    seen: dict[tuple[str, float], int] = {}
    for r in results:
        key = (canonical_submitter(r.submitter), r.minutes)
        seen[key] = seen.get(key, 0) + 1
    repeated = [f"{count} of {name} are equal to the last digit" for (name, _), count in seen.items() if count > 1]
    return ", ".join(repeated)


def behind(n: int, submitters: int, other: str = "") -> str:
    """'3 results by 2 submitters'."""
    plural = "" if submitters == 1 else "s"
    return f"{n} result{'' if n == 1 else 's'} by {submitters} {other}submitter{plural}"
