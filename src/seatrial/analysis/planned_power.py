"""Before anything runs: what difference the declared repeats can settle for a criterion, and how many it needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial.analysis.comparison import incomparable_beforehand
from seatrial.analysis.expected_noise import Expected, expected_noise
from seatrial.analysis.gaps import asks_for_some_ranks
from seatrial.analysis.inputs import is_training
from seatrial.analysis.power import detectable, ratio_detectable, ratio_repeats_for, repeats_for
from seatrial.analysis.selection import case_facts, matches, may_match, produces
from seatrial.analysis.standing import estimate_of_reference
from seatrial.case import Case
from seatrial.config.criterion import RATIO, Criterion
from seatrial.config.ingested import MlperfLogs
from seatrial.config.probe import Collective, Gemm, Memory
from seatrial.config.study import Study
from seatrial.reference.equivalent import Reference, find_reference
from seatrial.reference.published import load_tables

OF_EVERY_RANK = frozenset({"train.rank_time", "checkpoint.rank_bandwidth"})
"""Metrics that each rank has for itself, besides those of products and of memory."""


@dataclass(frozen=True)
class Power:
    """What is known beforehand of one criterion; `settles` is a fraction of the bound, None where not known."""

    criterion: Criterion
    cases: int
    groups: int
    """Cases, each with its sizes or ranks as far as the plan knows them: all of them must pass."""
    repeats: int
    """The least of the cases that it selects."""
    noise: Expected | None
    settles: float | None
    needed: int | None
    """The repeats that settle `Noise.difference`; None where not known or more than can be said."""
    note: str | None
    """What stands in the way, in words."""


def planned_power(study: Study, cases: Sequence[Case]) -> list[Power]:
    """One entry for each criterion of the study, in its order; of several cases the noisiest counts.

    All of m groups must pass, so each needs the m-th root of the power that the study asks for: exact where they
    are independent, more than enough where what slows one slows the others.

    Raises UnreadableFile where an earlier study is named that is not there.
    """
    return [_power(study, criterion, cases) for criterion in study.criteria]


def _power(study: Study, criterion: Criterion, cases: Sequence[Case]) -> Power:
    chosen = [case for case in cases if _selects(criterion, case)]
    if not chosen:
        note = "rests on published results alone: no repeats of its own" if criterion.metric == RATIO else None
        return Power(criterion, 0, 0, 0, None, None, None, note or "selects nothing that is planned")
    groups = sum(planned_groups(criterion, case) for case in chosen)
    power = study.noise.power ** (1 / groups)
    judged = [_of_case(study, criterion, case, power) for case in chosen]
    worst = max(judged, key=lambda p: (p.settles is None, p.settles or 0.0))
    return Power(
        criterion,
        len(chosen),
        groups,
        min(p.repeats for p in judged),
        worst.noise,
        worst.settles,
        worst.needed,
        worst.note,
    )


def planned_groups(criterion: Criterion, case: Case) -> int:
    """How many groups a criterion is judged on in a case, as far as the plan tells: its sizes, or its ranks."""
    workload = case.workload
    if criterion.is_of_published:
        return 1
    if isinstance(workload, Collective) and workload.sizes is not None:
        return 1 if "size_bytes" in criterion.where else len(workload.real_sizes(case.target.world_size))
    of_ranks = isinstance(workload, Gemm | Memory) or criterion.metric in OF_EVERY_RANK
    if of_ranks and not asks_for_some_ranks(criterion.metric, criterion.where):
        return case.target.world_size
    return 1


def _selects(criterion: Criterion, case: Case) -> bool:
    facts = case_facts(case)
    if criterion.is_of_published:
        family = case.target.accelerator.family if case.target.accelerator else None
        known = {k: v for k, v in {**facts, "accelerator_family": family}.items() if v is not None}
        return is_training(case) and matches(criterion.where, known)
    return produces(case, criterion.metric) and may_match(criterion.where, facts, None)


def _of_case(study: Study, criterion: Criterion, case: Case, power: float) -> Power:
    """The power of one group of a case, which is to be settled in a share of `power` of studies."""
    round_ = case.workload.round if isinstance(case.workload, MlperfLogs) else study.references.round
    noise = expected_noise(criterion, case, study.noise, round_)
    n, confidence = case.repeats, criterion.confidence
    note = None
    if noise is None:
        note = "noise not known"
    elif n < 2:
        note = "one repeat says nothing about the next run"
    difference = math.log1p(study.noise.difference.value)
    if criterion.is_of_published:
        return _of_ratio(study, criterion, case, round_, noise, note, power)
    if noise is None:
        return Power(criterion, 1, 1, n, None, None, None, note)
    far = detectable(n, noise.value, confidence, power)
    needed = repeats_for(difference, noise.value, confidence, power)
    return Power(criterion, 1, 1, n, noise, None if far is None else math.expm1(far), needed, note)


def _of_ratio(
    study: Study,
    criterion: Criterion,
    case: Case,
    round_: str,
    noise: Expected | None,
    note: str | None,
    power: float,
) -> Power:
    """A ratio to a published median: the reference's own uncertainty stays, however often one measures."""
    n = case.repeats
    why = incomparable_beforehand(case)
    reference = None if why else _reference(study, case, round_)
    if reference is not None and (reference.basis == "undefined" or reference.minutes is None):
        why = reference.note or "no equivalent published results"
    if why is not None or reference is None or reference.minutes is None:
        return Power(
            criterion, 1, 1, n, noise, None, None, f"no reference: {(why or '').removeprefix('undefined: ')}"
        )
    if noise is None:
        return Power(criterion, 1, 1, n, None, None, None, note)
    against = estimate_of_reference(reference, reference.minutes)
    if against.error is None:
        return Power(criterion, 1, 1, n, noise, None, None, "the reference's own spread is not known")
    other = (against.error, against.degrees_of_freedom)
    confidence = criterion.confidence
    far = ratio_detectable(n, noise.value, confidence, power, *other) if n > 1 else None
    needed = ratio_repeats_for(math.log1p(study.noise.difference.value), noise.value, confidence, power, *other)
    if needed is None and note is None:
        note = f"the reference itself is known to {100 * against.error:.2g} % only"
    return Power(criterion, 1, 1, n, noise, None if far is None else math.expm1(far), needed, note)


def _reference(study: Study, case: Case, round_: str) -> Reference:
    benchmark = getattr(case.workload, "benchmark", None)
    family = case.target.accelerator.family if case.target.accelerator else None
    table = load_tables([Path(name).expanduser() for name in study.references.tables])
    return find_reference(str(benchmark), round_, family, case.target.accelerators, table=table)
