"""How long the repeats of a case held their nodes, failed attempts too, and what a run to quality takes of that."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from seatrial.analysis.attempts import read_attempts
from seatrial.analysis.decisions.basis import Basis
from seatrial.analysis.decisions.propagation import DRAWS, Z_95, Draws
from seatrial.analysis.statistics.distributions import t_quantile
from seatrial.case import Case

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Held:
    """One repeat: hours from start to end of all its attempts, None where not known, and whether it completed."""

    repeat: int
    hours: float | None
    attempts: int
    completed: bool
    """Whether it reached its quality."""
    noted: bool = False
    """Whether the hours are of the executor's notes of every attempt, not of the record alone."""


def held(basis: Basis, case: Case) -> list[Held]:
    """The repeats of a case that were started. Waiting in a queue is no part of their hours.

    The hours are of every attempt that the executor noted; where it noted none, of the record in repeats.csv.
    """
    found = [_held(basis, case, row) for row in basis.repeats_of.get(case.case_id, [])]
    return [one for one in found if one.completed or one.hours is not None or one.attempts]


def _held(basis: Basis, case: Case, row: Mapping[str, Any]) -> Held:
    repeat = int(row["repeat"])
    noted = read_attempts(basis.paths.attempts(case.case_id, repeat))
    started = [entry for entry in (noted.entries if noted is not None else []) if entry.get("started_at")]
    ends = [entry.get("ended_at") for entry in started]
    if not started:
        hours = [_hours(row["started_at"], row["finished_at"])]
    else:
        # of a job whose end nobody noted, the record's own may be known
        ends[-1] = ends[-1] or row["finished_at"]
        hours = [_hours(entry["started_at"], end) for entry, end in zip(started, ends, strict=True)]
    known = [value for value in hours if value is not None]
    whole = math.fsum(known) if len(known) == len(hours) else None
    return Held(repeat, whole, len(started) or len(known), row["outcome"] == "completed", noted=bool(started))


def _hours(started: object, ended: object) -> float | None:
    """Hours between two ISO times; None where one is not there, or they are not in order."""
    if not isinstance(started, str) or not isinstance(ended, str):
        return None
    try:
        seconds = (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()
    except (ValueError, TypeError):
        return None
    return seconds / SECONDS_PER_HOUR if seconds >= 0 else None


def hours_per_completed(found: Sequence[Held]) -> float | None:
    """Hours held by all repeats over the number that completed: the mean hours of a run over goodput.

    None where none completed, or the hours of one are not known.
    """
    done = sum(one.completed for one in found)
    if not done or any(one.hours is None for one in found):
        return None
    return math.fsum(one.hours for one in found if one.hours is not None) / done


def goodput(found: Sequence[Held]) -> float | None:
    """The share of the hours held that completed repeats held; None where it is not known."""
    if hours_per_completed(found) is None:
        return None
    whole = math.fsum(one.hours or 0.0 for one in found)
    return math.fsum(one.hours or 0.0 for one in found if one.completed) / whole if whole else None


def bootstrap_ratio(top: Sequence[float], bottom: Sequence[float], seed: int, draws: int = DRAWS) -> Draws | None:
    """Draws of sum(top) / sum(bottom) over resampled pairs, widened for few of them; None for fewer than two.

    The percentile interval of a bootstrap over n values is too narrow for small n. Its draws are stretched around
    the ratio, on a logarithmic scale, by sqrt(n / (n - 1)) t(n - 1) / z at 97.5 %: the expanded percentile interval
    of Hesterberg (The American Statistician 69, 2015, section 4.3). Infinite where a resample completed nothing.
    """
    n = len(top)
    if n < 2:
        return None
    above, below = np.asarray(top, dtype=float), np.asarray(bottom, dtype=float)
    chosen = np.random.default_rng(seed).integers(0, n, (draws, n))
    whole = below[chosen].sum(axis=1)
    ratios = np.full(draws, np.inf)
    np.divide(above[chosen].sum(axis=1), whole, out=ratios, where=whole > 0)
    middle = above.sum() / below.sum()
    if middle <= 0:
        return ratios
    stretch = math.sqrt(n / (n - 1)) * t_quantile(0.975, n - 1) / Z_95
    with np.errstate(over="ignore", divide="ignore"):
        return np.asarray(middle * np.exp(stretch * np.log(ratios / middle)))


def failures_unseen(n: int) -> float:
    """The greatest share of failing runs that `n` without a failure leave possible, at 95 %: 1 - 0.05^(1/n)."""
    return 1 - 0.05 ** (1 / n)
