"""Scaling fits of every benchmark, round and family that has them: the line, and how far results lie off it."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from statistics import median

from seatrial.analysis.survey.results import Row, Surveyed
from seatrial.reference.scaling import fit_scaling

COLUMNS = (
    "round",
    "partial",
    "benchmark",
    "accelerator_family",
    "results",
    "submitters",
    "counts",
    "least_accelerators",
    "most_accelerators",
    "exponent",
    "intercept",
    "r_squared",
    "worst_factor",
    "first_exponent",
    "last_exponent",
    "result_numbers",
)


def scaling_rows(results: Sequence[Surveyed]) -> list[Row]:
    """tables/survey_scaling.csv: log minutes = intercept + exponent x log accelerators, natural logarithms.

    A row per round, benchmark and family with two different counts or more. `counts` is how many there are (a line
    through two counts always fits well), `worst_factor` how far the worst result lies off its line.
    `first_exponent` and `last_exponent` are the slopes between the medians at the smallest two counts and at the
    largest two; empty where there are only two.
    """
    families: dict[tuple[str, str, str], list[Surveyed]] = {}
    for s in results:
        if s.like.accelerators > 0:
            families.setdefault((s.round, s.benchmark, s.like.family), []).append(s)
    rows: list[Row] = []
    for (round_, benchmark, family), same in families.items():
        if len({s.like.accelerators for s in same}) < 2:
            continue
        fit = fit_scaling([s.published for s in same])
        rows.append(
            {
                "round": round_,
                "partial": same[0].partial,
                "benchmark": benchmark,
                "accelerator_family": family,
                "results": fit.n,
                "submitters": fit.submitters,
                "counts": len(fit.counts),
                "least_accelerators": fit.counts[0],
                "most_accelerators": fit.counts[-1],
                "exponent": fit.exponent,
                "intercept": fit.intercept,
                "r_squared": fit.r_squared,
                "worst_factor": fit.worst_factor,
                **_end_exponents(same, fit.counts),
                "result_numbers": " ".join(str(s.number) for s in same),
            }
        )
    return rows


def _end_exponents(same: Sequence[Surveyed], counts: Sequence[int]) -> Row:
    if len(counts) < 3:
        return {}
    minutes = {n: median(s.minutes for s in same if s.like.accelerators == n) for n in counts}
    ends = {"first_exponent": counts[:2], "last_exponent": counts[-2:]}
    return {name: log(minutes[b] / minutes[a]) / log(b / a) for name, (a, b) in ends.items()}
