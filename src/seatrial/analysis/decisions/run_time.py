"""How long a run of many steps takes when it saves, fails and starts again.

W: seconds of work; tau: seconds of work between two checkpoints, each of C seconds; mu: seconds between failures,
which come at random (exponential times); R: seconds of a restart. A failure loses what was done since the last
checkpoint; one during a restart begins the restart again.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from seatrial.analysis.decisions.propagation import Draws

MANY = 100
"""Of more failures the sum of what they lost counts as normal (central limit theorem)."""
HOPELESS = 20.0
"""Of mu: a stretch between two checkpoints that is longer is got through less than once in 1e8 times."""
MOST_STRETCHES = 1e9
"""A run of more of them never ends for anybody who waits."""
SMALL = 1e-3
"""Of mu: below it a failure is as likely at any moment of a stretch."""


class RunTime(NamedTuple):
    """Seconds from start to end (infinite where it never gets there), and how many failures there were."""

    seconds: Draws
    failures: Draws


def expected_seconds(work: Draws, saving: Draws, interval: Draws, between_failures: Draws, restart: Draws) -> Draws:
    """mu e^(R / mu) (e^((tau + C) / mu) - 1) W / tau: the expected time of the run.

    J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps", FGCS 22(3), 2006,
    the complete model; to first order in 1 / mu it is W (1 + C / tau) plus the failures' share, Young's.
    """
    stretch = np.expm1((interval + saving) / between_failures)
    return between_failures * np.exp(restart / between_failures) * stretch * work / interval


def simulated_run(
    work: Draws,
    saving: Draws,
    interval: Draws,
    between_failures: Draws,
    restart: Draws,
    random: np.random.Generator,
) -> RunTime:
    """One run for each draw; all arrays have the same length.

    Stretches of tau + C repeat until they are got through; what is left over at the end is one shorter stretch.
    """
    endless = work / interval > MOST_STRETCHES
    work = np.where(endless, 0.0, work)
    whole = np.floor(work / interval * (1 + 1e-12)).astype(np.int64)
    rest = np.maximum(0.0, work - whole * interval)
    rest[rest < 1e-9 * interval] = 0.0
    first = _stretches(whole, interval + saving, between_failures, restart, random)
    last = _stretches((rest > 0).astype(np.int64), rest + saving, between_failures, restart, random)
    both = (first.seconds + last.seconds, first.failures + last.failures)
    return RunTime(*(np.where(endless, math.inf, one) for one in both))


def _stretches(
    count: np.ndarray, length: Draws, between_failures: Draws, restart: Draws, random: np.random.Generator
) -> RunTime:
    """`count` stretches of `length` seconds, each tried until no failure comes in it."""
    again = length + restart
    hopeless = (again / between_failures > HOPELESS) & (count > 0)
    count = np.where(hopeless, 0, count)
    failed = random.binomial(count, -np.expm1(-length / between_failures))
    # a stretch that failed is tried again, after a restart, until it is got through
    success = np.where(hopeless, 1.0, np.exp(-again / between_failures))
    more = np.zeros_like(failed)
    some = failed > 0
    more[some] = random.negative_binomial(failed[some], success[some])
    seconds = (count - failed) * length + failed * again
    seconds = seconds + _lost(failed, length, between_failures, random)
    seconds = seconds + _lost(more, again, between_failures, random)
    return RunTime(np.where(hopeless, math.inf, seconds), np.where(hopeless, math.inf, failed + more))


def _lost(counts: np.ndarray, limit: Draws, between_failures: Draws, random: np.random.Generator) -> Draws:
    """The sum of `counts` times to a failure that came within `limit` seconds (truncated exponential)."""
    ratio = limit / between_failures
    few = np.where(counts <= MANY, counts, 0)
    share = -np.expm1(-np.repeat(ratio, few))
    times = -np.log1p(-random.random(len(share)) * share)
    sums = np.bincount(np.repeat(np.arange(len(counts)), few), weights=times, minlength=len(counts))
    mean, variance = _moments(ratio)
    normal = counts * mean + np.sqrt(counts * variance) * random.standard_normal(len(counts))
    return np.asarray(between_failures * np.where(counts > MANY, normal, sums))


def _moments(ratio: Draws) -> tuple[Draws, Draws]:
    """Mean and variance, in mu and mu squared, of an exponential time cut off at `ratio` mu."""
    safe = np.clip(ratio, SMALL, 500.0)
    mean = np.where(ratio < SMALL, ratio / 2, 1 - safe / np.expm1(safe))
    variance = np.where(ratio < SMALL, ratio**2 / 12, 1 - (safe / (2 * np.sinh(safe / 2))) ** 2)
    return mean, variance
