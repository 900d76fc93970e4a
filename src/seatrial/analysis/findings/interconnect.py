"""Whether the links hold the workload back: communication that nothing hides, and probes that show a slow fabric.

Exposed communication alone is no slow link: where the probes reach their ceiling, the framework hides too little
(framework.py), and waiting for a late rank is not transfer (straggler.py). One slow link is told from slow links
everywhere by the pairs: one pair or end far below the typical pair, or the typical pair far below its ceiling.
"""

from __future__ import annotations

from typing import NamedTuple

from seatrial.analysis.findings.look import (
    NOT_MEASURED,
    Look,
    below,
    difference,
    fractions,
    percent,
    place_of,
    reading_words,
    rule_words,
    severity,
    share_words,
    without,
)
from seatrial.analysis.findings.observed import Estimate, Fabric, Finding, Observed, Reading, Severity, SlowPair
from seatrial.config.findings import FindingRules

PROBES = "run the probes collective and bisection (pairwise) between the same nodes, in the same study"
REMEDY = (
    "testing a cable, a transceiver or a port takes an exchange, and a node out of service for the time; more or "
    "faster links are bought, to be priced only once the probes show that the declared links are used up"
)


class Slow(NamedTuple):
    """A fault of the fabric: how many times faster communication would be without it is 1 / `left`."""

    left: float
    words: str
    pair: SlowPair | None = None


def transfer_share(observed: Observed) -> Estimate | None:
    """Exposed communication that is no waiting for late ranks, as a share of the time; None where unknown.

    Where lateness was measured apart, its interval is taken off at the ends that leave least and most.
    """
    whole = observed.transfer or observed.shares.get("communication") or observed.profiled_exposed
    if whole is None or observed.transfer is not None or observed.lateness is None:
        return whole
    return difference(whole, observed.lateness.total)


def sound(fabric: Fabric | None, rules: FindingRules) -> bool:
    """Whether probes say that the fabric is as it should be: a reading is beyond doubt, and none reads less."""
    bound = rules.fabric_of_ceiling.value
    known = [] if fabric is None else [r.fraction_of_ceiling for r in _readings(fabric) if r.fraction_of_ceiling]
    return any(f.over(bound) for f in known) and all(f.value >= bound for f in known) and not faults(fabric, rules)


def faults(fabric: Fabric | None, rules: FindingRules) -> list[Slow]:
    """What probes show to be slow, the worst first: named pairs and ends, then readings far below their ceiling."""
    if fabric is None:
        return []
    found = [Slow(pair.ratio, _pair_words(pair), pair) for pair in fabric.slow]
    bound = rules.fabric_of_ceiling.value
    for reading in below(_readings(fabric), bound):
        assert reading.fraction_of_ceiling is not None
        words = f"{reading_words(reading)}; a healthy fabric reaches {rule_words(rules.fabric_of_ceiling)}"
        found.append(Slow(reading.fraction_of_ceiling.value / bound, words))
    return sorted(found, key=lambda slow: (slow.pair is None, slow.left))


def look(observed: Observed, rules: FindingRules) -> Look:
    """Look for slow links."""
    slow, transfer = faults(observed.fabric, rules), transfer_share(observed)
    if transfer is None:
        if slow:
            return Look((_finding(observed, rules, slow, None, "minor"),))
        said = _seen(observed.fabric)
        return Look(seen=said, unknown=("exposed communication was not measured",))
    if not slow:
        return _without_fault(observed, rules, transfer)
    cost = transfer.times(1 - min(s.left for s in slow))
    found = severity(cost, rules)
    if found is None:
        words = (
            f"{slow[0].words}; but it costs {share_words(cost)} of the time, not over {rules.least_share.value:g}"
        )
        return Look(seen=(words,))
    return Look((_finding(observed, rules, slow, cost, found),))


def _without_fault(observed: Observed, rules: FindingRules, transfer: Estimate) -> Look:
    """No probe shows a fault: with probes beyond doubt that is an answer, without them it is none."""
    said = f"exposed communication without waiting for late ranks: {share_words(transfer)}"
    read = _seen(observed.fabric)
    if sound(observed.fabric, rules):
        return Look(seen=(said, *read))
    lost = observed.productive is None or not observed.productive.over(rules.productive_high.value)
    if not lost or not transfer.over(1 - rules.productive_high.value):
        return Look(seen=(said, *read), unknown=("no probe says whether the links reach what they should",))
    return Look((_suspected(observed, rules, transfer, (said, *read)),))


