"""Whether loading data holds the workload back: waiting for it, with a loader that gives less than is needed.

A loader that is slow on one rank makes all others wait for that rank, which on them looks like communication: where
waiting is known by rank, the cost is what the step would be shorter. Where the loader fetches about as fast as
storage gives a probe, the cause is storage (storage.py).
"""

from __future__ import annotations

from seatrial.analysis.findings.look import (
    NOT_MEASURED,
    Look,
    percent,
    place_of,
    reading_words,
    severity,
    share_words,
    without,
)
from seatrial.analysis.findings.observed import Estimate, Finding, Lateness, Loading, Observed, Severity
from seatrial.analysis.findings.storage import starving
from seatrial.analysis.findings.straggler import stands_out
from seatrial.config.findings import FindingRules
from seatrial.units import format_figure


def look(observed: Observed, rules: FindingRules) -> Look:
    """Look for waiting on data that storage does not explain."""
    wait = observed.shares.get("data_wait")
    if wait is None:
        return Look(seen=_supply_words(observed), unknown=("waiting for data was not measured",))
    cost = observed.data_held or wait
    found = severity(cost, rules)
    if found is None:
        return Look(seen=(f"waiting for data: {share_words(cost)}", *_supply_words(observed)))
    if starving(observed, rules) is not None:
        return Look(seen=(f"waiting for data: {share_words(wait)}: storage's, not the loader's",))
    return Look((_finding(observed, cost, found, _late_for_data(observed, rules)),))


def _late_for_data(observed: Observed, rules: FindingRules) -> Lateness | None:
    """The place that is late in most steps for its waiting for data alone; None where there is none."""
    late, work = observed.lateness, observed.work_lateness
    if late is None or work is None or late.place is None or not stands_out(late, rules):
        return None
    return None if late.place == work.place and stands_out(work, rules) else late


def _finding(observed: Observed, cost: Estimate, found: Severity, late: Lateness | None) -> Finding:
    wait = observed.shares["data_wait"]
    title = f"The training waits {percent(cost.value)} of the time for data"
    held = () if observed.data_held is None else (f"with waiting for ranks that wait: {share_words(cost)}",)
    if late is not None:
        title = f"{late.place} waits for data and the others for it: {percent(cost.value)} of the time"
    return Finding(
        cause="data_loading",
        severity=found,
        title=title,
        where=observed.where if late is None else f"{observed.where}, {late.place}",
        evidence=(f"waiting for data, mean of the ranks: {share_words(wait)}", *held, *_supply_words(observed)),
        action=_action(observed.loading),
        counter_evidence=_storage_words(observed),
        cost=cost,
        without_it=without(observed, cost),
        next_step="run the probe dataload over workers with the same data and transforms, and once on a local copy",
        remedy_cost="cores and memory for more workers, or work on the data once, beforehand, and space for its "
        "result; nothing to buy while cores are idle",
        place=place_of(observed, host=late and late.host, ranks=list(late.ranks) if late else None),
    )


def _action(loading: tuple[Loading, ...]) -> str:
    enough = min((found.workers_needed for found in loading if found.workers_needed), default=None)
    if enough is not None:
        return f"Load with {enough} workers on each rank: with as many the probe gives what the training needs"
    return "Load ahead with more workers, or do the transforms once, beforehand"


def _supply_words(observed: Observed) -> tuple[str, ...]:
    said = []
    for found in observed.loading[:3]:
        need = "" if found.needed is None else f"; the training needs {format_figure(found.needed)}"
        workers = "" if found.workers is None else f" with {found.workers} workers on each rank"
        said.append(f"{reading_words(found.supply)}{workers}{need}")
    return tuple(said)


def _storage_words(observed: Observed) -> tuple[str, ...]:
    read = None if observed.storage is None else observed.storage.bandwidth.get("read")
    rates = [f.storage_gbps for f in observed.loading if f.from_storage and f.storage_gbps is not None]
    enough = any(f.needed is not None and f.supply.value.over(f.needed) for f in observed.loading)
    said = ["a loader of the probe by itself gives enough: another setting of it does"] if enough else []
    if read is None or not rates:
        lacking = "dataload" if not rates else "checkpoint (reading)"
        return (
            *said,
            f"whether storage is too slow for it: {NOT_MEASURED} (no probe {lacking} that reached storage)",
        )
    words = f"a probe reads {format_figure(read.value.value)} GB/s, the loader {format_figure(max(rates))}"
    return (*said, f"{words}: storage is not what holds it up")
