"""A planned run of weeks: its inputs, stated, measured or facts of the target, and what is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from seatrial.analysis.checkpointing import HOUR, daly_interval, seconds_between_failures
from seatrial.analysis.decisions.basis import Basis
from seatrial.analysis.decisions.decision import Input, assumed
from seatrial.analysis.decisions.measured_steps import (
    Steps,
    hiccup_share,
    measured_steps,
    run_factor,
    run_factor_ends,
    within_deviation,
)
from seatrial.analysis.decisions.propagation import DRAWS, Draws, draw
from seatrial.analysis.decisions.run_time import expected_seconds
from seatrial.analysis.decisions.words import SHARE
from seatrial.analysis.measurements import medians_by_repeat
from seatrial.analysis.statistics import log_spread, median, median_interval
from seatrial.case import Case
from seatrial.config.finish_date import FinishDate
from seatrial.config.training import Training
from seatrial.units import SECONDS_PER_MINUTE

STEPS, STEP, LONGER = "steps", "step time", "step time over the measured"
RUN, WITHIN, HICCUPS = "this run against others", "noise within the run", "hiccups"
MTBF, ACCELERATORS = "accelerator-hours between failures", "accelerators"
SAVING, INTERVAL, RESTART = "checkpoint", "work between checkpoints", "restart"
SAVING_RUN = "this run's checkpoints against others"
STALL = "train.checkpoint_stall_time"
SPREAD_OF_SAVING = "spread of checkpoints from run to run"
SECONDS_PER_DAY = 86_400.0


@dataclass
class PlannedRun:
    """The inputs of one run by name, the steps behind them, what they rest on, and why others are missing."""

    inputs: dict[str, Input] = field(default_factory=dict)
    steps: Steps | None = None
    spread: Input | None = None
    """The standard deviation of the logs of the step time from run to run: what `RUN` is drawn from."""
    saving_spread: Input | None = None
    """The same of the time of a checkpoint: what `SAVING_RUN` is drawn from."""
    evidence: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def is_known(self) -> bool:
        """Whether a date follows from it."""
        return all(
            name in self.inputs for name in (STEPS, STEP, RUN, MTBF, ACCELERATORS, SAVING, RESTART, INTERVAL)
        )

    def draws(self, seed: int, count: int = DRAWS) -> dict[str, Draws]:
        """Values of all inputs; those of the measured noise as it is distributed, not by the ends of a range."""
        found = draw(list(self.inputs.values()), seed, count)
        random = np.random.default_rng([seed, count])
        if self.spread is not None:
            found[RUN] = run_factor(draw([self.spread], seed, count)[self.spread.name], self.spread.n, random)
        if self.steps is not None and HICCUPS in self.inputs:
            found[HICCUPS] = hiccup_share(self.steps, self.inputs[STEPS].value, random, count)
        if self.saving_spread is not None:
            of_saving = draw([self.saving_spread], seed, count)[self.saving_spread.name]
            found[SAVING_RUN] = run_factor(of_saving, self.saving_spread.n, random)
        return found


def work(of: Mapping[str, Draws]) -> Draws:
    """Seconds of work: steps x step time, times what the run, its noise and its hiccups make of it."""
    step = of[STEP] * of.get(LONGER, np.ones(1)) * of[RUN]
    return of[STEPS] * step * (of.get(WITHIN, np.ones(1)) + of.get(HICCUPS, np.zeros(1)))


def saving(of: Mapping[str, Draws]) -> Draws:
    """Seconds for which a checkpoint holds up this run."""
    return of[SAVING] * of.get(SAVING_RUN, np.ones(1))


def between_failures(of: Mapping[str, Draws]) -> Draws:
    """Seconds between failures of the whole run."""
    return of[MTBF] * HOUR / of[ACCELERATORS]


def expected_days(of: Mapping[str, Draws]) -> Draws:
    """Days that the run is expected to take, after Daly."""
    seconds = expected_seconds(work(of), saving(of), of[INTERVAL], between_failures(of), of[RESTART])
    return seconds / SECONDS_PER_DAY


def planned_run(basis: Basis, asked: FinishDate, case: Case | None) -> PlannedRun:
    """What is known of the run; `case` is the training whose steps count, None where all is stated.

    Raises UnreadableFile where a table of the study is not there.
    """
    found = PlannedRun(steps=None if case is None else measured_steps(basis, case))
    if case is not None and found.steps is not None:
        seen = f"{found.steps.count} steps of {found.steps.repeats} repeats"
        found.evidence.append(f"records of case {case.case_id} ({case.experiment}): {seen}")
    _work(found, asked, case)
    _noise(found, asked, case)
    _failures(found, asked, basis, case)
    _checkpoints(found, asked, basis, case)
    return found


def _work(found: PlannedRun, asked: FinishDate, case: Case | None) -> None:
    if asked.steps is not None:
        _put(found, assumed(STEPS, asked.steps, ""))
    elif (each := _tokens_per_step(case)) is None:
        found.missing.append("tokens of one step: this training does not tell them; steps states the work")
    else:
        assert asked.tokens is not None
        of_tokens = assumed(STEPS, asked.tokens, "")
        low, high = (None if end is None else end / each for end in (of_tokens.low, of_tokens.high))
        words = f"{of_tokens.source}; {asked.tokens.value:g} tokens over {each:,} in a step"
        _put(found, Input(STEPS, of_tokens.value / each, low, high, "", words, of_tokens.as_of, False))
    if asked.step_seconds is not None:
        _put(found, assumed(STEP, asked.step_seconds, "s"))
    elif found.steps is None:
        found.missing.append("step time: no repeat has enough steps; step_seconds states it")
    else:
        words = f"mean ordinary step of {found.steps.repeats} repeats, {found.steps.count} steps in all"
        _put(found, Input(STEP, found.steps.seconds, None, None, "s", words, None, True, found.steps.repeats))
    if asked.times_longer is not None and asked.step_seconds is None:
        _put(found, assumed(LONGER, asked.times_longer, ""))


def _noise(found: PlannedRun, asked: FinishDate, case: Case | None) -> None:
    steps = found.steps
    if asked.run_spread is not None:
        found.spread = assumed("spread from run to run", asked.run_spread, "")
        low, high = run_factor_ends(found.spread.value, None)
        words = f"{asked.run_spread.source}; run-to-run CoV {100 * found.spread.value:.3g} %"
        _put(found, Input(RUN, 1.0, low, high, "", words, asked.run_spread.as_of, False))
    elif steps is None or steps.run_spread is None:
        found.missing.append("spread from run to run: fewer than two repeats; run_spread states it")
    else:
        spread, words = steps.run_spread, f"spread of {steps.repeats} repeats' mean steps"
        found.spread = Input("spread from run to run", spread, None, None, "", words, None, True, steps.repeats)
        low, high = run_factor_ends(spread, steps.repeats)
        words += f" ({100 * spread:.3g} %); one more run, t 95 %"
        _put(found, Input(RUN, 1.0, low, high, "", words, None, True, steps.repeats))
    if steps is None or STEPS not in found.inputs:
        return
    count = found.inputs[STEPS].value
    half = 1.96 * within_deviation(steps, count)
    words = f"CoV {100 * steps.within:.3g} % of single steps, averaged over {count:,.0f} of them"
    words += f" ({steps.together:.3g} neighbours tell as much as one)"
    _put(found, Input(WITHIN, 1.0, max(0.0, 1 - half), 1 + half, "", words, None, True, steps.repeats))
    low, high = _ends(hiccup_share(steps, count, np.random.default_rng(0), DRAWS))
    words = f"{len(steps.excess)} of {steps.count} steps; what they add to the others"
    share = steps.hiccups
    ends = (min(low, share), max(high, share))
    _put(found, Input(HICCUPS, share, *ends, SHARE, words, None, True, steps.repeats))


def _failures(found: PlannedRun, asked: FinishDate, basis: Basis, case: Case | None) -> None:
    target = case.target if case is not None else basis.study.target
    accelerators = asked.accelerators or target.accelerators
    if not accelerators:
        found.missing.append("accelerators: the target has none; accelerators states them")
    else:
        words = "economics.finish_date.accelerators" if asked.accelerators else f"target {target.name}"
        _put(found, Input(ACCELERATORS, float(accelerators), None, None, "", words, None, False))
    stated = target.reliability.accelerator_hours_between_failures if target.reliability is not None else None
    if asked.accelerator_hours_between_failures is not None:
        _put(found, assumed(MTBF, asked.accelerator_hours_between_failures, "h"))
    elif stated is not None and stated.value is not None:
        _put(found, Input(MTBF, stated.value, None, None, "h", stated.source, None, False))
    else:
        found.missing.append(
            f"failures: target {target.name} does not say how often something breaks; "
            "accelerator_hours_between_failures states it"
        )


def _checkpoints(found: PlannedRun, asked: FinishDate, basis: Basis, case: Case | None) -> None:
    _put(found, _in_seconds(assumed(RESTART, asked.restart_minutes, "s")))
    stalls = [] if case is None else medians_by_repeat(basis.measurements, case.case_id, STALL)
    if asked.checkpoint_seconds is not None:
        _put(found, assumed(SAVING, asked.checkpoint_seconds, "s"))
    elif (middle := median(stalls)) is None or middle <= 0:
        found.missing.append(
            "checkpoint: nothing measured how long one holds up the run; checkpoint_seconds states it"
        )
    elif _spread(asked, stalls) is not None:
        words = f"{STALL}: geometric mean of {len(stalls)} repeats"
        mean = math.exp(math.fsum(math.log(stall) for stall in stalls) / len(stalls))
        _put(found, Input(SAVING, mean, None, None, "s", words, None, True, len(stalls)))
    else:
        low, high, method = median_interval(stalls)
        if low is not None and high is not None:
            low, high = min(low, middle), max(high, middle)
        words = f"{STALL} of {len(stalls)} repeats, {method}"
        _put(found, Input(SAVING, middle, low, high, "s", words, None, True, len(stalls)))
    _saving_spread(found, asked, stalls)
    if asked.checkpoint_interval_minutes is not None:
        _put(found, _in_seconds(assumed(INTERVAL, asked.checkpoint_interval_minutes, "s")))
    elif all(name in found.inputs for name in (SAVING, MTBF, ACCELERATORS)):
        values = {name: found.inputs[name].value for name in (SAVING, MTBF, ACCELERATORS)}
        mu = seconds_between_failures(values[MTBF], int(values[ACCELERATORS]))
        words = "loses least (Daly 2006) at the values of checkpoint and failures"
        _put(found, Input(INTERVAL, daly_interval(values[SAVING], mu), None, None, "s", words, None, False))


def _saving_spread(found: PlannedRun, asked: FinishDate, stalls: Sequence[float]) -> None:
    """How the checkpoints of one run differ from those of others; not known of stated ones without a spread."""
    if asked.checkpoint_spread is not None:
        found.saving_spread = assumed(SPREAD_OF_SAVING, asked.checkpoint_spread, "")
        words = f"{asked.checkpoint_spread.source}; run-to-run CoV {100 * found.saving_spread.value:.3g} %"
    elif (spread := _spread(asked, stalls)) is not None:
        words = f"spread of {len(stalls)} repeats' checkpoints ({100 * spread:.3g} %); one more run, t 95 %"
        found.saving_spread = Input(SPREAD_OF_SAVING, spread, None, None, "", words, None, True, len(stalls))
    else:
        return
    given = found.saving_spread
    low, high = run_factor_ends(given.value, given.n)
    _put(found, Input(SAVING_RUN, 1.0, low, high, "", words, given.as_of, given.measured, given.n))


def _spread(asked: FinishDate, stalls: Sequence[float]) -> float | None:
    """The measured spread of checkpoints; None where it is stated, not known, or all took as long."""
    if asked.checkpoint_spread is not None or asked.checkpoint_seconds is not None:
        return None
    return log_spread(stalls) or None


def _in_seconds(one: Input) -> Input:
    """An input that was stated in minutes."""
    low, high = (None if end is None else end * SECONDS_PER_MINUTE for end in (one.low, one.high))
    return Input(one.name, one.value * SECONDS_PER_MINUTE, low, high, "s", one.source, one.as_of, one.measured)


def _tokens_per_step(case: Case | None) -> int | None:
    """Tokens of one step of all ranks; None where the training has no sequences of tokens."""
    length = getattr(case.workload, "sequence_length", None) if case is not None else None
    if case is None or length is None or not isinstance(case.workload, Training):
        return None
    return case.workload.global_batch(case.target.world_size) * int(length)


def _put(found: PlannedRun, one: Input) -> None:
    found.inputs[one.name] = one


def _ends(values: Draws) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
