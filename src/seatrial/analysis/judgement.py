"""How one criterion is judged. A bound is met only where the one-sided confidence bound of the median meets it.

pass          the bound on the bad side still satisfies the criterion
fail          the bound on the good side already violates it
inconclusive  neither; says how many repeats would settle it, where that can be known. Also a single repeat with too
              few samples to show how much they depend on each other; says how many samples it needs
incomplete    something selected was not measured: missing, failed, unsupported, aborted, not a number, too few
              repeats, no ceiling where a fraction of it is asked for, or nothing selected at all
no_reference  a ratio to a reference that does not exist

A criterion is judged on every case and set of labels that it selects, and its verdict is the first of
fail, incomplete, no_reference, inconclusive, pass that any of them has: what was measured and fails stays a
fail, whatever else is missing. Else a repeat that crashes would hide the failure of the others.
All of many must pass, so that chance passes the whole no sooner than one of them. But the more are judged, the
sooner one fails by chance: a fail among m therefore needs a bound with 1 / m of the error (Bonferroni), so that a
criterion fails by chance as seldom as its confidence says, however much it selects.
A run that did not converge stands at infinity in what counts up to its quality (`judge_reached`): that can fail an
`at_most`, and as a failed repeat it never lets it pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from seatrial.analysis.bounds import (
    NONE_FAILED,
    Failed,
    bound_of_repeats,
    bound_of_samples,
    samples_needed,
    samples_to_settle,
)
from seatrial.analysis.power import ratio_repeats_for, repeats_for
from seatrial.analysis.ratio import Ratio
from seatrial.analysis.statistics import (
    Bound,
    Side,
    log_spread,
    median,
    reached_lower_bound,
    reached_median,
)
from seatrial.config.criterion import Criterion
from seatrial.units import format_figure

Word = Literal["pass", "fail", "inconclusive", "incomplete", "no_reference"]
POWER = 0.8
"""`n_needed` repeats settle it in this share of studies, were what was measured the truth (Cohen's convention)."""
BoundOf = Callable[[Side, float], Bound]
"""The one-sided bound of what is judged, by side and confidence."""
PRECEDENCE: tuple[Word, ...] = ("fail", "incomplete", "no_reference", "inconclusive", "pass")


@dataclass(frozen=True)
class Judgement:
    """The verdict on one group; figures are None where there are none.

    `n_needed` counts repeats, or what `needed_of` says: the samples of a single one.
    """

    verdict: Word
    reason: str
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    n_needed: int | None = None
    needed_of: Literal["repeats", "samples"] = "repeats"


def incomplete(reason: str, n: int = 0, n_needed: int | None = None) -> Judgement:
    """What was not measured is never passed."""
    return Judgement("incomplete", reason, n=n, n_needed=n_needed)


def with_gaps(judgement: Judgement, gaps: str | None) -> Judgement:
    """A judgement on what was measured while `gaps` (words) was not: a fail stands, anything else is incomplete."""
    if gaps is None:
        return judgement
    if judgement.verdict == "fail":
        return replace(judgement, reason=f"{judgement.reason}; not measured: {gaps}")
    return incomplete(gaps, judgement.n)


def judge_values(
    criterion: Criterion,
    values: Sequence[float],
    samples: Sequence[float],
    unit: str,
    planned: int,
    failed: Failed = NONE_FAILED,
    among: int = 1,
) -> Judgement:
    """Judge the values of a group, one per measured repeat of `planned`; with a single repeat, its `samples`.

    Two values or more are judged where as many as the criterion asks for were planned; see `with_gaps`. `failed`
    repeats beside them count, each as worse than any that was measured. The group is one of `among`.
    """
    n = len(values) + failed.repeats
    if not all(math.isfinite(v) for v in (*values, *samples)):
        return incomplete("a value is not a number", n)
    if (planned if n > 1 else n) < criterion.minimum_repeats:
        return _too_few(criterion, n)
    if not values:
        return incomplete("not measured", n)
    if n == 1:
        return _judge_one_repeat(criterion, values[0], samples, unit, among)
    basis = f"n = {n} repeats"
    if failed.repeats:
        basis += f", {failed.repeats} failed and count{'s' if failed.repeats == 1 else ''} as the worst"
    middle = median([*values, *([failed.worst] * failed.repeats)])
    assert middle is not None
    if not math.isfinite(middle):
        return incomplete(f"{failed.repeats} of {n} repeats failed: no median", n)
    spread = log_spread(values)

    def bound_of(side: Side, confidence: float) -> Bound:
        return bound_of_repeats(values, failed, side, confidence)

    def needed(distance: float, confidence: float) -> int | None:
        return None if spread is None else repeats_for(distance, spread, confidence, POWER, n)

    return _decide(criterion, middle, bound_of, n, needed, f"{unit}; {basis}", among)


def _judge_one_repeat(
    criterion: Criterion, value: float, samples: Sequence[float], unit: str, among: int
) -> Judgement:
    """Judge a single repeat on its samples, where they are enough to show how much they depend on each other."""
    least, found = samples_needed(samples), len(samples)
    figure = f"median {format_figure(value)} {unit}; n = 1 repeat"
    if found < 2:
        reason = f"{figure}; no interval: one value does not show its spread; 2 repeats are the least"
        return Judgement("inconclusive", reason, value, n=1, n_needed=2)
    if found < least:
        why = f"its {found} samples are too few to show how much they depend on each other"
        reason = f"{figure}; no interval: {why}; about {least} samples, or 2 repeats, are the least"
        return Judgement("inconclusive", reason, value, n=1, n_needed=least, needed_of="samples")

    def bound_of(side: Side, confidence: float) -> Bound:
        return bound_of_samples(samples, side, confidence)

    def needed(distance: float, confidence: float) -> int | None:
        return samples_to_settle(samples, distance, confidence, POWER)

    basis = f"n = 1 repeat, interval over its {found} samples: says nothing about the next run"
    judged = _decide(criterion, value, bound_of, 1, needed, f"{unit}; {basis}", among, "samples")
    return replace(judged, needed_of="samples") if judged.n_needed else judged


def judge_reached(
    criterion: Criterion,
    values: Sequence[float],
    samples: Sequence[float],
    unit: str,
    planned: int,
    never: int,
    among: int = 1,
) -> Judgement:
    """Judge a time (or another cost) to a quality that `never` more of the `planned` repeats did not reach.

    Those stand at infinity, so that the median of all is above an `at_most` sooner than that of the rest, and what
    fails without them fails. No other verdict is reached here: a repeat that failed leaves it incomplete.
    """
    rest = judge_values(criterion, values, samples, unit, planned, among=among)
    n = len(values) + never
    if not never or criterion.at_most is None or rest.verdict == "fail":
        return rest
    if (planned if n > 1 else n) < criterion.minimum_repeats:
        return _too_few(criterion, n)
    words = f"{never} of {n} repeats never reached the quality"
    low = reached_lower_bound(values, never, _strict(criterion, among))
    if low.value is None or _within(low.value, criterion.at_most, at_most=True):
        return incomplete(words, n)
    middle = reached_median(values, never)
    found = "no median" if middle is None else f"median {format_figure(middle)} {unit}"
    bound = "never" if math.isinf(low.value) else format_figure(low.value)
    reason = f"{found}, {words}; bound {bound} ({low.method}) is not at most {format_figure(criterion.at_most)}"
    return Judgement("fail", reason, middle, low.value if math.isfinite(low.value) else None, None, n)


def judge_ratio(
    criterion: Criterion, ratio: Ratio, n: int, spread: float | None, planned: int, among: int = 1
) -> Judgement:
    """Judge a ratio to a reference of which `n` of `planned` repeats or runs were measured; it is one of `among`.

    `spread` of the measured side tells how many repeats would settle it; None: nobody can repeat it, or not known.
    """
    if (planned if n > 1 else n) < criterion.minimum_repeats:
        return _too_few(criterion, n)
    if not math.isfinite(ratio.value):
        return incomplete("the ratio is not a number", n)

    def bound_of(side: Side, confidence: float) -> Bound:
        value = ratio.bound(side, confidence)
        if value is None:
            return Bound(None, "none (the spread of one side is not known)")
        return Bound(value, f"log-t {format_figure(100 * confidence)} %, both sides' spread combined")

    def needed(distance: float, confidence: float) -> int | None:
        others = ratio.reference_error(n, spread)
        if others is None or spread is None:
            return None
        return ratio_repeats_for(distance, spread, confidence, POWER, *others, more_than=n)

    return _decide(criterion, ratio.value, bound_of, n, needed, f"of the reference; n = {n}", among)


def worst(criterion: Criterion, judgements: Sequence[tuple[str, Judgement]]) -> Judgement:
    """The judgement that decides among those of all selected groups (name, judgement), its name in the reason.

    The reason of a fail also names the first group that was not measured.
    """
    if not judgements:
        return incomplete("nothing that was planned is selected by it")
    name, decisive = min(judgements, key=lambda pair: _urgency(criterion, pair[1]))
    if len(judgements) == 1:
        reason = f"{name}: {decisive.reason}"
    else:
        alike = sum(j.verdict == decisive.verdict for _, j in judgements)
        reason = f"{name}, decisive of {len(judgements)} selected ({alike} {decisive.verdict}): {decisive.reason}"
    short = [(who, j.reason) for who, j in judgements if j.verdict == "incomplete"]
    if decisive.verdict == "fail" and short:
        who, gaps = short[0]
        reason += f"; not measured ({len(short)} of {len(judgements)} selected): {who}: {gaps}"
    return replace(decisive, reason=reason)


def _strict(criterion: Criterion, among: int) -> float:
    """The confidence that one of `among` needs to fail the whole (Bonferroni)."""
    return 1 - (1 - criterion.confidence) / among


def _decide(
    criterion: Criterion,
    middle: float,
    bound_of: BoundOf,
    n: int,
    needed: Callable[[float, float], int | None],
    basis: str,
    among: int,
    counted: str = "repeats",
) -> Judgement:
    """The verdict by the bounds; `needed` tells how many repeats (`counted`) settle a distance (of logs) at a
    confidence."""
    bound, at_most = criterion.required, criterion.at_most is not None
    low, high = bound_of("lower", criterion.confidence), bound_of("upper", criterion.confidence)
    safe, other = (high, low) if at_most else (low, high)
    wanted = f"{'at most' if at_most else 'at least'} {format_figure(bound)}"
    figures = (middle, low.value, high.value, n)
    found = f"median {format_figure(middle)} {basis}"
    if safe.value is None or other.value is None:
        reason = f"{found}; no interval: {safe.method if safe.value is None else other.method}"
        return Judgement("inconclusive", reason, *figures)
    if _within(safe.value, bound, at_most):
        reason = f"{found}; bound {format_figure(safe.value)} ({safe.method}) is {wanted}"
        return Judgement("pass", reason, *figures)
    span = f"{format_figure(low.value)} to {format_figure(high.value)} ({safe.method}) spans {wanted}"
    if not _within(other.value, bound, at_most):
        strict = other if among == 1 else bound_of("lower" if at_most else "upper", _strict(criterion, among))
        if strict.value is not None and not _within(strict.value, bound, at_most):
            reason = f"{found}; bound {format_figure(strict.value)} ({strict.method}) is not {wanted}"
            return Judgement("fail", reason, *figures)
        edge = strict.method if strict.value is None else f"{format_figure(strict.value)}, {strict.method}"
        span = f"by itself not {wanted}, but one of {among} is as bad by chance ({edge})"
    most = None
    if middle > 0 and bound > 0:
        most = needed(abs(math.log(bound / middle)), _strict(criterion, among))
    more = (
        f"about {most} {counted} would settle it in 4 of 5 studies, were this the truth"
        if most
        else f"how many {counted} would settle it is not known"
    )
    return Judgement("inconclusive", f"{found}; {span}; {more}", *figures, n_needed=most)


def _within(value: float, bound: float, at_most: bool) -> bool:
    return value <= bound if at_most else value >= bound


def _urgency(criterion: Criterion, judgement: Judgement) -> tuple[int, float]:
    """Sorts judgements: by precedence, then by how far the measured value lies on the good side."""
    margin = -math.inf
    if judgement.measured is not None:
        distance = judgement.measured - criterion.required
        margin = -distance if criterion.at_most is not None else distance
    return PRECEDENCE.index(judgement.verdict), margin


def _too_few(criterion: Criterion, n: int) -> Judgement:
    repeats = "1 repeat" if n == 1 else f"{n} repeats"
    least = criterion.minimum_repeats
    return incomplete(f"{repeats}, {least} are the least", n, least)
