"""Whether the workload is held back by noise: steps that take longer now and then, on no particular place.

Needs a spread of the step time beyond its band and a cost: the time of steps over the median, or of waiting for
whoever is late by chance, whichever is more (they overlap).
"""

from __future__ import annotations

from seatrial.analysis.findings.look import NOT_MEASURED, Look, place_of, rule_words, severity, share_words, without
from seatrial.analysis.findings.observed import Estimate, Finding, Noise, Observed, Severity
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
    found = severity(cost, rules)
    if not beyond or found is None:
        return Look(seen=(*said, f"steps over the median and chance lateness cost {share_words(cost)}"))
    return Look((_finding(observed, beyond, cost, found),))


def noise_cost(observed: Observed) -> Estimate | None:
    """The greater of what steps over the median add and of waiting for whoever is late by chance."""
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
    return Finding(
        cause="noise",
        severity=found,
        title="Steps take longer now and then, on no particular node",
        where=observed.where,
        evidence=(
            *(
                f"{name} {_shown(figure)}, against {rule_words(rule, format_figure(rule.value))}"
                for name, figure, rule in beyond
            ),
            f"steps over the median and chance lateness cost {share_words(cost)}",
        ),
        action="Find what else runs on the nodes, the links and the storage",
        counter_evidence=_places(observed),
        cost=cost,
        without_it=without(observed, cost, "every step took what the median step takes"),
        next_step="list other jobs, daemons and monitoring on the nodes; run again at another hour and with cores "
        "set aside for the system, and compare the spread",
        remedy_cost="nodes or links for this job alone, for as long as it runs; cores left to the system",
        place=place_of(observed),
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
