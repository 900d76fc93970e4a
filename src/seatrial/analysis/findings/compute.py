"""Whether the devices hold the workload back: all of them below what they can do, or with clocks held down.

A single slow device or host is a straggler (straggler.py). That most time goes to computing is no fault.
"""

from __future__ import annotations

from statistics import median

from seatrial.analysis.findings.look import (
    NOT_MEASURED,
    Look,
    below,
    fractions,
    percent,
    place_of,
    reading_words,
    rule_words,
    severity,
    share_words,
    without,
)
from seatrial.analysis.findings.observed import DeviceTelemetry, Estimate, Finding, Observed
from seatrial.config.findings import FindingRules

HEALTHY = ("idle",)
"""Reasons for a low clock that are no fault: nothing to do."""


def look(observed: Observed, rules: FindingRules) -> Look:
    """Look for devices that are slow everywhere."""
    held, slow = throttled(observed, rules), below(observed.gemm, rules.device_of_ceiling.value)
    everywhere = bool(held) and 2 * len(held) > len(observed.telemetry)
    if not slow and not everywhere:
        return Look(seen=_seen(observed), unknown=_unknown(observed))
    cost = _cost(observed, rules, everywhere)
    found = "minor" if cost is None else severity(cost, rules)
    evidence = [f"{reading_words(r)}, under {rule_words(rules.device_of_ceiling)}" for r in slow[:3]]
    evidence += [_throttle_words(one) for one in held[:4]] if everywhere else []
    if cost is None and observed.shares:
        found = "inconclusive"
    if found is None:
        return Look(seen=tuple(evidence))
    share = observed.shares.get("compute")
    evidence += [] if share is None else [f"computing: {share_words(share)} of the time"]
    finding = Finding(
        cause="compute",
        severity=found,
        title="The clocks of the devices are held down"
        if everywhere
        else "All devices compute below what they can",
        where=observed.where,
        evidence=tuple(evidence),
        action="Find what holds the clocks down (power limit, cooling)"
        if everywhere
        else "Find what all devices share: power limit, driver, numeric library, precision",
        counter_evidence=(_fleet_words(observed), *_unknown(observed)),
        cost=cost,
        without_it="what it costs is not known"
        if cost is None
        else without(observed, cost, "computing gets faster by as much, and the rest of the step stays as it is"),
        next_step="run the probe gemm for 30 s on every device beside telemetry of clocks, power and temperature",
        remedy_cost="a setting where it is the power limit or the library; else works on cooling and power",
        place=place_of(observed),
    )
    return Look((finding,))


def throttled(observed: Observed, rules: FindingRules) -> list[DeviceTelemetry]:
    """Devices whose clocks were held down, for another reason than idling, more often than the rule allows."""
    return [
        one
        for one in observed.telemetry
        if max((s for reason, s in one.throttled.items() if reason not in HEALTHY), default=0.0)
        > rules.throttled.value
    ]


def _cost(observed: Observed, rules: FindingRules, everywhere: bool) -> Estimate | None:
    """Computing's share times what of it is lost: by the clocks, else by the matrix products."""
    share = observed.shares.get("compute")
    clocks = [t.sm_clock for t in observed.telemetry if t.sm_clock]
    free = [t.sm_clock for t in observed.telemetry if t.sm_clock and t not in throttled(observed, rules)]
    slow = below(observed.gemm, rules.device_of_ceiling.value)
    if share is None:
        return None
    if slow and slow[0].fraction_of_ceiling is not None:
        return share.times(max(0.0, 1 - slow[0].fraction_of_ceiling.value / rules.device_of_ceiling.value))
    if everywhere and clocks and free:
        return share.times(max(0.0, 1 - median(clocks) / max(free)))
    return None


def _throttle_words(one: DeviceTelemetry) -> str:
    reasons = ", ".join(
        f"{reason} {percent(share)}" for reason, share in sorted(one.throttled.items()) if share > 0
    )
    clock = "" if one.sm_clock is None else f", {one.sm_clock:.0f} MHz"
    heat = "" if one.temperature is None else f", {one.temperature:.0f} °C"
    return f"{one.host} {one.device}: clocks held down in {reasons} of the readings{clock}{heat}"


def _seen(observed: Observed) -> tuple[str, ...]:
    good = tuple(reading_words(r) for r in fractions(observed.gemm)[:2])
    if not observed.telemetry:
        return good
    return (*good, f"clocks of {len(observed.telemetry)} devices: not held down on most of them")


def _unknown(observed: Observed) -> tuple[str, ...]:
    said = [] if fractions(observed.gemm) else ["whether devices reach their peak: no probe gemm with a ceiling"]
    return (*said, *(() if observed.telemetry else ("clocks and throttling were not sampled",)))


def _fleet_words(observed: Observed) -> str:
    told = [d for d in observed.devices if d.slow is not None]
    if not told:
        return f"single slow devices: {NOT_MEASURED}"
    slow = sum(bool(d.slow) for d in told)
    return f"{slow} of {len(told)} readings of single devices lie far below their fleet"
