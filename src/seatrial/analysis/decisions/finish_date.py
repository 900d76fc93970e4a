"""When a run of weeks is done: the distribution of its last day under the measured noise and the failures.

One draw is one run: how its step time lies to that of the measured runs (the same for all its steps), the noise of
its steps (which averages out), its hiccups, its failures, and everything else that is uncertain. Evaluations are no
part of it: `steps` has to allow for them.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from seatrial.analysis.decisions.basis import Basis
from seatrial.analysis.decisions.decision import Decision, Figure
from seatrial.analysis.decisions.planned_run import (
    ACCELERATORS,
    HICCUPS,
    INTERVAL,
    RESTART,
    RUN,
    SECONDS_PER_DAY,
    WITHIN,
    PlannedRun,
    between_failures,
    expected_days,
    planned_run,
    saving,
    work,
)
from seatrial.analysis.decisions.propagation import DRAWS, Draws
from seatrial.analysis.decisions.run_time import RunTime, simulated_run
from seatrial.analysis.decisions.sensitivity import tornado
from seatrial.analysis.decisions.words import SHARE, amount, listed
from seatrial.analysis.inputs import is_training
from seatrial.case import Case
from seatrial.config.finish_date import FinishDate
from seatrial.config.target import Target
from seatrial.units import format_figure

KIND = "finish_date"
QUANTILES = (0.05, 0.5, 0.95)
FIRST = "Until it is done"
FAR = 8
"""Times the accelerators measured on, beyond which noise is said to be of a much smaller machine: as far as a
procurement takes a measured rate (`scale`)."""


def finish_date(basis: Basis) -> list[Decision]:
    """A decision for each training whose steps count; one where all is stated; none where no run is planned.

    Raises UnreadableFile where a table of the study is not there.
    """
    asked = basis.economics.finish_date
    if asked is None:
        return []
    return [_decision(basis, asked, case) for case in cases_asked(basis, asked)]


def cases_asked(basis: Basis, asked: FinishDate) -> list[Case | None]:
    """The trainings whose steps count; None in place of one where all is stated, or there is none."""
    if asked.experiment is None and not asked.needs_measurements:
        return [None]
    trainings = [case for case in basis.cases.values() if is_training(case)]
    return [case for case in trainings if asked.experiment in (None, case.experiment)] or [None]


def simulated(run: PlannedRun, seed: int, but: Mapping[str, float] | None = None) -> tuple[Draws, RunTime]:
    """Seconds of work and of the whole run in every draw; `but`: inputs that are the same in all of them.

    The same seed gives the same runs, so that what one input does is not lost in chance.
    """
    values = run.draws(seed)
    for name, value in (but or {}).items():
        values[name] = np.full(DRAWS, value)
    todo = work(values)
    random = np.random.default_rng([seed, DRAWS, 1])
    timing = (saving(values), values[INTERVAL], between_failures(values), values[RESTART])
    return todo, simulated_run(todo, *timing, random)


def _decision(basis: Basis, asked: FinishDate, case: Case | None) -> Decision:
    run = planned_run(basis, asked, case)
    where = f"{case.experiment} case {case.case_id} on {case.target.name}" if case is not None else "stated figures"
    known = Decision(
        kind=KIND,
        title=f"Finish date: {asked.name}",
        where=where,
        answer="",
        figures=(),
        inputs=tuple(run.inputs.values()),
        swings=(),
        evidence=tuple(run.evidence),
        missing=tuple(run.missing),
    )
    if not run.is_known:
        why = "; ".join(run.missing)
        figure = Figure(FIRST, None, None, None, "days", f"not known: {why}")
        return replace(known, answer=f"Not known: {why}.", figures=(figure,))
    todo, taken = simulated(run, basis.seed)
    days = taken.seconds / SECONDS_PER_DAY
    figures = _figures(run, asked, todo, taken, basis.seed)
    swings = tornado(expected_days, list(run.inputs.values()))
    warning = None if case is None else _measured_elsewhere(run, basis.study.target, case)
    answer = _answer(asked, days) if warning is None else f"{_answer(asked, days)} {warning}"
    missing = known.missing if warning is None else (*known.missing, warning.rstrip("."))
    return replace(known, answer=answer, missing=missing, figures=tuple(figures), swings=tuple(swings))


def _measured_elsewhere(run: PlannedRun, target: Target, case: Case) -> str | None:
    """That the noise was measured on another target, or far fewer accelerators, than the run is planned on."""
    noise = [(RUN, "runs"), (WITHIN, "steps"), (HICCUPS, "hiccups")]
    measured = [words for name, words in noise if name in run.inputs and run.inputs[name].measured]
    planned, there = int(run.inputs[ACCELERATORS].value), case.target.accelerators
    if not measured or run.steps is None or (case.target.name == target.name and there * FAR >= planned):
        return None
    had = "no accelerator" if not there else f"{there:,} accelerator{'' if there == 1 else 's'}"
    return (
        f"How {listed(measured)} differ was measured on {case.target.name}, with {had} and steps of "
        f"{amount(run.steps.seconds, 's')}, not on the {planned:,} accelerators planned: the dates hold only if "
        "they differ as much there."
    )


def _figures(run: PlannedRun, asked: FinishDate, todo: Draws, taken: RunTime, seed: int) -> list[Figure]:
    days = taken.seconds / SECONDS_PER_DAY
    values = {name: np.array([one.value]) for name, one in run.inputs.items()}
    found = [_spread(FIRST, days, "days", seed)]
    if asked.must_finish is not None:
        share = float(np.mean(days <= _allowed(asked.starts, asked.must_finish)))
        error = 1.96 * math.sqrt(share * (1 - share) / len(days))
        words = f"share of {len(days):,} simulated runs, seed {seed}; the simulation itself is out by {error:.2g}"
        found.append(Figure(f"Chance to be done by {asked.must_finish}", share, None, None, SHARE, words))
    expected = float(expected_days(values)[0])
    found += [
        _spread("Work alone", todo / SECONDS_PER_DAY, "days", seed),
        _spread("Checkpoints, failures and restarts over the work", taken.seconds / todo - 1, SHARE, seed),
        _spread("Failures", taken.failures, "", seed),
        Figure(
            "Expected at the inputs' values",
            expected if math.isfinite(expected) else None,
            None,
            None,
            "days",
            "Daly (2006); no interval",
        ),
        _cost_of_noise(run, days, seed),
    ]
    if HICCUPS in run.inputs:
        hiccups = run.draws(seed)[HICCUPS]
        found.append(_spread("Hiccups", todo / SECONDS_PER_DAY * hiccups / (1 + hiccups), "days", seed))
    return found


def _cost_of_noise(run: PlannedRun, days: Draws, seed: int) -> Figure:
    """How much earlier the date is that 95 of 100 runs keep, where every run is as fast as the others."""
    alike = simulated(run, seed, but={RUN: 1.0})[1].seconds / SECONDS_PER_DAY
    ends = [_quantile(of, 0.95) for of in (days, alike)]
    name = "To allow for because runs differ"
    words = f"p95 with and without {RUN}, same seed {seed}; no interval"
    lost = None if ends[0] is None or ends[1] is None else ends[0] - ends[1]
    return Figure(name, lost, None, None, "days", words)


def _spread(name: str, values: Draws, unit: str, seed: int) -> Figure:
    """The median, from p05 to p95."""
    low, middle, high = (_quantile(values, q) for q in QUANTILES)
    method = f"p50, p05 to p95 (90 %) of {len(values):,} simulated runs, seed {seed}, inputs independent"
    never = int(np.isinf(values).sum())
    if never:
        method += f"; {never / len(values):.1%} never get there"
    return Figure(name, middle, low, high, unit, method)


def _quantile(values: Draws, q: float) -> float | None:
    found = float(np.quantile(values, q, method="inverted_cdf"))
    return found if math.isfinite(found) else None


def _allowed(starts: dt.date, must_finish: dt.date) -> int:
    """Days from the first moment of `starts` to the last of `must_finish`."""
    return (must_finish - starts).days + 1


def _answer(asked: FinishDate, days: Draws) -> str:
    early, middle, late = (_date(asked.starts, _quantile(days, q)) for q in QUANTILES)
    words = (
        f"Started on {asked.starts}, it is done on {middle} (p50); 90 of 100 such runs end from {early} to {late}"
    )
    if asked.must_finish is None:
        return f"{words}."
    share = float(np.mean(days <= _allowed(asked.starts, asked.must_finish)))
    return f"{words}; by {asked.must_finish} in {format_figure(100 * share, 3)} of 100."


def _date(starts: dt.date, days: float | None) -> str:
    """The date on which a number of days after `starts` ends."""
    if days is None or days > (dt.date.max - starts).days:
        return "no date at all"
    return str(starts + dt.timedelta(days=math.floor(days)))
