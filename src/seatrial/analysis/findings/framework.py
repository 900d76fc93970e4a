"""Whether the software holds the workload back: time is lost though links, storage and devices are as they should.

Three forms: communication that the probes' healthy fabric does not explain (too little overlap, too little work for
each rank), time in no phase at all, and checkpoints that are written far slower than storage takes them. A low MFU
is a fourth, where little time is lost in waiting.
"""

from __future__ import annotations

from seatrial.analysis.findings import interconnect, storage
from seatrial.analysis.findings.compute import throttled
from seatrial.analysis.findings.look import (
    NOT_MEASURED,
    Look,
    below,
    percent,
    place_of,
    reading_words,
    rule_words,
    severity,
    share_words,
    without,
)
from seatrial.analysis.findings.observed import Estimate, Finding, Observed, Part
from seatrial.config.findings import FindingRules

OTHERS: tuple[Part, ...] = ("data_wait", "checkpoint_stall")
REMEDY = "work of people on the program and its settings; nothing to buy"


def look(observed: Observed, rules: FindingRules) -> Look:
    """Look for all four forms."""
    parts = [
        _exposed(observed, rules),
        _other(observed, rules),
        _writer(observed, rules),
        _kernels(observed, rules),
    ]
    return Look(
        tuple(f for part in parts for f in part.findings),
        tuple(s for part in parts for s in part.seen),
        tuple(u for part in parts for u in part.unknown),
    )


def productive_but_for_others(observed: Observed) -> Estimate | None:
    """The productive fraction of the time that is not lost to other causes: late ranks, data, checkpoints."""
    lost = 0.0 if observed.lateness is None else observed.lateness.total.value
    lost += sum(observed.shares[part].value for part in OTHERS if part in observed.shares)
    return None if observed.productive is None or lost >= 1 else observed.productive.times(1 / (1 - lost))


def _productive_words(observed: Observed, rules: FindingRules) -> tuple[str, ...]:
    if observed.productive is None:
        return ()
    words = f"productive fraction {share_words(observed.productive)}"
    return (f"{words}, against {rule_words(rules.productive_high)}",)


def _exposed(observed: Observed, rules: FindingRules) -> Look:
    """Communication that no computation hides over links that are as they should be."""
    transfer = interconnect.transfer_share(observed)
    used = productive_but_for_others(observed)
    if transfer is None or not interconnect.sound(observed.fabric, rules):
        return Look()
    if used is not None and used.value > rules.productive_high.value:
        return Look()
    if (found := severity(transfer, rules)) is None:
        return Look()
    if used is not None and not used.under(rules.productive_high.value):
        found = "inconclusive"
    finding = Finding(
        cause="framework",
        severity=found,
        title=f"{percent(transfer.value)} of the time is communication that nothing hides, over sound links",
        where=observed.where,
        evidence=(f"exposed communication: {share_words(transfer)}", *_productive_words(observed, rules)),
        action="Hide communication behind computation, or communicate less often",
        counter_evidence=interconnect.look(observed, rules).seen,
        cost=transfer,
        without_it=without(observed, transfer, "all of it were hidden, which is the most that there is to gain"),
        next_step="profile a few steps (exposed_communication), then larger batches for each rank, gradient "
        "accumulation, larger buckets, another way to share the model",
        remedy_cost=REMEDY,
        place=place_of(observed),
    )
    return Look((finding,))


def _other(observed: Observed, rules: FindingRules) -> Look:
    """Time in no phase: Python, launches, logging, synchronisation."""
    other = observed.shares.get("other")
    if other is None:
        return Look()
    words = f"time in none of the phases: {share_words(other)}"
    found = severity(other, rules)
    if found is None:
        return Look(seen=(words,))
    finding = Finding(
        cause="framework",
        severity=found,
        title=f"{percent(other.value)} of the time goes to none of computing, communication, data and checkpoints",
        where=observed.where,
        evidence=(words, *_productive_words(observed, rules)),
        action="Find what the program does between its phases",
        counter_evidence=("links, storage and data have phases of their own, and this time is in none of them",),
        cost=other,
        without_it=without(observed, other),
        next_step="profile the program on one rank (py-spy, the profiler's trace) and look between the phases",
        remedy_cost=REMEDY,
        place=place_of(observed),
    )
    return Look((finding,))


def _writer(observed: Observed, rules: FindingRules) -> Look:
    """Checkpoints that storage would take much faster."""
    stall, held = observed.shares.get("checkpoint_stall"), observed.storage
    bound = storage.stall_bound(observed, rules)
    if stall is None or held is None or not storage.writer_is_slow(observed, rules):
        return Look()
    found = severity(stall, rules, bound.value)
    if found is None or held.checkpoint_gbps is None:
        return Look()
    write = held.bandwidth["write"]
    finding = Finding(
        cause="framework",
        severity=found,
        title=f"Checkpoints hold the training up for {percent(stall.value)} of the time, and storage is not why",
        where=observed.where,
        evidence=(
            f"checkpoint stalls: {share_words(stall)}, against {rule_words(bound)}",
            f"the training saves at {held.checkpoint_gbps:.4g} GB/s, a probe with {reading_words(write)}",
        ),
        action="Let all ranks write, in parallel or while training goes on",
        counter_evidence=("storage was probed and takes checkpoints faster than this training writes them",),
        cost=stall,
        without_it=f"{percent(stall.value)} less time from start to end, if {storage.ASYNC}",
        next_step="time serialisation and writing apart on one rank; try a distributed checkpoint",
        remedy_cost=REMEDY,
        place=place_of(observed),
    )
    return Look((finding,))


def _kernels(observed: Observed, rules: FindingRules) -> Look:
    """Little waiting, devices that reach their peak in a probe, and still few model FLOPs."""
    mfu, share = observed.mfu, observed.shares.get("compute")
    if mfu is None:
        return Look(unknown=("MFU was not measured",))
    words = f"MFU {share_words(mfu)}"
    if not mfu.under(rules.utilisation.value) or share is None:
        return Look(seen=(words,))
    if below(observed.gemm, rules.device_of_ceiling.value) or throttled(observed, rules):
        return Look(seen=(f"{words}: devices that are slow themselves explain it",))
    proven = any(r.fraction_of_ceiling for r in observed.gemm)
    cost = share.times(1 - mfu.value / rules.utilisation.value)
    found = severity(cost, rules)
    if found is None:
        return Look(seen=(words,))
    return Look((_kernel_finding(observed, rules, cost, proven, words),))


def _kernel_finding(observed: Observed, rules: FindingRules, cost: Estimate, proven: bool, words: str) -> Finding:
    sound = tuple(reading_words(r) for r in observed.gemm[:1]) if proven else ()
    found = severity(cost, rules) if proven else "inconclusive"
    return Finding(
        cause="framework",
        severity=found or "inconclusive",
        title="The program makes little of the devices while it computes",
        where=observed.where,
        evidence=(f"{words}, against {rule_words(rules.utilisation)}", *_productive_words(observed, rules)),
        action="Look at kernels, precision and batch size",
        counter_evidence=sound
        or (f"whether the devices themselves reach their peak: {NOT_MEASURED} (probe gemm)",),
        cost=cost,
        without_it=without(observed, cost, f"computing reached an MFU of {percent(rules.utilisation.value)}"),
        next_step="profile one rank: share of matrix products, launches, recomputation; then compile or fuse",
        remedy_cost=REMEDY,
        place=place_of(observed),
    )
