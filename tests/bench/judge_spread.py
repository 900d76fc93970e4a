"""Simulated runs with the spread that published results have: how wide, how skewed, and in which steps."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seatrial.analysis.statistics import expected_range
from seatrial.reference.names import canonical_submitter
from seatrial.reference.published import as_results, load_published
from seatrial.reference.selection import comparable

Floats = NDArray[np.float64]
KINDS = ("log-normal", "skewed", "in steps")
"""`log-normal`: the spread of one published result, the same to both sides. `skewed`: its own to either side.
`in steps`: as skewed, seen only at evaluations, one to every standard deviation (4 to 6 different times in 10 runs,
as results that publish their runs have)."""
LEAST_RUNS = 3


@dataclass(frozen=True)
class Spreads:
    """[results]: standard deviations of the logs of runs below and above the middle."""

    below: Floats
    above: Floats


@functools.cache
def spreads() -> Spreads:
    """Those of every published result with a fastest, a slowest and a mean run; unet3d's 40 runs included.

    The extremes of n normal values lie d2(n) / 2 standard deviations from the middle on average.
    """
    below, above = [], []
    for r in comparable(as_results(load_published())):
        middle, least, most, n = r.unscaled_minutes, r.min_minutes, r.max_minutes, r.successful_runs
        if not (middle and least and most and n) or n < LEAST_RUNS:
            continue
        half = expected_range(n) / 2
        below.append(max(0.0, math.log(middle / least)) / half)
        above.append(max(0.0, math.log(most / middle)) / half)
    return Spreads(np.array(below), np.array(above))


def runs(kind: str, studies: int, n: int, draw: np.random.Generator) -> Floats:
    """[studies, n]: logs of the times of runs whose median is 0; every study has one published result's spread."""
    found = spreads()
    chosen = draw.integers(0, len(found.below), studies)
    below, above = found.below[chosen, None], found.above[chosen, None]
    z = draw.standard_normal((studies, n))
    if kind == "log-normal":
        return z * (below + above) / 2
    times = np.where(z < 0, z * below, z * above)
    if kind == "skewed":
        return times
    step = np.maximum((below + above) / 2, 1e-12)
    # evaluations lie at multiples of a step: the median of what is seen stays 0
    return np.round(times / step) * step


@functools.cache
def reference_groups() -> tuple[tuple[tuple[float, ...], ...], ...]:
    """Every like-for-like median: by submitter, the logs of its results over the median of submitters' medians."""
    groups: dict[tuple[str, str, str, int, str], dict[str, list[float]]] = {}
    for r in comparable(as_results(load_published())):
        key = (r.benchmark, r.round, r.accelerator_family, r.accelerators, r.division)
        groups.setdefault(key, {}).setdefault(canonical_submitter(r.submitter), []).append(math.log(r.minutes))
    found = []
    for _, members in sorted(groups.items()):
        if len(members) >= 3:
            middle = float(np.median([np.median(logs) for logs in members.values()]))
            found.append(tuple(tuple(x - middle for x in logs) for _, logs in sorted(members.items())))
    return tuple(found)


@functools.cache
def shape_of_submitters() -> Floats:
    """Submitters' medians about the middle of their group in its standard deviations, of all groups, centred."""
    pooled = []
    for group in reference_groups():
        medians = np.array([np.median(logs) for logs in group])
        if np.std(medians) > 0:
            pooled.append((medians - np.median(medians)) / np.std(medians, ddof=1))
    together = np.concatenate(pooled)
    return together - np.median(together)


def references(kind: str, studies: int, draw: np.random.Generator) -> list[list[list[float]]]:
    """For each study the logs of a reference's results by submitter, drawn about a true median of 0.

    Counts and spread between submitters are a real group's; their shape is normal, or (`skewed`) that of all.
    """
    groups = reference_groups()
    found = []
    for number in draw.integers(0, len(groups), studies):
        group = groups[number]
        between = float(np.std([np.median(logs) for logs in group], ddof=1))
        normal = kind == "log-normal"
        z = draw.standard_normal(len(group)) if normal else draw.choice(shape_of_submitters(), len(group))
        one = []
        for centre, logs in zip(z * between, group, strict=True):
            own = float(np.median(logs))
            one.append([centre + x - own for x in logs])
        found.append(one)
    return found
