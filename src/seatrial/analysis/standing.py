"""A measurement beside its reference: ratio, interval, and whether it is slower.

The interval of a ratio is a pair of one-sided 95 % bounds; the standing rests on exactly these: slower where the
lower one exceeds the threshold, not_slower where the upper one does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from seatrial.analysis.judgement import POWER
from seatrial.analysis.power import MOST_REPEATS, ratio_repeats_for
from seatrial.analysis.ratio import Estimate, Ratio, interpolated_estimate, ratio, reference_estimate
from seatrial.analysis.statistics import SMALL_N
from seatrial.reference.equivalent import Reference
from seatrial.reference.names import canonical_submitter

CONFIDENCE = 0.95
INTERVAL_METHOD = {
    "exact": "log-t, both sides' spread, each bound one-sided 95 %",
    "interpolated": "log-t, own spread and the interpolation's error band, each bound one-sided 95 %",
}
Row = dict[str, Any]


def undefined(note: str) -> Row:
    """The columns of a row that nothing compares with, and why."""
    return {"basis": "undefined", "standing": "undefined", "note": note}


def judged(
    row: Mapping[str, Any],
    measured: Estimate | None,
    spread: float | None,
    reference: Reference,
    gap: str | None = None,
) -> Row:
    """Reference, ratio, interval, standing and note of one row; `gap`: what of it was not measured, in words."""
    found: Row = {"basis": reference.basis, "note": reference.note or None}
    if reference.basis == "undefined" or reference.minutes is None:
        return found | undefined(reference.note or "no equivalent published results")
    low, high = reference.quartiles or (None, None)
    least, most = reference.interval or (None, None)
    found |= {
        "reference_minutes": reference.minutes,
        "reference_n": reference.n,
        "reference_submitters": reference.submitters,
        "reference_low_quartile": low,
        "reference_high_quartile": high,
        "reference_low_minutes": least,
        "reference_high_minutes": most,
        "spread": spread,
    }
    if measured is None:
        return found | {
            "standing": "inconclusive",
            "note": _notes(reference.note, gap or "no repeat reached the quality"),
        }
    against = estimate_of_reference(reference, reference.minutes)
    result = ratio(measured, against)
    bounds = {
        "ratio": result.value,
        "ratio_low": result.bound("lower", CONFIDENCE),
        "ratio_high": result.bound("upper", CONFIDENCE),
        "interval_method": "none" if result.error is None else INTERVAL_METHOD[reference.basis],
        "ratio_error": result.error,
        "ratio_degrees_of_freedom": result.degrees_of_freedom,
    }
    return found | bounds | _standing(row, result, spread, reference, against, gap)


def estimate_of_reference(reference: Reference, minutes: float) -> Estimate:
    """The reference's minutes with what is known of their error."""
    if reference.band is not None:
        band = reference.band
        return interpolated_estimate(minutes, band.factor, band.coverage, band.predictions)
    return reference_estimate(minutes, _by_submitter(reference))


def _by_submitter(reference: Reference) -> list[list[float]]:
    """The results behind a reference by submitter, in minutes."""
    minutes: dict[str, list[float]] = {}
    for published in reference.results:
        if published.minutes is not None:
            minutes.setdefault(canonical_submitter(published.submitter), []).append(published.minutes)
    return [results for _, results in sorted(minutes.items())]


def _standing(
    row: Mapping[str, Any],
    result: Ratio,
    spread: float | None,
    reference: Reference,
    against: Estimate,
    gap: str | None,
) -> Row:
    """slower, not_slower or inconclusive at the row's threshold, with the reason where there is one.

    What is not over all repeats (`gap`), as a median over only those that converged, flatters: it can still be
    slower, never not_slower.
    """
    threshold = row["threshold"]
    low, high = result.bound("lower", CONFIDENCE), result.bound("upper", CONFIDENCE)
    if low is None or high is None:
        unknown = _without_interval(row, against, reference)
        return {"standing": "inconclusive", "note": _notes(reference.note, gap, unknown)}
    if low > threshold:
        return {"standing": "slower", "note": _notes(reference.note, gap)}
    if high <= threshold and gap is None:
        return {"standing": "not_slower", "note": _notes(reference.note)}
    if _reference_decides(result, against, threshold):
        decides = f"the {_spread_of(reference)} decides: no number of further repeats settles it"
        return {"standing": "inconclusive", "note": _notes(reference.note, gap, decides)}
    return {"standing": "inconclusive"} | _what_settles(row, result, spread, reference, gap)


def _what_settles(
    row: Mapping[str, Any],
    result: Ratio,
    spread: float | None,
    reference: Reference,
    gap: str | None,
) -> Row:
    """How many further repeats would settle an inconclusive row, and in its note what does where none would."""
    if row.get("repeats") is None:
        words = "further runs could settle it, but nobody can repeat what somebody else published"
        return {"note": _notes(reference.note, gap, words)}
    if gap is not None and result.value <= row["threshold"]:
        words = "no number of further repeats makes up for those that are missing"
        return {"note": _notes(reference.note, gap, words)}
    n = row["measured_n"]
    needed = repeats_to_settle(result, spread, n, row["threshold"])
    if needed is None:
        words = f"too near to the threshold: {MOST_REPEATS} repeats would settle it in fewer than 4 of 5 studies"
        return {"note": _notes(reference.note, gap, words)}
    more = needed - n
    further = f"about {more} further repeat{'' if more == 1 else 's'} ({needed} in all)"
    words = f"{further} would settle it in 4 of 5 studies, were this the truth"
    return {"note": _notes(reference.note, gap, words), "n_needed": needed, "further_repeats": more}


def repeats_to_settle(result: Ratio, spread: float | None, n: int, threshold: float) -> int | None:
    """The least m > n that settles in POWER of studies on which side of `threshold` a ratio lies, as for a verdict.

    `result`, of `n` repeats whose logs have standard deviation `spread`, is taken for the truth; the reference's
    error in it stays as it is however often one measures. None where a spread is not known, or where more than
    MOST_REPEATS would be needed.
    """
    others = result.reference_error(n, spread)
    if others is None or spread is None or result.value <= 0:
        return None
    distance = abs(math.log(threshold / result.value))
    return ratio_repeats_for(distance, spread, CONFIDENCE, POWER, *others, more_than=n)


def _without_interval(row: Mapping[str, Any], against: Estimate, reference: Reference) -> str:
    """Whose spread is not known, so that the ratio has no interval, and what would help."""
    unknown = "so the ratio has no interval"
    if against.error is None:
        return f"the {_spread_of(reference)} is not known, {unknown}: no number of further repeats settles it"
    if row.get("repeats") is None:
        return f"one side's spread is not known, {unknown}: its own runs are not published"
    if row["measured_n"] > 1:
        return f"the repeats are all equal and show no spread, {unknown}: with {SMALL_N} repeats it has one"
    return f"one side's spread is not known, {unknown}: of one repeat there is none, a second is the least"


def _spread_of(reference: Reference) -> str:
    return "interpolation's error" if reference.basis == "interpolated" else "reference's own spread"


def _reference_decides(result: Ratio, against: Estimate, threshold: float) -> bool:
    """Whether even a measurement without any error would leave the ratio undecided at `threshold`."""
    exact = Ratio(result.value, against.error, against.degrees_of_freedom)
    low, high = exact.bound("lower", CONFIDENCE), exact.bound("upper", CONFIDENCE)
    return low is not None and high is not None and low <= threshold < high


def _notes(*parts: str | None) -> str | None:
    return "; ".join(part for part in parts if part) or None
