"""Where a like-for-like median exists, by the rule of `seatrial.reference.equivalent`, and for how many results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from seatrial.analysis.survey.results import (
    Like,
    Row,
    Surveyed,
    by_like,
    numbers,
    round_order,
    submitters,
)
from seatrial.reference.equivalent import MINIMUM_RESULTS, MINIMUM_SUBMITTERS

COLUMNS = (
    "round",
    "partial",
    "benchmark",
    "accelerator_family",
    "accelerators",
    "median_minutes",
    "low_quartile_minutes",
    "high_quartile_minutes",
    "results",
    "submitters",
    "fastest_minutes",
    "slowest_minutes",
    "ratio",
    "result_numbers",
)
COVERAGE_COLUMNS = (
    "round",
    "partial",
    "results",
    "groups",
    "groups_of_two",
    "groups_of_three",
    "groups_with_median",
    "results_in_groups_of_three",
    "results_with_median",
)


@dataclass(frozen=True)
class Median:
    """The median of equals, fastest first; by the minimum number of results and submitters."""

    like: Like
    minutes: float
    results: tuple[Surveyed, ...]


def find_medians(results: Sequence[Surveyed]) -> dict[Like, Median]:
    """Every median that exists among the results. Machines without accelerators have none."""
    return {
        like: Median(like, median(s.minutes for s in group), tuple(group))
        for like, group in by_like(results).items()
        if like.accelerators > 0 and _suffices(group)
    }


def _suffices(group: Sequence[Surveyed]) -> bool:
    return len(group) >= MINIMUM_RESULTS and submitters(group) >= MINIMUM_SUBMITTERS


def median_rows(medians: dict[Like, Median]) -> list[Row]:
    """tables/survey_medians.csv: a row per median, with its interquartile range."""
    rows: list[Row] = []
    for like, found in medians.items():
        times = [s.minutes for s in found.results]
        low, high = np.percentile(times, [25, 75])
        rows.append(
            {
                "round": like.round,
                "partial": found.results[0].partial,
                "benchmark": like.benchmark,
                "accelerator_family": like.family,
                "accelerators": like.accelerators,
                "median_minutes": found.minutes,
                "low_quartile_minutes": float(low),
                "high_quartile_minutes": float(high),
                "results": len(times),
                "submitters": submitters(found.results),
                "fastest_minutes": times[0],
                "slowest_minutes": times[-1],
                "ratio": times[-1] / times[0],
                "result_numbers": numbers(found.results),
            }
        )
    names = ("benchmark", "accelerator_family", "accelerators")
    return sorted(rows, key=lambda r: (round_order(r["round"]), *(r[name] for name in names)))


def coverage_rows(results: Sequence[Surveyed], rounds: Sequence[str]) -> list[Row]:
    """tables/survey_coverage.csv: by round, groups of equals by their size, and how many results have a median."""
    rows: list[Row] = []
    for round_ in rounds:
        groups = list(by_like(s for s in results if s.round == round_).values())
        three = [g for g in groups if len(g) >= MINIMUM_RESULTS]
        medians = find_medians([s for group in groups for s in group]).values()
        rows.append(
            {
                "round": round_,
                "partial": any(s.partial for group in groups for s in group),
                "results": sum(map(len, groups)),
                "groups": len(groups),
                "groups_of_two": sum(len(g) >= 2 for g in groups),
                "groups_of_three": len(three),
                "groups_with_median": len(medians),
                "results_in_groups_of_three": sum(map(len, three)),
                "results_with_median": sum(len(m.results) for m in medians),
            }
        )
    return rows
