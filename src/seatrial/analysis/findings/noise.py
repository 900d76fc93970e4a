"""Whether the workload is held back by noise: steps that take longer now and then, on no particular place.

Needs a spread of the step time beyond its band, or a run that changed its level at one step, and a cost: the time
of steps over the usual level, or of waiting for whoever is late by chance, whichever is more (they overlap). Where
the spread is beyond its band because some steps are far faster than most, what that costs is not known.
"""

from __future__ import annotations

from seatrial.analysis.findings.look import (
    NOT_MEASURED,
    Look,
    percent,
    place_of,
    rule_words,
    severity,
    share_words,
    without,
)
from seatrial.analysis.findings.observed import Estimate, Finding, Noise, Observed, Severity
from seatrial.analysis.findings.shift import Shift
from seatrial.config.base import Threshold
from seatrial.config.findings import FindingRules
from seatrial.units import format_figure


def look(observed: Observed, rules: FindingRules) -> Look:
    """Look for spread that has no place."""
    if observed.noise is None:
        return Look(unknown=("the spread of the step time was not measured",))
    bands = _bands(observed.noise, rules)
    said = tuple(f"{name} {_shown(figure)}, band {format_figure(rule.value)}" for name, figure, rule in bands)
    beyond = [band for band in bands if band[1].over(band[2].value)]
    cost = noise_cost(observed)
    if cost is None:
        return Look(seen=said, unknown=("what the spread of the step time costs was not measured",))
    found, shifts = severity(cost, rules), observed.noise.shifts
    if found is not None and (beyond or shifts):
        return Look((_finding(observed, beyond, cost, found),))
    if beyond and observed.noise.saved > rules.least_share.value:
        return Look((_faster_now_and_then(observed, beyond, observed.noise.saved),))
    return Look(seen=(*said, *map(_shift_words, shifts), f"{COST_OF} cost {share_words(cost)}"))


COST_OF = "steps over the usual level and chance lateness"


def noise_cost(observed: Observed) -> Estimate | None:
    """The greater of what steps over the usual level add and of waiting for whoever is late by chance."""
    lost = None if observed.noise is None else observed.noise.lost
    late = None if observed.lateness is None else observed.lateness.random
    known = [found for found in (lost, late) if found is not None]
    return max(known, key=lambda found: found.value, default=None)


def _bands(noise: Noise, rules: FindingRules) -> list[tuple[str, Estimate, Threshold]]:
    bands = [
        ("CoV of the step time", noise.cov, rules.noise_cov),
        ("P95 over P50 of the step time", noise.p95_over_p50, rules.noise_tail),
        ("share of steps over 1.5 medians", noise.hiccups, rules.noise_hiccups),
    ]
    return [(name, figure, rule) for name, figure, rule in bands if figure is not None]


def _shown(figure: Estimate) -> str:
    if figure.low is None or figure.high is None:
        return format_figure(figure.value, 3)
    ends = f"{format_figure(figure.low, 3)} to {format_figure(figure.high, 3)}"
    return f"{format_figure(figure.value, 3)} ({ends}, {figure.method})"


def _finding(
    observed: Observed, beyond: list[tuple[str, Estimate, Threshold]], cost: Estimate, found: Severity
) -> Finding:
    shifts = () if observed.noise is None else observed.noise.shifts
    level = "what the median step of its run's faster part takes" if shifts else "what the median step takes"
    action = "Find what else runs on the nodes, the links and the storage"
    return Finding(
        cause="noise",
        severity=found,
        title=_shift_title(shifts) if shifts else "Steps take longer now and then, on no particular node",
        where=observed.where,
        evidence=(*map(_shift_words, shifts), *_beyond_words(beyond), f"{COST_OF} cost {share_words(cost)}"),
        action=f"Find what changed then; {action[0].lower()}{action[1:]}" if shifts else action,
        counter_evidence=_places(observed),
        cost=cost,
        without_it=without(observed, cost, f"every step took {level}"),
        next_step="list other jobs, daemons and monitoring on the nodes; run again at another hour and with cores "
        "set aside for the system, and compare the spread",
        remedy_cost="nodes or links for this job alone, for as long as it runs; cores left to the system",
        place=place_of(observed),
    )


def _faster_now_and_then(
    observed: Observed, beyond: list[tuple[str, Estimate, Threshold]], saved: float
) -> Finding:
    return Finding(
        cause="noise",
        severity="inconclusive",
        title="Some steps are far faster than most, and what keeps most from it is not known",
        where=observed.where,
        evidence=(*_beyond_words(beyond), f"the mean step is {percent(saved)} faster than the median step"),
        action="Find what the fast steps do not wait for",
        counter_evidence=_places(observed),
        without_it="not known: no level that steps keep to was found below their median",
        next_step="lay the steps against the batches they take (lengths, padding), against other jobs, clocks and "
        "the network; where fast steps do less work there is nothing to mend",
        remedy_cost="the time of looking at the steps' log",
        place=place_of(observed),
    )


def _beyond_words(beyond: list[tuple[str, Estimate, Threshold]]) -> tuple[str, ...]:
    return tuple(
        f"{name} {_shown(figure)}, against {rule_words(rule, format_figure(rule.value))}"
        for name, figure, rule in beyond
    )


def _shift_title(shifts: tuple[Shift, ...]) -> str:
    first = shifts[0]
    slower = first.after > first.before
    when = f"became slower from step {first.step} on" if slower else f"was slower up to step {first.step - 1}"
    others = f", and {len(shifts) - 1} more changed their level too" if len(shifts) > 1 else ""
    return f"Run {first.run} {when}{others}"


def _shift_words(shift: Shift) -> str:
    """'run 1: median step 1 s before step 101 of 200, 10 s from it on (p = 0.001, ...)'."""
    before, after = format_figure(shift.before), format_figure(shift.after)
    return (
        f"run {shift.run}: median step {before} s before step {shift.step} of {shift.steps}, {after} s from it on "
        f"(p = {format_figure(shift.p, 2)}, CUSUM of ranks after Pettitt, blocks permuted)"
    )


def _places(observed: Observed) -> tuple[str, ...]:
    late = observed.lateness
    if late is None:
        return (f"whether one place is late more often than others: {NOT_MEASURED}",)
    if late.place is None or late.slowest_in is None:
        return (f"no place is late more often than others, of {late.places}",)
    return (
        f"{late.place} is last most often: in {100 * late.slowest_in:.3g} % of the steps, of {late.places} places",
    )
