"""How one criterion is judged. A bound is met only where the one-sided confidence bound of the median meets it.

pass          the bound on the bad side still satisfies the criterion
fail          the bound on the good side already violates it
inconclusive  neither; says how many repeats would settle it, where that can be known
incomplete    something selected was not measured: missing, failed, unsupported, aborted, not a number, too few
              repeats, no ceiling where a fraction of it is asked for, or nothing selected at all
no_reference  a ratio to a reference that does not exist

A criterion is judged on every case and set of labels that it selects, and its verdict is the first of
fail, incomplete, no_reference, inconclusive, pass that any of them has: what was measured and fails stays a
fail, whatever else is missing. Else a repeat that crashes would hide the failure of the others.
A run that did not converge stands at infinity in what counts up to its quality (`judge_reached`): that can fail an
`at_most`, and as a failed repeat it never lets it pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from seatrial.analysis.ratio import Ratio
from seatrial.analysis.statistics import (
    Bound,
    Side,
    log_spread,
    median,
    median_bound,
    order_bound,
    reached_lower_bound,
    reached_median,
    repeats_needed,
)
from seatrial.config.study import Criterion
from seatrial.units import format_figure

Word = Literal["pass", "fail", "inconclusive", "incomplete", "no_reference"]
SIDES: tuple[Side, Side] = ("lower", "upper")
PRECEDENCE: tuple[Word, ...] = ("fail", "incomplete", "no_reference", "inconclusive", "pass")


@dataclass(frozen=True)
class Failed:
    """Repeats that failed and count all the same: MLCommons takes one failed run of a result as its slowest."""

    repeats: int
    better: Literal["higher", "lower"]
    """Which way the metric gets better."""

    @property
    def worst(self) -> float:
        return math.inf if self.better == "lower" else -math.inf


@dataclass(frozen=True)
class Judgement:
    """The verdict on one group; figures are None where there are none."""

    verdict: Word
    reason: str
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    n_needed: int | None = None


def required(criterion: Criterion) -> float:
    """The criterion's bound."""
    bound = criterion.at_least if criterion.at_least is not None else criterion.at_most
    assert bound is not None
    return bound


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
    failed: Failed = Failed(0, "lower"),
) -> Judgement:
    """Judge the values of a group, one per measured repeat of `planned`; with a single repeat, its `samples`.

    Two values or more are judged where as many as the criterion asks for were planned; see `with_gaps`. `failed`
    repeats beside them count, each as worse than any that was measured.
    """
    n = len(values) + failed.repeats
    if not all(math.isfinite(v) for v in (*values, *samples)):
        return incomplete("a value is not a number", n)
    if (planned if n > 1 else n) < criterion.minimum_repeats:
        return _too_few(criterion, n)
    if not values:
        return incomplete("not measured", n)
    basis = f"n = {n} repeats"
    if n == 1:
        bounds = [order_bound(samples, side, criterion.confidence) for side in SIDES]
        basis = f"n = 1 repeat, interval over its {len(samples)} samples: says nothing about the next run"
    else:
        bounds = [_bound(values, failed, side, criterion.confidence) for side in SIDES]
        if failed.repeats:
            basis += f", {failed.repeats} failed and count{'s' if failed.repeats == 1 else ''} as the worst"
    middle = median([*values, *([failed.worst] * failed.repeats)])
    assert middle is not None
    if not math.isfinite(middle):
        return incomplete(f"{failed.repeats} of {n} repeats failed: no median", n)
    spread = log_spread(values)
    return _decide(criterion, middle, bounds[0], bounds[1], n, spread, f"{unit}; {basis}")


def judge_reached(
    criterion: Criterion, values: Sequence[float], samples: Sequence[float], unit: str, planned: int, never: int
) -> Judgement:
    """Judge a time (or another cost) to a quality that `never` more of the `planned` repeats did not reach.

    Those stand at infinity, so that the median of all is above an `at_most` sooner than that of the rest, and what
    fails without them fails. No other verdict is reached here: a repeat that failed leaves it incomplete.
    """
    rest = judge_values(criterion, values, samples, unit, planned)
    n = len(values) + never
    if not never or criterion.at_most is None or rest.verdict == "fail":
        return rest
    if (planned if n > 1 else n) < criterion.minimum_repeats:
        return _too_few(criterion, n)
    words = f"{never} of {n} repeats never reached the quality"
    low = reached_lower_bound(values, never, criterion.confidence)
    if low.value is None or _within(low.value, criterion.at_most, at_most=True):
        return incomplete(words, n)
    middle = reached_median(values, never)
    found = "no median" if middle is None else f"median {format_figure(middle)} {unit}"
    bound = "never" if math.isinf(low.value) else format_figure(low.value)
    reason = f"{found}, {words}; bound {bound} ({low.method}) is not at most {format_figure(criterion.at_most)}"
    return Judgement("fail", reason, middle, low.value if math.isfinite(low.value) else None, None, n)


