"""How unsteady the step time is within runs, each run held against its own median."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from seatrial.analysis.findings.observed import Estimate, Noise
from seatrial.analysis.findings.resampling import Array, Quantities
from seatrial.analysis.statistics.series import integrated_autocorrelation_time

FEWEST_STEPS = 20
"""Of fewer steps the 95th percentile is the greatest one."""
NORMAL_975 = 1.96


def step_noise(steps: Sequence[Array], hiccup: float) -> Noise | None:
    """CoV, P95 / P50, hiccups (steps over `hiccup` medians), what steps over the median add; None for short runs.

    Every step is divided by its run's median, so that runs of different speed are no noise within runs.
    """
    known = [of_run / float(np.median(of_run)) for of_run in steps if len(of_run) >= FEWEST_STEPS]
    if not known:
        return None
    quantities: list[dict[str, Array]] = [
        {
            "time": x,
            "squared": (x - 1) ** 2,
            "hiccup": (x > hiccup).astype(np.float64),
            "over": x - 1,
            "steps": np.ones(len(x), dtype=np.float64),
        }
        for x in known
    ]
    found = Quantities(quantities)
    return Noise(
        cov=_root(found.share("squared", ["steps"], cut=False)),
        p95_over_p50=_tail(known),
        hiccups=found.share("hiccup", ["steps"]),
        lost=found.share("over", ["time"]),
    )


def _root(found: Estimate) -> Estimate:
    """The spread about the median over the median: never less than the CoV but for the mean in its place."""
    low, high = (None if end is None else math.sqrt(end) for end in (found.low, found.high))
    return replace(found, value=math.sqrt(found.value), low=low, high=high)


def _tail(known: Sequence[Array]) -> Estimate:
    """P95 over P50 of all steps, by order statistics of as many as are independent of each other."""
    series = np.sort(np.concatenate(known))
    times = [integrated_autocorrelation_time(of_run.tolist()) or 1.0 for of_run in known]
    independent = sum(len(x) / t for x, t in zip(known, times, strict=True))
    half = NORMAL_975 * math.sqrt(0.95 * 0.05 / independent)
    low, high = np.quantile(series, [max(0.0, 0.95 - half), min(1.0, 0.95 + half)])
    words = f"order statistics 95 %, {independent:.0f} independent steps"
    return Estimate(float(np.quantile(series, 0.95)), float(low), float(high), words, len(series))
