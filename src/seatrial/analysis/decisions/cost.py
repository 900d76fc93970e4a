"""What a run to quality costs, how many a budget pays for, and the energy that it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from seatrial.analysis.decisions.basis import Basis
from seatrial.analysis.decisions.decision import MEASURED, Decision, Figure, Input, assumed, priced
from seatrial.analysis.decisions.energy import energy
from seatrial.analysis.decisions.held import bootstrap_ratio, failures_unseen, goodput
from seatrial.analysis.decisions.measured_pace import queue_hours
from seatrial.analysis.decisions.propagation import Draws, Model, propagate
from seatrial.analysis.decisions.run_cost import HOURS, PRICE, RunCost, Values, rate_of, run_cost
from seatrial.analysis.decisions.sensitivity import tornado
from seatrial.analysis.decisions.words import SHARE, amount, with_interval
from seatrial.analysis.inputs import is_training
from seatrial.analysis.statistics import median, median_interval
from seatrial.analysis.tables import canonical_json
from seatrial.case import Case
from seatrial.config.economics import Budget, Economics

KIND = "cost"
KWH, KWH_PRICE, PUE = "energy of a run", "price of electricity", "PUE"
BUDGET = "budget"
WITH_FAILURES = "Cost if as many runs fail as cannot be ruled out"
PER_MONEY = 1000.0
"""Performance per dollar is of so much money."""


def cost(basis: Basis) -> list[Decision]:
    """A decision for each case that trains to a quality, where the study or its target states any price."""
    economics = basis.economics
    asked = economics.budget is not None or economics.run is not None or economics.energy is not None
    found = []
    for case in basis.cases.values():
        if is_training(case) and (asked or rate_of(economics, case) is not None):
            found.append(_decision(basis, case, run_cost(basis, case)))
    return found


def _decision(basis: Basis, case: Case, run: RunCost) -> Decision:
    of_cost, extra = _money(run, basis.economics.budget, basis.seed)
    of_energy, energy_inputs = _energy(basis, case, run)
    figures = [*of_cost, *_time(basis, case, run), *of_energy]
    return Decision(
        kind=KIND,
        title=f"Cost of a run to quality: {case.experiment}",
        where=_where(case),
        answer=_answer(run, figures, basis.economics.budget),
        figures=tuple(figures),
        inputs=(*run.inputs, *extra, *energy_inputs),
        swings=tuple(tornado(run.whole, run.inputs)) if run.is_known else (),
        evidence=tuple(run.evidence),
        missing=tuple(run.missing),
        case_ids=(case.case_id,),
    )


def _where(case: Case) -> str:
    axes = "".join(f", {name} {canonical_json(value)}" for name, value in case.axes.items())
    target = case.target
    n, one = (target.accelerators, "accelerator") if target.accelerators else (target.nodes, "node")
    return f"case {case.case_id} on {_counted(n, one)} of {target.name}{axes}"


def _counted(n: int, one: str) -> str:
    """'1 node', '8 accelerators'."""
    return f"{n} {one if n == 1 else one + 's'}"


def _money(run: RunCost, budget: Budget | None, seed: int) -> tuple[list[Figure], list[Input]]:
    """Cost of a run and of the result as it was measured, runs per budget, runs per money."""
    if not run.is_known:
        why = "not known: " + "; ".join(words for words in run.missing if words.startswith(("hours", "price")))
        return [Figure("Cost of a run to quality", None, None, None, "", why)], []
    assert run.rate is not None and run.hours is not None
    money = run.rate.price.currency

    def figure(name: str, unit: str, model: Model) -> Figure:
        return propagate(model, run.inputs, seed, name=name, unit=unit, resampled=run.resampled)

    spent = math.fsum(one.hours or 0.0 for one in run.repeats)
    done = sum(one.completed for one in run.repeats)
    count = run.rate.count
    found = [figure("Cost of a run to quality", money, run.whole), figure("of it hours", money, run.held)]
    if done == len(run.repeats):
        words = f"holds no failures: up to {_may_fail(run)} of runs may fail, {done} of {done} completed"
        found[0] = replace(found[0], method=f"{found[0].method}; {words}")
        found.append(_with_failures(run, money))
    if run.beside:
        found.append(figure("of it storage and egress", money, run.besides))
    result = f"Cost of this result: {done} runs to quality of {len(run.repeats)} started"
    found.append(
        propagate(
            lambda x: np.asarray(count * spent * x[PRICE] + done * run.besides(x)),
            [one for one in run.inputs if one.name != HOURS],
            seed,
            name=result,
            unit=money,
        )
    )
    found.append(
        figure(f"Runs to quality for {PER_MONEY:,.0f} {money}", "runs", lambda x: _per(PER_MONEY, run.whole(x)))
    )
    if budget is None:
        return found, []
    name = f"Runs that a budget of {amount(budget.amount, budget.currency)} pays for"
    found.append(figure(name, "runs", lambda x: np.floor(_per(budget.amount, run.whole(x)))))
    stated = Input(BUDGET, budget.amount, None, None, budget.currency, budget.source, budget.as_of, False)
    return found, [stated]


def _may_fail(run: RunCost) -> str:
    """The share of runs that may fail though none did."""
    return f"{100 * failures_unseen(len(run.repeats)):.2g} % (95 %)"


def _with_failures(run: RunCost, money: str) -> Figure:
    """What a run costs if as many fail as runs without a failure leave possible, each as long as the others."""
    values = {one.name: np.array([one.value]) for one in run.inputs}
    values[HOURS] = values[HOURS] / (1 - failures_unseen(len(run.repeats)))
    words = f"hours over the share that completes, if {_may_fail(run)} fail; no interval"
    return Figure(WITH_FAILURES, float(run.whole(values)[0]), None, None, money, words)


def _per(money: float, each: Draws) -> Draws:
    """How many `money` pays for; endless where each is free."""
    return np.where(each > 0, money / np.where(each > 0, each, 1.0), np.inf)


def _time(basis: Basis, case: Case, run: RunCost) -> list[Figure]:
    """Hours, the share of them that went into completed runs, and the wait in the queue, which costs nothing."""
    found = []
    if run.hours is not None:
        ends = (run.hours.low, run.hours.high)
        found.append(Figure("Hours held per run to quality", run.hours.value, *ends, "h", run.hours.source))
        share = goodput(run.repeats)
        words = "no interval: hours of completed repeats over all hours held, as measured"
        found.append(Figure("Goodput of the hours held", share, None, None, SHARE, words))
    waits = queue_hours(basis.paths, case)
    if waits:
        interval = median_interval(waits)
        method = f"median of {len(waits)} attempts, {interval.method}; not in the cost"
        found.append(Figure("Wait in the queue", median(waits), interval.low, interval.high, "h", method))
    return found


def _energy(basis: Basis, case: Case, run: RunCost) -> tuple[list[Figure], list[Input]]:
    """Energy of a completed run and of the result, and what it costs; in words why where it is not known."""
    counted = energy(basis, case)
    if not counted.kwh:
        why = f"not known: {counted.why}"
        run.missing.append(f"energy: {counted.why}")
        return [Figure("Energy of a run to quality", None, None, None, "kWh", why)], []
    n = len(counted.kwh)
    mean = math.fsum(counted.kwh) / n
    draws = bootstrap_ratio(counted.kwh, [1.0] * n, basis.seed)
    ends: tuple[float | None, float | None] = (None, None)
    if draws is not None:
        low, high = (float(q) for q in np.quantile(draws, [0.025, 0.975], method="inverted_cdf"))
        ends = (min(low, mean), max(high, mean))
    source = f"{MEASURED}: telemetry of the {counted.of} while the training clock ran, {n} repeats"
    one = Input(KWH, mean, *ends, "kWh", source, None, True, n)
    widened = f"mean of {n} repeats, bootstrap widened to Student's t"
    how = widened if draws is not None else "no interval: one repeat"
    found = [
        Figure(f"Energy of a run to quality, {counted.of}", mean, *ends, "kWh", how),
        Figure(f"Energy of {n} completed runs, {counted.of}", mean * n, None, None, "kWh", "sum, as measured"),
    ]
    priced_, inputs = _energy_cost(basis.economics, one, draws, basis.seed)
    run.missing.append("energy of failed runs, of idle time, and of what has no sensor: not in the energy")
    return [*found, *priced_], [one, *inputs]


def _energy_cost(
    economics: Economics, kwh: Input, draws: Draws | None, seed: int
) -> tuple[list[Figure], list[Input]]:
    if economics.energy is None:
        return [], []
    inputs = [priced(KWH_PRICE, economics.energy.price_kwh, "kWh"), assumed(PUE, economics.energy.pue, "")]
    resampled = {KWH: draws} if draws is not None else {}

    def model(x: Values) -> Draws:
        return np.asarray(x[KWH] * x[PUE] * x[KWH_PRICE])

    name, money = "Cost of the energy of a run, at the meter of the facility", economics.energy.price_kwh.currency
    return [propagate(model, [kwh, *inputs], seed, name=name, unit=money, resampled=resampled)], inputs


def _answer(run: RunCost, figures: Sequence[Figure], budget: Budget | None) -> str:
    whole = figures[0]
    if whole.value is None or run.rate is None or run.hours is None:
        return f"What a run costs is {whole.method}."
    done = sum(one.completed for one in run.repeats)
    units = _counted(run.rate.count, run.rate.per.removesuffix("-hour"))
    words = (
        f"A run to quality costs {with_interval(whole)}: {amount(run.hours.value, 'h')} of {units}, "
        f"with {done} of {len(run.repeats)} runs reaching it"
    )
    failing = next((one for one in figures if one.name == WITH_FAILURES), None)
    if failing is not None:
        words += f", which leaves open that up to {_may_fail(run)} fail and it costs {with_interval(failing)}"
    if budget is None:
        return f"{words}."
    runs = next(one for one in figures if one.name.startswith("Runs that a budget"))
    return f"{words}; {amount(budget.amount, budget.currency)} pay for {with_interval(runs)}."
