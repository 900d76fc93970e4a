"""tables/moe_alltoall_slope.csv: by how much latency grows with imbalance, d ln t / d ln (busiest over mean rank).

0: imbalance costs nothing; 1: latency follows the busiest rank. Fitted over the iterations of a case, which differ
by chance, and over the loads of a sweep, which differ by far more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from seatrial.analysis.tables import canonical_json, write_csv
from seatrial.case import Case
from seatrial.config.probe import MoeAlltoall
from seatrial.config.probe.moe_alltoall import load_words
from seatrial.measure.moe_alltoall.volumes import DIRECTIONS
from seatrial.paths import StudyPaths

COLUMNS = (
    "study",
    "target",
    "experiment",
    "scope",
    "case_id",
    "group",
    "direction",
    "load",
    "points",
    "imbalance_low",
    "imbalance_high",
    "slope",
    "slope_low",
    "slope_high",
    "method",
    "note",
)
"""`scope`: iterations (of one case) or loads (of cases that differ in nothing else, `group`: their other axes)."""
LEAST_POINTS = 3
LEAST_SPAN = 1.05
"""Imbalances that differ by less say nothing of what imbalance costs."""
WIDE_SPAN = 1.5
"""Over imbalances that differ by less, a slope is known only where its interval is narrower than the slope."""
MOST_POINTS = 1000
"""Of more iterations every n-th is taken: the median of slopes looks at all pairs."""
METHOD = "Theil-Sen 95 %"
Iterations = Mapping[tuple[str, str], tuple[Sequence[float], Sequence[float]]]
"""(case, direction) -> imbalance and seconds of every iteration."""


class Slope(NamedTuple):
    """A slope with its interval; None where there is none, and why."""

    value: float | None
    low: float | None
    high: float | None
    note: str | None


def write_slopes(paths: StudyPaths, cases: Sequence[Case], iterations: Iterations) -> None:
    """Write the table: a row per case and direction, and one per direction for cases that differ in the load."""
    rows = []
    for case in cases:
        for direction in DIRECTIONS:
            x, y = iterations[case.case_id, direction]
            words = {"scope": "iterations", "case_id": case.case_id, "load": _load(case)}
            rows.append(_common(case, direction) | words | _fitted(x, y, "iterations"))
    for group, members in _groups(cases).items():
        for direction in DIRECTIONS:
            points = [iterations[case.case_id, direction] for case in members]
            known = [(float(np.median(x)), float(np.median(y))) for x, y in points if len(x) and len(y)]
            words = {"scope": "loads", "group": group, "load": "; ".join(_load(case) for case in members)}
            fitted = _fitted([x for x, _ in known], [y for _, y in known], "loads")
            rows.append(_common(members[0], direction) | words | fitted)
    write_csv(paths.probe_table("moe_alltoall_slope"), COLUMNS, rows)


def slope(imbalance: Sequence[float], seconds: Sequence[float], what: str = "points") -> Slope:
    """d ln seconds / d ln imbalance: the median of the slopes of all pairs (Theil 1950, Sen 1968).

    None where there are fewer than three points, where the imbalance hardly varies, or where it varies by less than
    WIDE_SPAN and the slope's interval is wider than the slope is steep. The 95 % interval takes the points for
    independent of each other.
    """
    x, y = np.asarray(imbalance, dtype=float), np.asarray(seconds, dtype=float)
    if len(x) < LEAST_POINTS:
        return Slope(None, None, None, f"{len(x)} {what} measured, {LEAST_POINTS} or more are needed")
    if x.min() <= 0 or x.max() / x.min() < LEAST_SPAN:
        return Slope(None, None, None, f"the imbalance varies by less than {100 * (LEAST_SPAN - 1):.0f} %")
    every = -(-len(x) // MOST_POINTS)
    from scipy.stats import theilslopes  # rarely needed, and slow to import

    found = theilslopes(np.log(y[::every]), np.log(x[::every]), 0.95)
    ends = [float(end) if math.isfinite(end) else None for end in (found.low_slope, found.high_slope)]
    span = float(x.max() / x.min())
    if span < WIDE_SPAN and (None in ends or ends[1] - ends[0] >= abs(found.slope)):  # type: ignore[operator]
        return Slope(None, None, None, _unknown(span, ends))
    note = None if None not in ends else f"{len(x)} {what} are too few for an interval"
    return Slope(float(found.slope), ends[0], ends[1], note)


def _unknown(span: float, ends: Sequence[float | None]) -> str:
    low, high = ends
    words = f"the imbalance varies by {span:.3g} x only, less than {WIDE_SPAN:g} x"
    if low is None or high is None:
        return f"{words}, and the slope has no interval"
    return f"{words}, and the interval ({low:.3g} to {high:.3g}) is wider than the slope itself"


def _groups(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Cases of an experiment that differ in their load alone, two or more; by their other axes in words."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(", ".join([case.experiment, *other_axes(case)]), []).append(case)
    return {group: members for group, members in found.items() if len({_load(case) for case in members}) > 1}


def other_axes(case: Case) -> list[str]:
    """The swept values of a case beside its load, in words: 'tokens 4096'."""
    return [
        f"{name.rpartition('.')[2]} {canonical_json(value) if isinstance(value, list | dict) else value}"
        for name, value in case.axes.items()
        if not name.startswith("workload.load")
    ]


def _load(case: Case) -> str:
    assert isinstance(case.workload, MoeAlltoall)
    return load_words(case.workload.load)


def _common(case: Case, direction: str) -> dict[str, Any]:
    return {
        "study": case.study,
        "target": case.target.name,
        "experiment": case.experiment,
        "direction": direction,
    }


def _fitted(imbalance: Sequence[float], seconds: Sequence[float], what: str) -> dict[str, Any]:
    found = slope(imbalance, seconds, what)
    return {
        "points": len(imbalance),
        "imbalance_low": min(imbalance, default=None),
        "imbalance_high": max(imbalance, default=None),
        "slope": found.value,
        "slope_low": found.low,
        "slope_high": found.high,
        "method": METHOD if found.value is not None else None,
        "note": found.note,
    }
