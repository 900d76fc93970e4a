"""Whether single devices run below the others because their clocks are held down: heat, a brake, a power limit.

Where the clocks of most are, the fleet has the fault (compute.py). Where each rank's own time is known, that says
what the device costs (straggler.py), and this look says nothing.
"""

from __future__ import annotations

from seatrial.analysis.findings.compute import held_back, throttle_words
from seatrial.analysis.findings.look import NOT_MEASURED, Look, percent, place_of, rule_words
from seatrial.analysis.findings.observed import DeviceTelemetry, Finding, Observed
from seatrial.config.findings import FindingRules

REMEDY = "works on cooling or power of one node, and that node out of service for the time; a spare one meanwhile"


def look(observed: Observed, rules: FindingRules) -> Look:
    """Look for devices that lack clock beside their fleet, where no rank's own time says what that costs."""
    if observed.lateness is not None:
        return Look()
    held = held_back(observed, rules)
    hosts = dict.fromkeys(one.host for one, _ in held)
    return Look(tuple(_finding(observed, rules, host, [h for h in held if h[0].host == host]) for host in hosts))


def _finding(
    observed: Observed, rules: FindingRules, host: str, held: list[tuple[DeviceTelemetry, float]]
) -> Finding:
    names = ", ".join(one.device for one, _ in held)
    most = max(share for _, share in held)
    return Finding(
        cause="compute",
        severity="minor",
        title=f"{names} of {host}: clocks held down, {percent(most)} below the devices beside "
        f"{'it' if len(held) == 1 else 'them'} that run free",
        where=f"{observed.where}, {host}",
        evidence=tuple(
            f"{throttle_words(one)}; {percent(share)} below the free devices' median, against "
            f"{rule_words(rules.least_share)}"
            for one, share in held[:5]
        ),
        action=f"Look at cooling and power of {host}, and leave it out of trainings until then",
        counter_evidence=(
            f"what it costs a training: {NOT_MEASURED} (no rank's own time is known)",
            f"{len(observed.telemetry)} devices were sampled, and the clocks of most are not held down",
        ),
        without_it="what it costs is not known; where all wait for the slowest, its clock is everyone's",
        next_step="run the probe gemm for 30 s on it and on a good device, beside telemetry; profile a few steps",
        remedy_cost=REMEDY,
        place=place_of(observed, host=host, device=names),
    )
