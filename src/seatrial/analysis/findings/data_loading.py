"""Whether loading data holds the workload back: waiting for it, with a loader that gives less than is needed.

Where the loader fetches about as fast as storage gives a probe, the cause is storage (storage.py).
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
from seatrial.analysis.findings.observed import Estimate, Finding, Loading, Observed, Severity
from seatrial.analysis.findings.storage import starving
from seatrial.config.findings import FindingRules
from seatrial.units import format_figure


def look(observed: Observed, rules: FindingRules) -> Look:
    """Look for waiting on data that storage does not explain."""
    wait = observed.shares.get("data_wait")
    if wait is None:
        return Look(seen=_supply_words(observed), unknown=("waiting for data was not measured",))
    found = severity(wait, rules)
    if found is None:
        return Look(seen=(f"waiting for data: {share_words(wait)}", *_supply_words(observed)))
    if starving(observed, rules) is not None:
        return Look(seen=(f"waiting for data: {share_words(wait)}: storage's, not the loader's",))
    return Look((_finding(observed, wait, found),))


def _finding(observed: Observed, wait: Estimate, found: Severity) -> Finding:
    return Finding(
        cause="data_loading",
        severity=found,
        title=f"The training waits {percent(wait.value)} of the time for data",
        where=observed.where,
        evidence=(f"waiting for data: {share_words(wait)}", *_supply_words(observed)),
        action=_action(observed.loading),
        counter_evidence=_storage_words(observed),
        cost=wait,
        without_it=without(observed, wait),
        next_step="run the probe dataload over workers with the same data and transforms, and once on a local copy",
        remedy_cost="cores and memory for more workers, or work on the data once, beforehand, and space for its "
        "result; nothing to buy while cores are idle",
        place=place_of(observed),
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
