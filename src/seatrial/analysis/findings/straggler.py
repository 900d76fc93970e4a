"""Whether one host, or one rank of it, or a few of them, keep all others waiting in every step.

Waiting for a late rank looks like slow communication on every other rank. Told apart by the ranks' own times,
without waiting: the late rank's is longest, and it waits least itself. Chance makes another rank late in each step;
a straggler is the same in most steps, and stands out from the others. Waiting for data is no work: where it
is known by rank, a rank that is late for that alone is data_loading.py's.
"""

from __future__ import annotations

from seatrial.analysis.findings.compute import throttled
from seatrial.analysis.findings.look import (
    NOT_MEASURED,
    Look,
    difference,
    percent,
    place_of,
    rule_words,
    severity,
    share_words,
    without,
)
from seatrial.analysis.findings.observed import DeviceReading, Finding, Lateness, Observed, Severity
from seatrial.config.findings import FindingRules
from seatrial.units import format_figure

FEWEST_PLACES = 3
"""Of two places none can be said to be the odd one."""
LOADER_MAY = 0.5
"""Of the lateness that waiting for data could explain from which on it is said that it may."""
ALONE = "the place were as fast as the next slowest, and all else stayed as it is"
TOGETHER = "these places were as fast as the next slowest, and all else stayed as it is"
REMEDY = (
    "a spare node, or one node fewer, for the time of the repair; a broken device is exchanged under its warranty"
)


def look(observed: Observed, rules: FindingRules) -> Look:
    """Look for a place that is late in most steps."""
    late = observed.work_lateness or observed.lateness
    probed = _probed_only(observed)
    if late is None:
        return Look(probed, unknown=("each rank's own time was not measured",))
    said = f"waiting for whoever is last: {share_words(late.total)}"
    if late.persistent is None or late.place is None or not stands_out(late, rules):
        return _unnamed(observed, rules, late, said)
    found = severity(late.persistent, rules)
    if found is None:
        return Look(seen=(f"{said}; {late.place} is slowest, which costs {share_words(late.persistent)}",))
    return Look((_finding(observed, rules, late, _firm(observed, rules, late, found)),))


def stands_out(late: Lateness, rules: FindingRules) -> bool:
    """Whether the place is slower than the rule allows and beyond the others' spread, in most steps.

    Of several places one is last by chance in their share of the steps: that is taken off.
    """
    if late.over_median is None or late.over_median.value <= 1 + rules.straggler_slower.value:
        return False
    chance = late.slow_places / late.places if late.slow_places > 1 and late.places else 0.0
    persistence = chance + (1 - chance) * rules.straggler_persistence.value
    if late.slowest_in is not None and late.slowest_in < persistence:
        return False
    return late.places < FEWEST_PLACES or late.robust_z is None or late.robust_z > rules.straggler_z.value


def _firm(observed: Observed, rules: FindingRules, late: Lateness, found: Severity) -> Severity:
    """A suspicion without an interval beyond the rule; of two places, or against the ranks' own waits, as well,
    unless a probe confirms it.
    """
    if late.over_median is None or not late.over_median.over(1 + rules.straggler_slower.value):
        return "inconclusive"
    if _confirmed(observed, late):
        return found
    return "inconclusive" if late.places < FEWEST_PLACES or _waits_least(observed, late) is False else found


def _confirmed(observed: Observed, late: Lateness) -> bool:
    """Whether a probe finds slow devices on every host that is named."""
    hosts = set(late.hosts or (late.host,))
    return hosts <= {d.host for d in observed.devices if d.slow}


def _waits_least(observed: Observed, late: Lateness) -> bool | None:
    """Whether a rank of the place waits least of all; None where waits were not measured by rank."""
    waits = {rank.rank: rank.wait_seconds for rank in observed.rank_times if rank.wait_seconds is not None}
    if len(waits) < 2 or not set(late.ranks) & set(waits):
        return None
    return min(waits, key=lambda rank: waits[rank]) in late.ranks


def _finding(observed: Observed, rules: FindingRules, late: Lateness, found: Severity) -> Finding:
    cost, over = late.persistent, late.over_median
    assert cost is not None and over is not None
    z = "" if late.robust_z is None else f", robust z {format_figure(late.robust_z, 3)}"
    one = late.slow_places == 1
    whose = "its" if one else "their"
    slower = f"{late.place}: {whose} own work takes {format_figure(over.value)} times the others' median"
    ends = "" if over.low is None else f" ({format_figure(over.low)} to {format_figure(over.high)})"
    hosts, named = late.hosts or (late.host,), late.host or ", ".join(late.hosts) or late.place
    evidence = [f"{slower}{ends}{z}, against {rule_words(rules.straggler_slower)}"]
    evidence.append(f"waiting for whoever is last: {share_words(late.total)}")
    if late.slowest_in is not None:
        who = "it is" if one else f"one of these {late.slow_places} is"
        evidence.append(f"{who} last in {percent(late.slowest_in)} of the steps, of {late.places} places")
    return Finding(
        cause="straggler_node",
        severity=found,
        title=f"{late.place} keep{'s' if one else ''} the others waiting: {percent(cost.value)} of the time",
        where=f"{observed.where}, {late.place}",
        evidence=(*evidence, *(words for host in hosts for words in _device_words(observed, rules, host))),
        action=f"Leave {named} out, and look for what makes {'it' if one else 'them'} slow",
        counter_evidence=_against(observed, late),
        cost=cost,
        without_it=without(observed, cost, ALONE if one else TOGETHER),
        next_step="run gemm and memory on every node with telemetry, and compare clocks, power, temperature and "
        f"other processes of {named}; then the study again without {'it' if one else 'them'}",
        remedy_cost=REMEDY,
        place=place_of(
            observed,
            host=late.host,
            hosts=list(late.hosts) if len(late.hosts) > 1 else None,
            ranks=list(late.ranks) or None,
        ),
    )


