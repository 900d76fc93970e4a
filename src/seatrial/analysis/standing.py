"""A measurement beside its reference: ratio, interval, and whether it is slower.

The interval of a ratio is a pair of one-sided 95 % bounds; the standing rests on exactly these: slower where the
lower one exceeds the threshold, not_slower where the upper one does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seatrial.analysis.ratio import Estimate, Ratio, interpolated_estimate, ratio, reference_estimate
from seatrial.analysis.statistics import repeats_needed
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
    against = _estimate_of(reference, reference.minutes)
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


def _estimate_of(reference: Reference, minutes: float) -> Estimate:
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
    threshold, n = row["threshold"], row["measured_n"]
    low, high = result.bound("lower", CONFIDENCE), result.bound("upper", CONFIDENCE)
    if low is None or high is None:
        unknown = "one side's spread is not known, so the ratio has no interval"
        return {"standing": "inconclusive", "note": _notes(reference.note, gap, unknown)}
    if low > threshold:
        return {"standing": "slower", "note": _notes(reference.note, gap)}
    if high <= threshold and gap is None:
        return {"standing": "not_slower", "note": _notes(reference.note)}
    if _reference_decides(result, against, threshold):
        which = "interpolation's error" if reference.basis == "interpolated" else "reference's own spread"
        decides = f"the {which} decides: no number of further repeats settles it"
        return {"standing": "inconclusive", "note": _notes(reference.note, gap, decides)}
    # nobody can repeat what somebody else published
    repeatable = row.get("repeats") is not None
    needed = repeats_needed(result.value, threshold, spread, CONFIDENCE, n) if repeatable else None
    return {"standing": "inconclusive", "note": _notes(reference.note, gap), "n_needed": needed}


def _reference_decides(result: Ratio, against: Estimate, threshold: float) -> bool:
    """Whether even a measurement without any error would leave the ratio undecided at `threshold`."""
    exact = Ratio(result.value, against.error, against.degrees_of_freedom)
    low, high = exact.bound("lower", CONFIDENCE), exact.bound("upper", CONFIDENCE)
    return low is not None and high is not None and low <= threshold < high


def _notes(*parts: str | None) -> str | None:
    return "; ".join(part for part in parts if part) or None
