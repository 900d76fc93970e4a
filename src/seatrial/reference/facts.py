"""A reference and a scaling fit as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from seatrial.reference.citation import cite, notice
from seatrial.reference.equivalent import Reference
from seatrial.reference.names import PUBLISHED_ON
from seatrial.reference.published import PublishedResult
from seatrial.reference.reasons import rests_on
from seatrial.reference.scaling import Scaling
from seatrial.reference.table_file import UNVERIFIED


def reference_facts(reference: Reference, unverified: Sequence[PublishedResult] = ()) -> dict[str, Any]:
    """The reference: every figure in full precision, every result with its citation.

    `unverified`: results of the same hardware and benchmark that are no published ones, kept apart.
    """
    return {
        "benchmark": reference.benchmark,
        "round": reference.round,
        "published_on": day_of(reference.round),
        "division": reference.division,
        "family": reference.family,
        "accelerators": reference.accelerators,
        "basis": reference.basis,
        "minutes": reference.minutes,
        "n": reference.n,
        "submitters": reference.submitters,
        "quartiles": reference.quartiles,
        "band": _band_facts(reference),
        "neighbours": [
            {
                "accelerators": m.accelerators,
                "minutes": m.minutes,
                "rests_on": rests_on(m),
                "n": m.n,
                "submitters": m.submitters,
                "quartiles": m.quartiles if m.n > 1 else None,
            }
            for m in reference.neighbours
        ],
        "partial": reference.partial,
        "note": reference.note,
        "results": [_result_facts(r) for r in reference.results],
        "nearest": [_result_facts(r) for r in reference.nearest],
        "of_other_families_not_comparable": [_result_facts(r) for r in reference.of_other_families],
        "unverified_not_part_of_the_reference": [_result_facts(r) for r in unverified],
        "notice": notice(own_results=bool(unverified)),
    }


def _band_facts(reference: Reference) -> dict[str, Any] | None:
    """The error band: what was seen, not a confidence."""
    if reference.band is None or reference.interval is None:
        return None
    band = reference.band
    low, high = reference.interval
    return {
        "factor": band.factor,
        "low_minutes": low,
        "high_minutes": high,
        "left_out_medians": band.predictions,
        "predicted_within": band.within,
        "single_results_among_them": band.single_results,
        "of": band.pool,
        "is_least_assumed": band.is_floor,
        "is_known": band.coverage is not None,
    }


def scaling_facts(scaling: Scaling) -> dict[str, Any]:
    """The fits, as `reference_facts`."""
    return {
        "benchmark": scaling.benchmark,
        "round": scaling.round,
        "published_on": day_of(scaling.round),
        "division": scaling.division,
        "partial": scaling.partial,
        "fits": [
            {
                "family": fit.family,
                "exponent": fit.exponent,
                "intercept": fit.intercept,
                "r_squared": fit.r_squared,
                "worst_factor": fit.worst_factor,
                "n": fit.n,
                "submitters": fit.submitters,
                "counts": fit.counts,
                "points": [
                    {
                        **_result_facts(p.result),
                        "fitted_minutes": p.fitted_minutes,
                        "residual_factor": p.residual_factor,
                    }
                    for p in fit.points
                ],
            }
            for fit in scaling.fits
        ],
        "unfitted": [
            {"family": u.family, "why": u.why, "counts": u.counts, "results": [_result_facts(r) for r in u.results]}
            for u in scaling.unfitted
        ],
        "notice": notice(own_results=False),
    }


def _result_facts(result: PublishedResult) -> dict[str, Any]:
    facts = dataclasses.asdict(result)
    retrieved = None if result.retrieved is None else result.retrieved.isoformat()
    published = None if result.confidence == UNVERIFIED else day_of(result.round)
    return {**facts, "retrieved": retrieved, "published_on": published, "citation": cite(result)}


def day_of(round_: str) -> str | None:
    """The day on which a round was published, YYYY-MM-DD; None where it is not known."""
    day = PUBLISHED_ON.get(round_)
    return None if day is None else day.isoformat()
