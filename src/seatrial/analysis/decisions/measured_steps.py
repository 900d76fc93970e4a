"""The step time of a training as its repeats measured it: ordinary steps, hiccups, and how runs differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seatrial.analysis.decisions.basis import Basis
from seatrial.analysis.decisions.propagation import Draws
from seatrial.analysis.probes.records import completed
from seatrial.analysis.statistics import integrated_autocorrelation_time, log_spread
from seatrial.analysis.statistics.distributions import normal_quantile, t_quantile
from seatrial.case import Case

FEWEST_STEPS = 20
"""Of fewer steps neither the noise nor the hiccups are known."""

FARTHEST = math.log(1e6)
"""No run counts as more than a million times as slow as the others: two repeats can say as little as that."""


@dataclass(frozen=True)
class Steps:
    """Ordinary steps and hiccups of all repeats.

    `seconds` is the geometric mean over repeats of the mean ordinary step, `run_spread` the standard deviation of
    the logs of those means, None of one repeat. `excess` holds what each hiccup took over the mean ordinary step of
    its run, as a share of that. `within` is the CoV of ordinary steps within a run, `together` how many neighbours
    tell about as much as one (integrated autocorrelation time).
    """

    repeats: int
    count: int
    seconds: float
    run_spread: float | None
    within: float
    together: float
    excess: tuple[float, ...]

    @property
    def hiccups(self) -> float:
        """What hiccups add to the time of a run, as a share of its ordinary steps."""
        return sum(self.excess) / self.count


def measured_steps(basis: Basis, case: Case) -> Steps | None:
    """The steps of a case's completed repeats after warm-up; None where none has FEWEST_STEPS.

    A step over `noise_bands.hiccup` medians of its run is a hiccup.
    """
    warm_up, bound = basis.study.findings.warm_up_steps, basis.study.noise_bands.hiccup.value
    series = []
    for record in completed(basis.paths, case):
        samples = [m.samples for m in record.measurements if m.metric == "train.step_time"]
        if len(samples) == 1 and len(samples[0]) >= FEWEST_STEPS + warm_up:
            series.append(np.asarray(samples[0][warm_up:], dtype=float))
    return steps_of(series, bound) if series else None


def steps_of(series: Sequence[Draws], bound: float) -> Steps:
    """The steps of runs, each of at least two; a step over `bound` medians of its run is a hiccup."""
    means, variances, times, excess = [], [], [], []
    for of_run in series:
        middle = float(np.median(of_run))
        usual = of_run <= bound * middle
        mean = float(of_run[usual].mean())
        means.append(mean)
        variances.append(float(np.var(of_run[usual] / mean, ddof=1)))
        # without taking hiccups out of their places: what is ordinary keeps its neighbours
        times.append(integrated_autocorrelation_time(np.where(usual, of_run, mean).tolist()) or 1.0)
        excess += (of_run[~usual] / mean - 1).tolist()
    return Steps(
        repeats=len(series),
        count=sum(len(of_run) for of_run in series),
        seconds=math.exp(float(np.mean(np.log(means)))),
        run_spread=log_spread(means),
        within=math.sqrt(float(np.mean(variances))),
        together=float(np.mean(times)),
        excess=tuple(excess),
    )


def run_factor(spread: Draws, repeats: int | None, random: np.random.Generator) -> Draws:
    """What the next run's step time is over that of the measured ones: exp(s t sqrt(1 + 1 / n)).

    The prediction interval of one more log-normal value, Student's t with n - 1 degrees of freedom. `repeats` None:
    the spread is stated, and counts as known.
    """
    if repeats is None:
        logs = spread * random.standard_normal(len(spread))
    else:
        logs = spread * math.sqrt(1 + 1 / repeats) * random.standard_t(repeats - 1, len(spread))
    return np.asarray(np.exp(np.clip(logs, -FARTHEST, FARTHEST)))


def run_factor_ends(spread: float, repeats: int | None) -> tuple[float, float]:
    """Between which `run_factor` lies in 95 of 100 runs."""
    if repeats is None:
        half = normal_quantile(0.975) * spread
    else:
        half = t_quantile(0.975, repeats - 1) * spread * math.sqrt(1 + 1 / repeats)
    half = min(half, FARTHEST)
    return math.exp(-half), math.exp(half)


def within_deviation(steps: Steps, count: float) -> float:
    """How far the mean of `count` ordinary steps strays, as a share of it: CoV sqrt(tau / count)."""
    return steps.within * math.sqrt(steps.together / count)


def hiccup_share(steps: Steps, count: float, random: np.random.Generator, draws: int) -> Draws:
    """What hiccups add to `count` ordinary steps, as a share of them; 0 where none was seen.

    Their rate is known from the k that were seen (Jeffreys' gamma of k + 1/2), their length from as many; that many
    come at random in the run (compound Poisson, which is normal over so many).
    """
    k = len(steps.excess)
    if k == 0:
        return np.zeros(draws)
    excess = np.asarray(steps.excess)
    rate = random.gamma(k + 0.5, 1.0, draws) / steps.count
    length = excess.mean() + (excess.std(ddof=1) / math.sqrt(k) if k > 1 else 0.0) * random.standard_normal(draws)
    by_chance = np.sqrt(rate * float(np.mean(excess**2)) / count) * random.standard_normal(draws)
    return np.maximum(0.0, rate * length + by_chance)