def _unnamed(observed: Observed, rules: FindingRules, late: Lateness, said: str) -> Look:
    """No place stands out: a suspicion where waiting is more than chance makes, else nothing is found."""
    words = f"{said}; no place stands out among {late.places}"
    cost = None if late.random is None else difference(late.total, late.random)
    if cost is None or cost.value <= rules.least_share.value or cost.low == 0:
        return Look(seen=(words,))
    assert late.random is not None
    finding = Finding(
        cause="straggler_node",
        severity="inconclusive",
        title=f"{percent(cost.value)} of the time is waiting for late ranks beyond chance; no place stands out",
        where=observed.where,
        evidence=(words, f"by chance alone it would be {share_words(late.random)}"),
        action="Find out which nodes or ranks are slower than the others",
        counter_evidence=("the ranks' own times differ, but no place is far from the others in most steps",),
        cost=cost,
        without_it=without(observed, cost, "all ranks were as fast as the mean rank but for chance"),
        next_step="run gemm and memory on every node with telemetry, and compare the nodes; look whether ranks "
        "have unequal work (data of unequal length, stages of a pipeline)",
        remedy_cost="minutes of the nodes for the probes; nothing to repair before they have run",
        place=place_of(observed),
    )
    return Look((finding,))


def _device_words(observed: Observed, rules: FindingRules, host: str | None) -> tuple[str, ...]:
    slow = [f"probe of {d.host} {_beside_fleet(d)}" for d in observed.devices if d.slow and d.host == host]
    held = [f"clocks of {t.host} {t.device} are held down" for t in throttled(observed, rules) if t.host == host]
    return (*slow[:3], *held[:2])


def _against(observed: Observed, late: Lateness) -> tuple[str, ...]:
    least = _waits_least(observed, late)
    words = {True: "it waits least of all, as a late rank does", False: "but another rank waits less", None: ""}[
        least
    ]
    said = [words or f"whether it waits least: {NOT_MEASURED}"]
    if not _confirmed(observed, late):
        probed = any(d.host in (late.hosts or (late.host,)) for d in observed.devices)
        said.append(
            "probes of its devices find them like their fleet: the cause is not the device alone"
            if probed
            else f"its devices by themselves: {NOT_MEASURED} (probes gemm, memory)"
        )
    said += _loader_words(observed, late)
    if late.places < FEWEST_PLACES:
        said.append(f"of {late.places} places none can be said to be the odd one")
    return tuple(said)


def _loader_words(observed: Observed, late: Lateness) -> list[str]:
    """Whether it may be waiting for data that makes it late: what all wait, taken to be the place's alone."""
    if observed.work_lateness is not None:
        return ["its waiting for data is not counted as its work"]
    wait, ranks = observed.shares.get("data_wait"), observed.ranks or len(observed.rank_times)
    if wait is None or late.persistent is None or not late.ranks:
        return []
    if wait.value * ranks / len(late.ranks) < LOADER_MAY * late.persistent.value:
        return ["all ranks' waiting for data is too short to be what makes it late"]
    return [f"it may be its data loader: each rank's own waiting for data is {NOT_MEASURED}"]


def _probed_only(observed: Observed) -> tuple[Finding, ...]:
    """Devices that probes find far below their fleet, where no training says what they cost."""
    if observed.shares or observed.lateness is not None:
        return ()
    found = []
    for host in sorted({d.host for d in observed.devices if d.slow}):
        of_host = [d for d in observed.devices if d.slow and d.host == host]
        found.append(
            Finding(
                cause="straggler_node",
                severity="minor",
                title=f"{host} has {len(of_host)} reading{'s' if len(of_host) > 1 else ''} far below its fleet",
                where=f"{observed.where}, {host}",
                evidence=tuple(_beside_fleet(d) for d in of_host[:5]),
                action=f"Leave {host} out of trainings, and look for what makes it slow",
                counter_evidence=(f"what it costs a training: {NOT_MEASURED}",),
                without_it="what it costs is not known: no training of this study was split",
                next_step="run the probes again on it and on a good node; compare clocks, power and temperature",
                remedy_cost=REMEDY,
                place=place_of(observed, host=host),
            )
        )
    return tuple(found)


def _beside_fleet(one: DeviceReading) -> str:
    words = f"{one.device or f'rank {one.rank}'}: {one.metric} {format_figure(one.value)} {one.unit}"
    return words if one.ratio is None else f"{words}, {percent(one.ratio)} of its fleet's median"
