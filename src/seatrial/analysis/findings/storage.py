"""Whether storage holds the workload back: by checkpoints that it stands still for, or by data that it waits for.

A stall is storage's only where a probe's checkpoints are not much faster through the same file system: else what
writes them is slow (framework.py); where no probe of storage ran, or one finds it at its ceiling and the training's
own rate is not known, either may be. Waiting for data is storage's only where the loader fetches about as fast as
storage gives a probe (data_loading.py has the rest).
"""

from __future__ import annotations

from dataclasses import replace

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
from seatrial.analysis.findings.observed import Estimate, Finding, Loading, Observed, Severity, Storage
from seatrial.config.base import Threshold
from seatrial.config.findings import FindingRules
from seatrial.units import format_figure

REMEDY = (
    "saving asynchronously or less often costs no hardware, but memory for the copy and more work lost at a "
    "failure; faster storage is bought, and how much faster it must be follows from the probe (required_gbps)"
)
ASYNC = "training went on while checkpoints are written; the training clock and time to quality do not count them"


def look(observed: Observed, rules: FindingRules) -> Look:
    """Look for checkpoints that storage holds up, and for data that storage cannot give in time."""
    stalls, data = _stalls(observed, rules), _starved(observed, rules)
    return Look(stalls.findings + data.findings, stalls.seen + data.seen, stalls.unknown + data.unknown)


def stall_bound(observed: Observed, rules: FindingRules) -> Threshold:
    """The share that checkpoints may take: the rule's, or where that is more the least possible one."""
    optimum = observed.storage.optimum_share if observed.storage is not None else None
    if optimum is None or optimum <= rules.checkpoint_stall.value:
        return rules.checkpoint_stall
    return Threshold(value=optimum, source="the share at the interval that loses least (Young 1974)")


def writer_is_slow(observed: Observed, rules: FindingRules) -> bool:
    """Whether a probe writes checkpoints much faster to the same storage than the training does."""
    held = observed.storage
    if held is None or held.checkpoint_gbps is None or "write" not in held.bandwidth:
        return False
    low = held.bandwidth["write"].value.low
    return low is not None and held.checkpoint_gbps < rules.same_rate.value * low


def writer_is_untold(observed: Observed, rules: FindingRules) -> bool:
    """Whether storage or what writes to it may be slow: no probe wrote and none found storage slow, or storage is
    at its ceiling and nothing says how fast the training itself writes.
    """
    held = observed.storage
    write = None if held is None else held.bandwidth.get("write")
    if held is None or write is None:
        return not _slow_words(held, rules)
    fraction = None if held.checkpoint_gbps is not None else write.fraction_of_ceiling
    return fraction is not None and fraction.over(rules.storage_of_ceiling.value)


def starving(observed: Observed, rules: FindingRules) -> Loading | None:
    """The loader that gives too little although it fetches about what storage gave a probe, or None."""
    read = None if observed.storage is None else observed.storage.bandwidth.get("read")
    for loading in observed.loading:
        if loading.needed is None or not loading.supply.value.under(loading.needed):
            continue
        if read is None or not loading.from_storage or loading.storage_gbps is None:
            continue
        if loading.storage_gbps >= rules.same_rate.value * read.value.value:
            return loading
    return None


def _stalls(observed: Observed, rules: FindingRules) -> Look:
    stall, bound = observed.shares.get("checkpoint_stall"), stall_bound(observed, rules)
    slow = _slow_words(observed.storage, rules)
    if stall is None:
        return Look(findings=_probed_only(observed, slow), unknown=("checkpoint stalls were not measured",))
    found = severity(stall, rules, bound.value)
    if found is None or writer_is_slow(observed, rules):
        words = f"checkpoint stalls: {share_words(stall)}, against {rule_words(bound)}"
        return Look(seen=(words, *_optimum_words(observed, stall)))
    finding = _stall_finding(observed, stall, bound, found, slow)
    if writer_is_untold(observed, rules):
        finding = replace(
            finding,
            severity="inconclusive",
            title=f"{finding.title}; whether storage or what writes them is slow is not yet known",
            action="Time serialisation and writing apart; saving asynchronously or less often shortens either",
        )
    return Look((finding,))


def _optimum_words(observed: Observed, stall: Estimate) -> tuple[str, ...]:
    optimum = None if observed.storage is None else observed.storage.optimum_share
    if optimum is None:
        return ()
    word = "more than" if stall.over(optimum) else "not told to be more than"
    return (f"{word} the least possible share of {percent(optimum)} (Young 1974): the interval may be longer",)


