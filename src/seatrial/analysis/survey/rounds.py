"""How one round's times stand to the next one's on the same family and count.

Software, hosts, networks and rules may each have changed, and a result may be carried over from the round before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import exp, log
from statistics import fmean, median

from seatrial.analysis.survey.medians import Median
from seatrial.analysis.survey.results import Like, Row, Surveyed, by_like, numbers, submitters

MEDIANS, SAME_SYSTEMS = "medians", "same systems"
"""Bases of a ratio: both rounds have a median; or the same submitters listed the same systems in both."""
COLUMNS = (
    "benchmark",
    "accelerator_family",
    "accelerators",
    "from_round",
    "to_round",
    "partial",
    "basis",
    "from_minutes",
    "from_results",
    "from_submitters",
    "to_minutes",
    "to_results",
    "to_submitters",
    "ratio",
    "carried_over",
    "from_result_numbers",
    "to_result_numbers",
)


def round_rows(results: Sequence[Surveyed], medians: Mapping[Like, Median], rounds: Sequence[str]) -> list[Row]:
    """tables/survey_rounds.csv: for each two consecutive `rounds`, every family and count that a ratio exists for.

    `ratio` is the later time over the earlier one; of `same systems` the geometric mean over the pairs, with
    `from_minutes` and `to_minutes` the medians of their times. `carried_over` counts results of the later round
    that equal one of the same submitter in the earlier round to the last digit: the same runs, entered again. Pairs
    that are carried over say nothing and are left out of `same systems`; a median holds what its round holds.
    """
    groups = by_like(results)
    rows: list[Row] = []
    for before, after in pairwise(rounds):
        for like in sorted(key for key in groups if key.round == after):
            earlier = like._replace(round=before)
            if earlier in groups and like.accelerators > 0:
                row = _row(groups[earlier], groups[like], medians.get(earlier), medians.get(like))
                rows += [row] if row is not None else []
    return rows


def _row(old: list[Surveyed], new: list[Surveyed], first: Median | None, second: Median | None) -> Row | None:
    carried = [s for s in new if any(_carried_over(o, s) for o in old)]
    if first is not None and second is not None:
        basis, ratio = MEDIANS, second.minutes / first.minutes
    else:
        pairs = [(o, s) for o, s in _same_systems(old, new) if not _carried_over(o, s)]
        if not pairs:
            return None
        basis, ratio = SAME_SYSTEMS, exp(fmean(log(s.minutes / o.minutes) for o, s in pairs))
        old, new, carried = [o for o, _ in pairs], [s for _, s in pairs], []
    before, after = old[0].like, new[0].like
    return {
        "benchmark": after.benchmark,
        "accelerator_family": after.family,
        "accelerators": after.accelerators,
        "from_round": before.round,
        "to_round": after.round,
        "partial": old[0].partial or new[0].partial,
        "basis": basis,
        "from_minutes": median(o.minutes for o in old),
        "from_results": len(old),
        "from_submitters": submitters(old),
        "to_minutes": median(s.minutes for s in new),
        "to_results": len(new),
        "to_submitters": submitters(new),
        "ratio": ratio,
        "carried_over": len(carried),
        "from_result_numbers": numbers(old),
        "to_result_numbers": numbers(new),
    }


def _carried_over(old: Surveyed, new: Surveyed) -> bool:
    return old.submitter == new.submitter and old.minutes == new.minutes


def _same_systems(old: list[Surveyed], new: list[Surveyed]) -> list[tuple[Surveyed, Surveyed]]:
    """Pairs of one submitter's system of one name, where the name is not there twice on either side."""
    first, second = _by_system(old), _by_system(new)
    return [
        (first[key][0], found[0])
        for key, found in second.items()
        if len(found) == 1 and len(first.get(key, [])) == 1
    ]


def _by_system(results: list[Surveyed]) -> dict[tuple[str, str], list[Surveyed]]:
    named: dict[tuple[str, str], list[Surveyed]] = {}
    for s in results:
        named.setdefault((s.submitter, s.published.system), []).append(s)
    return named
