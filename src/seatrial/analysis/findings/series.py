"""From the steps of runs to what is observed of them: shares, lateness, noise. For records and for logs alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from seatrial.analysis.findings.lateness import PERSISTENT, RANDOM, TOTAL, Late, late_ranks, rank_times, thinned
from seatrial.analysis.findings.observed import PARTS, Estimate, Lateness, Observed, Part
from seatrial.analysis.findings.resampling import FEWEST_RUNS, Apart, Array, Quantities, drawn_sums
from seatrial.analysis.findings.step_noise import step_noise
from seatrial.analysis.statistics import median, median_interval
from seatrial.analysis.statistics.series import block_bootstrap_interval
from seatrial.config.findings import FindingRules
from seatrial.config.noise_bands import NoiseBands

DATA_HELD = "data_held"
LEAST_WORK = 1e-9
"""Seconds: a rank that does nothing but wait for data has a ratio to the others all the same."""
USUAL_HICCUP = NoiseBands().hiccup.value


@dataclass(frozen=True)
class RunSeries:
    """One run, seconds by step. All series have the same length; what was not measured is absent.

    `step` is the longest rank's, `parts` are means over ranks without checkpoint_stall, `own` is [steps, ranks]
    without waiting for others, `waits` what of that is waiting for data. `hosts` names each rank's host. `stalls`
    are seconds of each checkpoint; None where no checkpoint was asked for or none was timed.
    """

    step: Array
    parts: Mapping[Part, Array] = field(default_factory=dict)
    own: Array | None = None
    hosts: tuple[str, ...] = ()
    stalls: tuple[float, ...] | None = None
    waits: Array | None = None

    def from_step(self, first: int) -> RunSeries:
        """The run without its first steps; all of it where it has no more."""
        if first == 0 or len(self.step) <= first:
            return self
        return replace(
            self,
            step=self.step[first:],
            parts={part: values[first:] for part, values in self.parts.items()},
            own=None if self.own is None else self.own[first:],
            waits=None if self.waits is None else self.waits[first:],
        )


def with_series(
    observed: Observed, runs: Sequence[RunSeries], rules: FindingRules, hiccup: float = USUAL_HICCUP
) -> Observed:
    """`observed` with everything that the steps of its runs say; as it is where there are none.

    A step of more than `hiccup` medians is a hiccup.
    """
    kept = [run.from_step(rules.warm_up_steps) for run in runs if len(run.step)]
    if not kept:
        return observed
    steps = [run.step for run in kept]
    found: dict[str, Any] = {"step_seconds": _median_step(steps), "noise": step_noise(steps, hiccup, rules)}
    late = late_ranks([(run.own, run.hosts) for run in kept], rules.straggler_slower.value)
    at_work = late_ranks([(_work(run), run.hosts) for run in kept], rules.straggler_slower.value)
    found["rank_times"] = rank_times(kept[-1].own, kept[-1].step, kept[-1].hosts)
    found["whole_seconds"] = float(sum(run.step.sum() + sum(run.stalls or ()) for run in kept))
    return replace(observed, **found, **_shares(kept, late, at_work))


def _work(run: RunSeries) -> Array | None:
    """Ranks' own time without their waiting for data; None where that is not known by rank."""
    return None if run.own is None or run.waits is None else np.maximum(run.own - run.waits, LEAST_WORK)


def _shares(runs: Sequence[RunSeries], late: Late | None, at_work: Late | None) -> dict[str, Any]:
    """Shares of each part, what of them is productive, transfer, and lateness."""
    parts: list[Part] = [part for part in PARTS if all(part in run.parts for run in runs)]
    # without computing the parts are not all of a step, and what is known is held against the longest rank's
    whole = list(parts) if "compute" in parts else ["step"]
    quantities: list[dict[str, Array]] = [
        {part: run.parts[part] for part in parts} | {"step": run.step} for run in runs
    ]
    if late is not None:
        quantities = [of_run | dict(of_late) for of_run, of_late in zip(quantities, late.by_run, strict=True)]
        if "communication" in parts:
            for of_run in quantities:
                of_run["transfer"] = of_run["communication"] - of_run[TOTAL]
    apart = {}
    if any(run.stalls is not None for run in runs):
        every = [value for run in runs for value in run.stalls or ()]
        sums = np.array([sum(run.stalls or ()) for run in runs])
        apart["checkpoint_stall"] = Apart(sums, drawn_sums(every))
        whole.append("checkpoint_stall")
        parts.append("checkpoint_stall")
    found = Quantities(quantities, apart)
    shares = {part: found.share(part, whole) for part in parts}
    said: dict[str, Any] = {"shares": shares, "productive": shares.get("compute")}
    if late is None:
        return said
    if "transfer" in quantities[0]:
        said["transfer"] = _not_below_zero(found.share("transfer", whole, cut=False))
    said["lateness"] = _lateness(found, whole, late)
    if at_work is not None:
        of_work = [{**of_run, **of_late} for of_run, of_late in zip(quantities, at_work.by_run, strict=True)]
        for of_run, run in zip(of_work, runs, strict=True):
            of_run[DATA_HELD] = _data_held(run)
        found = Quantities(of_work, apart)
        said["work_lateness"] = _lateness(found, whole, at_work)
        said["data_held"] = found.share(DATA_HELD, whole)
    return said


def _lateness(found: Quantities, whole: Sequence[str], late: Late) -> Lateness:
    return Lateness(
        total=found.share(TOTAL, whole),
        random=found.share(RANDOM, whole),
        persistent=found.share(PERSISTENT, whole),
        **late.named(),
    )


def _data_held(run: RunSeries) -> Array:
    """Seconds by which each step would end sooner if no rank waited for data, all waiting for the last."""
    work = _work(run)
    assert run.own is not None and work is not None
    return np.maximum(0.0, run.own.max(axis=1) - work.max(axis=1))


def _not_below_zero(found: Estimate) -> Estimate:
    low, high = (None if end is None else max(0.0, end) for end in (found.low, found.high))
    return replace(found, value=max(0.0, found.value), low=low, high=high)


def _median_step(steps: Sequence[Array]) -> Estimate:
    """The median step: of the runs' medians from FEWEST_RUNS on, else of all steps."""
    middles = [float(np.median(of_run)) for of_run in steps]
    if len(steps) >= FEWEST_RUNS:
        found = median_interval(middles)
        return Estimate(median(middles) or 0.0, found.low, found.high, found.method, len(steps))
    series = np.concatenate(steps)
    found = block_bootstrap_interval(thinned(series).tolist())
    return Estimate(float(np.median(series)), found.low, found.high, found.method, len(series))