def judge_ratio(criterion: Criterion, ratio: Ratio, n: int, spread: float | None, planned: int) -> Judgement:
    """Judge a ratio to a reference of which `n` of `planned` repeats or runs were measured."""
    if (planned if n > 1 else n) < criterion.minimum_repeats:
        return _too_few(criterion, n)
    if not math.isfinite(ratio.value):
        return incomplete("the ratio is not a number", n)
    method = f"log-t {100 * criterion.confidence:.4g} %, both sides' spread combined"
    low = Bound(ratio.bound("lower", criterion.confidence), method)
    high = Bound(ratio.bound("upper", criterion.confidence), method)
    return _decide(criterion, ratio.value, low, high, n, spread, f"of the reference; n = {n}")


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


def _bound(values: Sequence[float], failed: Failed, side: Side, confidence: float) -> Bound:
    """One-sided bound of the median over `values` and the failed repeats, which have no figure.

    A bound that depends on the figure taken for them is none.
    """
    if not failed.repeats:
        return median_bound(values, side, confidence)
    edge = max(values) if failed.better == "lower" else min(values)
    beyond = edge + math.copysign(1 + abs(edge), failed.worst)
    one, other = (median_bound([*values, *([v] * failed.repeats)], side, confidence) for v in (edge, beyond))
    return one if one.value == other.value else Bound(None, "none (it would be a failed run's)")


def _decide(
    criterion: Criterion, middle: float, low: Bound, high: Bound, n: int, spread: float | None, basis: str
) -> Judgement:
    bound = required(criterion)
    at_most = criterion.at_most is not None
    safe, other = (high, low) if at_most else (low, high)
    wanted = "at most" if at_most else "at least"
    figures = (middle, low.value, high.value, n)
    found = f"median {format_figure(middle)} {basis}"
    if safe.value is None or other.value is None:
        reason = f"{found}; no interval: {safe.method if safe.value is None else other.method}"
        return Judgement("inconclusive", reason, *figures)
    if _within(safe.value, bound, at_most):
        reason = f"{found}; bound {format_figure(safe.value)} ({safe.method}) is {wanted} {format_figure(bound)}"
        return Judgement("pass", reason, *figures)
    if not _within(other.value, bound, at_most):
        limit = f"{wanted} {format_figure(bound)}"
        reason = f"{found}; bound {format_figure(other.value)} ({other.method}) is not {limit}"
        return Judgement("fail", reason, *figures)
    needed = repeats_needed(middle, bound, spread, criterion.confidence, n)
    more = f"about {needed} repeats would settle it" if needed else "how many repeats would settle it is not known"
    span = f"{format_figure(low.value)} to {format_figure(high.value)} ({safe.method})"
    reason = f"{found}; {span} spans {wanted} {format_figure(bound)}; {more}"
    return Judgement("inconclusive", reason, *figures, n_needed=needed)


def _within(value: float, bound: float, at_most: bool) -> bool:
    return value <= bound if at_most else value >= bound


def _urgency(criterion: Criterion, judgement: Judgement) -> tuple[int, float]:
    """Sorts judgements: by precedence, then by how far the measured value lies on the good side."""
    margin = -math.inf
    if judgement.measured is not None:
        distance = judgement.measured - required(criterion)
        margin = -distance if criterion.at_most is not None else distance
    return PRECEDENCE.index(judgement.verdict), margin


def _too_few(criterion: Criterion, n: int) -> Judgement:
    repeats = "1 repeat" if n == 1 else f"{n} repeats"
    least = criterion.minimum_repeats
    return incomplete(f"{repeats}, {least} are the least", n, least)
