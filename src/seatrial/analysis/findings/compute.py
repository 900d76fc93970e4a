"""Whether the devices hold the workload back: all of them below what they can do, or with clocks held down.

A single slow device or host is a straggler (straggler.py, held_device.py). That most time goes to
computing is no fault.
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
POWER_CAP = ("power_cap", "sw_power_cap")
"""Reasons that a sound device has too, at full load: its power limit. Only the clock that it loses is a fault."""


def look(observed: Observed, rules: FindingRules) -> Look:
    """Look for devices that are slow everywhere."""
    held, slow = throttled(observed, rules), below(observed.gemm, rules.device_of_ceiling.value)
    everywhere = _held_down(observed, rules)
    if not slow and not everywhere:
        return Look(seen=_seen(observed, rules), unknown=_unknown(observed))
    cost = _cost(observed, rules, everywhere)
    found = "minor" if cost is None else severity(cost, rules)
    evidence = [f"{reading_words(r)}, under {rule_words(rules.device_of_ceiling)}" for r in slow[:3]]
    evidence += [*(throttle_words(one) for one in held[:4]), _lost_words(observed, rules)] if everywhere else []
    if cost is None and (observed.shares or not slow):
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
    return [one for one in observed.telemetry if _reasons(one, rules)]


def held_back(observed: Observed, rules: FindingRules) -> list[tuple[DeviceTelemetry, float]]:
    """Of a minority whose clocks are held down, devices that lack clock beyond the rule, with the share lacking.

    Their clock is held against the median of the devices that work beside them and run free.
    """
    held = throttled(observed, rules)
    free = [one.sm_clock for one in _told(observed) if one.sm_clock and one not in held and not _idle(one, rules)]
    if not free or 2 * len(held) > len(_told(observed)):
        return []
    usual = median(free)
    lost = [(one, 1 - one.sm_clock / usual) for one in held if one.sm_clock]
    return [(one, share) for one, share in lost if share > rules.least_share.value]


def _reasons(one: DeviceTelemetry, rules: FindingRules) -> list[str]:
    return [r for r, share in one.throttled.items() if r not in HEALTHY and share > rules.throttled.value]


def _idle(one: DeviceTelemetry, rules: FindingRules) -> bool:
    """Whether its clock was low for lack of work, so that it says nothing of the others'."""
    return any(one.throttled.get(reason, 0.0) > rules.throttled.value for reason in HEALTHY)


def _told(observed: Observed) -> list[DeviceTelemetry]:
    """Devices of which it was sampled whether their clocks were held down."""
    return [one for one in observed.telemetry if one.throttled]


def _held_down(observed: Observed, rules: FindingRules) -> bool:
    """Whether the clocks of most devices are held down so that it may be a fault.

    Where the clock that is lost was measured, it decides. Else a power limit is none, and no reason is one where
    the productive fraction is high.
    """
    held = throttled(observed, rules)
    if not held or 2 * len(held) <= len(_told(observed)):
        return False
    lost = _clock_lost(observed, rules)
    if lost is not None:
        return lost > rules.least_share.value
    healthy = observed.productive is not None and observed.productive.value > rules.productive_high.value
    return not healthy and any(reason not in POWER_CAP for one in held for reason in _reasons(one, rules))


def _clock_lost(observed: Observed, rules: FindingRules) -> float | None:
    """What share of its clock a held device lacks beside the fastest that is not held; None: nothing compares."""
    held = throttled(observed, rules)
    low = [one.sm_clock for one in held if one.sm_clock]
    free = [one.sm_clock for one in _told(observed) if one.sm_clock and one not in held and not _idle(one, rules)]
    return max(0.0, 1 - median(low) / max(free)) if low and free else None


def _cost(observed: Observed, rules: FindingRules, everywhere: bool) -> Estimate | None:
    """Computing's share times what of it is lost: by the clocks, else by the matrix products."""
    share = observed.shares.get("compute")
    slow = below(observed.gemm, rules.device_of_ceiling.value)
    if share is None:
        return None
    if slow and slow[0].fraction_of_ceiling is not None:
        return share.times(max(0.0, 1 - slow[0].fraction_of_ceiling.value / rules.device_of_ceiling.value))
    lost = _clock_lost(observed, rules) if everywhere else None
    return None if lost is None else share.times(lost)


def throttle_words(one: DeviceTelemetry) -> str:
    reasons = ", ".join(
        f"{reason} {percent(share)}" for reason, share in sorted(one.throttled.items()) if share > 0
    )
    clock = "" if one.sm_clock is None else f", {one.sm_clock:.0f} MHz"
    heat = "" if one.temperature is None else f", {one.temperature:.0f} °C"
    return f"{one.host} {one.device}: clocks held down in {reasons} of the readings{clock}{heat}"


def _seen(observed: Observed, rules: FindingRules) -> tuple[str, ...]:
    good = tuple(reading_words(r) for r in fractions(observed.gemm)[:2])
    told, held = _told(observed), throttled(observed, rules)
    if not told:
        return good
    if not held:
        return (*good, f"clocks of {len(told)} devices: not held down")
    reasons = ", ".join(sorted({reason for one in held for reason in _reasons(one, rules)}))
    words = f"held down on {len(held)} ({reasons})"
    return (*good, f"clocks of {len(told)} devices: {words}; {_lost_words(observed, rules)}")


def _lost_words(observed: Observed, rules: FindingRules) -> str:
    lost = _clock_lost(observed, rules)
    if lost is None:
        return "what clock that costs is not known: no device beside them runs free"
    return f"that costs {percent(lost)} of the clock of the fastest device beside them that runs free"


def _unknown(observed: Observed) -> tuple[str, ...]:
    said = [] if fractions(observed.gemm) else ["whether devices reach their peak: no probe gemm with a ceiling"]
    if not _told(observed):
        clocks = any(one.sm_clock for one in observed.telemetry)
        said.append(
            "whether clocks were held down was not sampled" if clocks else "clocks and throttling were not sampled"
        )
    return tuple(said)


def _fleet_words(observed: Observed) -> str:
    told = [d for d in observed.devices if d.slow is not None]
    if not told:
        return f"single slow devices: {NOT_MEASURED}"
    slow = sum(bool(d.slow) for d in told)
    return f"{slow} of {len(told)} readings of single devices lie far below their fleet"
