"""How far the fastest and the slowest result of a benchmark lie apart, and how much of that is size."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from seatrial.analysis.survey.results import Row, Surveyed, by_like, submitters

ENDS = ("fastest", "slowest", "least_chip", "most_chip", "widest_fastest", "widest_slowest")
"""The results that a row names: by time, by accelerators x time, and in the group of equals that is widest."""
END_COLUMNS = ("submitter", "system", "accelerator_family", "accelerators", "minutes", "chip_minutes", "result")
COLUMNS = (
    "round",
    "partial",
    "benchmark",
    "results",
    "submitters",
    "ratio",
    "chip_results",
    "chip_ratio",
    "groups",
    "widest_ratio",
    "widest_results",
    "median_group_ratio",
    *(f"{end}_{column}" for end in ENDS for column in END_COLUMNS),
)


def spread_rows(results: Sequence[Surveyed]) -> list[Row]:
    """tables/survey_spread.csv: a row per round and benchmark.

    `ratio` is slowest over fastest in minutes, `chip_ratio` most over least in accelerators x minutes (machines
    without accelerators left out), `widest_ratio` the largest slowest over fastest within one family and count.
    A ratio is empty where there are not two results to compare.
    """
    found: dict[tuple[str, str], list[Surveyed]] = {}
    for result in results:
        found.setdefault((result.round, result.benchmark), []).append(result)
    return [_row(round_, benchmark, same) for (round_, benchmark), same in found.items()]


def _row(round_: str, benchmark: str, same: list[Surveyed]) -> Row:
    by_time = sorted(same, key=lambda s: (s.minutes, s.number))
    by_chip = sorted((s for s in same if s.chip_minutes), key=lambda s: (s.chip_minutes or 0, s.number))
    groups = [group for group in by_like(same).values() if len(group) > 1]
    widest = max(groups, key=_ratio, default=[])
    row: Row = {
        "round": round_,
        "partial": same[0].partial,
        "benchmark": benchmark,
        "results": len(same),
        "submitters": submitters(same),
        "ratio": _ratio(by_time) if len(by_time) > 1 else None,
        "chip_results": len(by_chip),
        "chip_ratio": _chip_ratio(by_chip),
        "groups": len(groups),
        "widest_ratio": _ratio(widest) if widest else None,
        "widest_results": len(widest) or None,
        "median_group_ratio": median(map(_ratio, groups)) if groups else None,
    }
    return (
        row
        | _ends("fastest", "slowest", by_time)
        | _ends("least_chip", "most_chip", by_chip)
        | _ends("widest_fastest", "widest_slowest", widest)
    )


def _ratio(fastest_first: Sequence[Surveyed]) -> float:
    return fastest_first[-1].minutes / fastest_first[0].minutes


def _chip_ratio(least_first: Sequence[Surveyed]) -> float | None:
    if len(least_first) < 2:
        return None
    least, most = least_first[0].chip_minutes, least_first[-1].chip_minutes
    assert least is not None and most is not None  # machines without accelerators are not among them
    return most / least


def _ends(first: str, last: str, ordered: Sequence[Surveyed]) -> Row:
    """Who is at both ends, with what; nothing where there is no one."""
    row: Row = {}
    for name, result in zip((first, last), (ordered[:1], ordered[-1:]), strict=True):
        for s in result:
            of = s.published
            figures = (of.submitter, of.system, of.accelerator_family, of.accelerators, s.minutes, s.chip_minutes)
            row |= zip((f"{name}_{c}" for c in END_COLUMNS), (*figures, s.number), strict=True)
    return row