def _suspected(observed: Observed, rules: FindingRules, transfer: Estimate, said: tuple[str, ...]) -> Finding:
    probed = (
        f"no probe reads beyond doubt what a healthy fabric reaches, {rule_words(rules.fabric_of_ceiling)}"
        if len(said) > 1
        else f"probes of the fabric: {NOT_MEASURED}"
    )
    return Finding(
        cause="interconnect",
        severity="inconclusive",
        title=f"{percent(transfer.value)} of the time is exposed communication; whether by the links or by too "
        "little overlap is not yet known",
        where=observed.where,
        evidence=said,
        action="Measure the links before anything is changed",
        counter_evidence=(probed, *_late_words(observed)),
        cost=transfer,
        without_it=without(observed, transfer, "all of it were hidden, which is the most that there is to gain"),
        next_step=f"{PROBES}, with repeats enough for an interval",
        remedy_cost="minutes of the nodes for the probes; nothing to buy before they have run",
        place=place_of(observed),
    )


def _finding(
    observed: Observed, rules: FindingRules, slow: list[Slow], cost: Estimate | None, found: Severity
) -> Finding:
    named = slow[0].pair
    transfer = transfer_share(observed)
    shares = () if transfer is None else (f"exposed communication without late ranks: {share_words(transfer)}",)
    return Finding(
        cause="interconnect",
        severity=found,
        title=_title(observed.fabric, named),
        where=f"{observed.where}, {_ends(named)}" if named else observed.where,
        evidence=(*shares, *(s.words for s in slow[:5])),
        action=f"Look at {_links(named)} first, then measure again",
        counter_evidence=(*_late_words(observed), *_fine(observed.fabric, rules)),
        cost=cost,
        without_it="what it costs is not known: no training of this study was split"
        if cost is None
        else without(observed, cost, "all transfer waits for the slowest of these, and it reached what it should"),
        next_step=_next_step(named),
        remedy_cost=REMEDY,
        place=place_of(observed, pair=_ends(named) if named else None, host=_host(named)),
    )


def _title(fabric: Fabric | None, named: SlowPair | None) -> str:
    if named is None:
        return "The links are slow everywhere: the fabric stays far below its ceiling"
    if named.second is None:
        return f"All links of {named.first} are slow"
    others = len(fabric.slow) - 1 if fabric is not None else 0
    return f"The link between {_ends(named)} is slow" + (f", and {others} more" if others else "")


def _ends(pair: SlowPair | None) -> str:
    return "" if pair is None else pair.first if pair.second is None else f"{pair.first} and {pair.second}"


def _host(pair: SlowPair | None) -> str | None:
    return pair.first if pair is not None and pair.second is None else None


def _links(pair: SlowPair | None) -> str:
    if pair is None:
        return "what all links share (switches, MTU, the transport that the library chose)"
    return f"the link{'s' if pair.second is None else ''} of {_ends(pair)}"


def _next_step(pair: SlowPair | None) -> str:
    if pair is None:
        return "check the transport (NCCL_DEBUG=INFO), link rates and error counters; then run collective again"
    return (
        f"check the rate and error counters of the ports of {_ends(pair)} (ethtool, ibstat), exchange cable or "
        "transceiver, and run bisection with pairwise again; meanwhile leave the node out"
    )


def _pair_words(pair: SlowPair) -> str:
    who = f"pair {pair.first} to {pair.second}" if pair.second is not None else f"every pair of {pair.first}"
    chance = "" if pair.p is None else f", p = {pair.p:.2g} on a uniform fabric"
    return f"{who}: {pair.gbps:.4g} GB/s, {percent(pair.ratio)} of the typical pair{chance}"


def _readings(fabric: Fabric) -> list[Reading]:
    typical = [fabric.typical_pair] if fabric.typical_pair is not None else []
    return [*fabric.collectives, *fabric.bisection, *typical]


def _seen(fabric: Fabric | None) -> tuple[str, ...]:
    if fabric is None:
        return ()
    pairs = (f"no slow one among {fabric.pairs} pairs",) if fabric.pairs and not fabric.untold else ()
    return (*pairs, *(reading_words(r) for r in fractions(_readings(fabric))[:4]))


def _fine(fabric: Fabric | None, rules: FindingRules) -> tuple[str, ...]:
    """What of the fabric is as it should be."""
    if fabric is None:
        return (f"probes of the fabric: {NOT_MEASURED}",)
    bound = rules.fabric_of_ceiling.value
    good = [r for r in fractions(_readings(fabric)) if r.fraction_of_ceiling and r.fraction_of_ceiling.over(bound)]
    none = () if fabric.slow or not fabric.pairs else (f"no single slow pair among {fabric.pairs}",)
    return (*none, *(f"as it should be: {reading_words(r)}" for r in good[:3]))


def _late_words(observed: Observed) -> tuple[str, ...]:
    if observed.lateness is None:
        return (f"waiting for late ranks, which is no transfer: {NOT_MEASURED}",)
    return (f"waiting for late ranks, taken off the communication: {share_words(observed.lateness.total)}",)