def _stall_finding(
    observed: Observed, stall: Estimate, bound: Threshold, found: Severity, slow: tuple[str, ...]
) -> Finding:
    held = observed.storage or Storage()
    own = () if held.stall_seconds is None else (f"one checkpoint stalls {format_figure(held.stall_seconds)} s",)
    return Finding(
        cause="storage",
        severity=found,
        title=f"Checkpoints hold the training up for {percent(stall.value)} of the time",
        where=observed.where,
        evidence=(f"checkpoint stalls: {share_words(stall)}, against {rule_words(bound)}", *own, *slow),
        action="Shorten the stall: save asynchronously or less often; where probes read a slow storage, mend that",
        counter_evidence=(*_writer_words(held), *_good_words(held, slow)),
        cost=stall,
        without_it=f"{percent(stall.value)} less time from start to end, if {ASYNC}",
        next_step="run the probe checkpoint with the model's bytes in the same folder: checkpoint_interval.csv has "
        "the interval that loses least and the bandwidth that is required",
        remedy_cost=REMEDY,
        place=place_of(observed),
    )


def _probed_only(observed: Observed, slow: tuple[str, ...]) -> tuple[Finding, ...]:
    """Storage that probes read far below its ceiling, where no training says what that costs."""
    if not slow or observed.shares:
        return ()
    return (
        Finding(
            cause="storage",
            severity="minor",
            title="Storage stays far below its ceiling",
            where=observed.where,
            evidence=slow,
            action="Look at the storage before trainings depend on it",
            counter_evidence=(f"what it costs a training: {NOT_MEASURED}",),
            without_it="what it costs is not known: no training of this study was split",
            next_step="run the probe checkpoint from one node and from all: a slow client or a slow server",
            remedy_cost=REMEDY,
            place=place_of(observed),
        ),
    )


def _starved(observed: Observed, rules: FindingRules) -> Look:
    wait, loading = observed.shares.get("data_wait"), starving(observed, rules)
    if wait is None or loading is None:
        return Look()
    found = severity(wait, rules)
    if found is None:
        return Look()
    assert observed.storage is not None and loading.storage_gbps is not None
    read = observed.storage.bandwidth["read"]
    finding = Finding(
        cause="storage",
        severity=found,
        title=f"The training waits {percent(wait.value)} of the time for data that storage cannot give faster",
        where=observed.where,
        evidence=(
            f"waiting for data: {share_words(wait)}",
            f"{reading_words(loading.supply)}; the training needs {format_figure(loading.needed)}",
            f"the loader fetches {format_figure(loading.storage_gbps)} GB/s, and a probe read no more than "
            f"{format_figure(read.value.value)} GB/s",
        ),
        action="Read less or from faster storage: a local copy, larger files, a packed format",
        counter_evidence=(f"{rules.same_rate.value:g} of the probe's rate or more: not the loader's own work",),
        cost=wait,
        without_it=without(observed, wait),
        next_step="run the probe dataload on a local copy of the same data: if it suffices there, storage it is",
        remedy_cost="space on local disks and the time of a copy; faster shared storage is bought",
        place=place_of(observed),
    )
    return Look((finding,))


def _slow_words(held: Storage | None, rules: FindingRules) -> tuple[str, ...]:
    if held is None:
        return ()
    low = below([*held.bandwidth.values(), *held.other], rules.storage_of_ceiling.value)
    return tuple(f"{reading_words(r)}, under {rule_words(rules.storage_of_ceiling)}" for r in low[:4])


def _writer_words(held: Storage) -> tuple[str, ...]:
    write = held.bandwidth.get("write")
    if write is None:
        return (f"whether the writer rather than storage is slow: {NOT_MEASURED} (no probe of checkpoints)",)
    if held.checkpoint_gbps is None:
        return (f"{reading_words(write)}; how many bytes the training saves is not known",)
    return (f"{reading_words(write)}; the training saves {format_figure(held.checkpoint_gbps)} GB/s itself",)


def _good_words(held: Storage, slow: tuple[str, ...]) -> tuple[str, ...]:
    ceiling = any(r.fraction_of_ceiling for r in held.bandwidth.values())
    return ("storage gives a probe what is declared of it: it is not broken",) if ceiling and not slow else ()
