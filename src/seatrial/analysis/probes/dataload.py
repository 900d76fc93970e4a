"""tables/dataload.csv: samples per second by workers, against what the training needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.analysis.measurements import medians_by_repeat, read_measurements
from seatrial.analysis.probes.records import completed
from seatrial.analysis.statistics import Interval, median, median_interval
from seatrial.analysis.tables import AXIS, axis_columns, axis_names, canonical_json, write_csv
from seatrial.case import Case
from seatrial.config.metrics.dataload import PREFIX, dataload_metric
from seatrial.config.probe import Dataload
from seatrial.config.training import HybridAttention, LlmFinetune, Moe
from seatrial.paths import StudyPaths
from seatrial.record import Measurement, Record
from seatrial.units import format_figure

REACHED = ("memory_file_system", "unknown", "page_cache", "storage")
"""Where bytes came from; the first that any repeat says stands for all."""
COLUMNS = (
    "study",
    "target",
    "experiment",
    "case_id",
    "repeats",
    "measured",
    "source",
    "workers",
    "batch_size",
    "ranks",
    "reached",
    "samples_per_second",
    "samples_per_second_low",
    "samples_per_second_high",
    "interval_method",
    "slowest_rank_samples_per_second",
    "gbps",
    "first_batch_seconds",
    "fetched_share",
    "needed_samples_per_second",
    "needed_basis",
    "needed_over_sustained",
    "standing",
    "workers_needed",
    "note",
)
"""`standing`: suffices, too_slow, or inconclusive where the interval holds the need; where that many samples came
from elsewhere than storage, suffices_elsewhere; empty without a need.
`workers_needed`: the least swept number of workers of each rank that suffices, all else being the same."""
NOT_STORAGE = {
    "page_cache": "read from the page cache, at least in part: no figure of storage",
    "memory_file_system": "the files lie in memory: no figure of storage",
    "unknown": "nothing on this machine counts what this file system fetches",
}
SUFFICES_ELSEWHERE = {
    "page_cache": "suffices from the page cache; storage was not measured",
    "memory_file_system": "suffices from memory; storage was not measured",
    "unknown": "suffices, but nothing shows that storage gave it",
}
Row = dict[str, Any]


class Need(NamedTuple):
    """Samples per second of all ranks, and who says so; `value` None: `basis` says why it is not known."""

    value: float | None
    basis: str


def dataload(paths: StudyPaths, cases: Sequence[Case]) -> None:
    """Write tables/dataload.csv."""
    everything = read_cases(paths, read_plan(paths))
    names = axis_names(case.axes for case in everything)
    measurements = read_measurements(paths)
    rows = {case.case_id: _row(case, completed(paths, case), everything, measurements) for case in cases}
    for alike in _apart_from_workers(cases):
        least, words = _workers_needed([rows[case.case_id] for case in alike])
        for case in alike:
            row = rows[case.case_id]
            row["workers_needed"] = least
            row["note"] = "; ".join(part for part in (row["note"], words) if part)
    written = [rows[case.case_id] | axis_columns(case.axes, names) for case in cases]
    write_csv(paths.probe_table("dataload"), [*COLUMNS, *(AXIS + name for name in names)], written)


def _row(case: Case, records: Sequence[Record], everything: Sequence[Case], measurements: pd.DataFrame) -> Row:
    workload = case.workload
    assert isinstance(workload, Dataload)
    need = needed(case, workload, everything, measurements)
    found = [m for record in records for m in _of(record, "throughput")]
    row: Row = {
        "study": case.study,
        "target": case.target.name,
        "experiment": case.experiment,
        "case_id": case.case_id,
        "repeats": case.repeats,
        "measured": len(found),
        "source": workload.dataset.source,
        "workers": workload.workers,
        "batch_size": workload.batch_size,
        "ranks": case.target.world_size,
        "needed_samples_per_second": need.value,
        "needed_basis": need.basis,
        "note": "" if found else "no repeat completed",
    }
    return row | _figures(found, records, need.value) if found else row


def _figures(found: Sequence[Measurement], records: Sequence[Record], need: float | None) -> Row:
    value, interval = _over_repeats(found)
    reached = min((str(m.labels["reached"]) for m in found), key=REACHED.index)
    ranks = [_middle(m) for record in records for m in _of(record, "rank_throughput")]
    shares = [
        min(m.samples) for record in records for m in record.measurements if m.metric == "dataload.fetched_share"
    ]
    return {
        "reached": reached,
        "samples_per_second": value,
        "samples_per_second_low": interval.low,
        "samples_per_second_high": interval.high,
        "interval_method": interval.method,
        "slowest_rank_samples_per_second": min(ranks, default=None),
        "gbps": median([_middle(m) for record in records for m in _of(record, "bandwidth")]),
        "first_batch_seconds": median([_middle(m) for record in records for m in _of(record, "first_batch_time")]),
        "fetched_share": min(shares, default=None),
        "needed_over_sustained": None if need is None else need / value,
        "standing": None if need is None else standing(need, value, interval, reached),
        "note": NOT_STORAGE.get(reached, ""),
    }


def standing(need: float, value: float, interval: Interval, reached: str) -> str:
    """How a throughput stands to what is needed; by the value alone where there is no interval.

    What is too slow from memory is too slow, but what suffices from there says nothing of storage.
    """
    low = value if interval.low is None else interval.low
    high = value if interval.high is None else interval.high
    if low >= need:
        return "suffices" if reached == "storage" else "suffices_elsewhere"
    return "too_slow" if high < need else "inconclusive"


def needed(case: Case, workload: Dataload, everything: Sequence[Case], measurements: pd.DataFrame) -> Need:
    """What the training needs of all ranks: as stated, or what a training of the same study took."""
    if workload.needed_samples_per_second is not None:
        return Need(workload.needed_samples_per_second, "stated with the workload")
    if workload.needed_by is None:
        return Need(None, "no need stated")
    of_training = [other for other in everything if other.experiment == workload.needed_by]
    alike = [other for other in of_training if other.target.world_size == case.target.world_size]
    if not alike:
        ranks = case.target.world_size
        return Need(None, f"experiment {workload.needed_by} has no case of {ranks} rank(s)")
    known = [value for other in alike if (value := _samples_taken(other, measurements)) is not None]
    if not known:
        return Need(None, f"no repeat of experiment {workload.needed_by} has measured its throughput")
    of_cases = "" if len(alike) == 1 else f", the most of its {len(alike)} cases of as many ranks"
    return Need(max(known), f"what experiment {workload.needed_by} took{of_cases}")


def _samples_taken(case: Case, measurements: pd.DataFrame) -> float | None:
    """Samples per second that a training took: sequences, where it counts tokens; None where it measured none."""
    length = sequence_length(case)
    metric = "train.sample_throughput" if length is None else "train.throughput"
    value = median(medians_by_repeat(measurements, case.case_id, metric))
    return None if value is None else value / (length or 1)


def sequence_length(case: Case) -> int | None:
    """Tokens of one sample of a training that counts tokens; None of one that counts samples."""
    workload = case.workload
    if isinstance(workload, LlmFinetune | Moe):
        return workload.sequence_length
    return workload.retrieval.sequence_length if isinstance(workload, HybridAttention) else None


def _apart_from_workers(cases: Sequence[Case]) -> list[list[Case]]:
    """Cases that differ in nothing but the number of workers."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        workload = case.workload.model_dump(mode="json", exclude={"workers"})
        key = canonical_json([case.experiment, workload, case.target.model_dump(mode="json")])
        found.setdefault(key, []).append(case)
    return list(found.values())


def _workers_needed(rows: Sequence[Row]) -> tuple[int | None, str]:
    """The least number of workers that suffices, and what to say where none does."""
    judged = [row for row in rows if row.get("standing") is not None]
    if not judged:
        return None, ""
    enough = [row["workers"] for row in judged if row["standing"] == "suffices"]
    if enough:
        return min(enough), ""
    elsewhere = [row for row in judged if row["standing"] == "suffices_elsewhere"]
    if elsewhere:
        fewest = min(elsewhere, key=lambda row: row["workers"])
        return None, f"{fewest['workers']} worker(s): {SUFFICES_ELSEWHERE[fewest['reached']]}"
    tried = ", ".join(str(row["workers"]) for row in sorted(judged, key=lambda row: row["workers"]))
    most = max(row["samples_per_second"] for row in judged)
    need = format_figure(judged[0]["needed_samples_per_second"])
    return (
        None,
        f"no tried number of workers ({tried}) surely gives {need} samples/s; the most was {format_figure(most)}",
    )


def _over_repeats(found: Sequence[Measurement]) -> tuple[float, Interval]:
    """The median over repeats with its interval; of one repeat over its windows, which the method then says."""
    middles = [_middle(m) for m in found]
    value = median(middles)
    assert value is not None
    if len(middles) > 1:
        return value, median_interval(middles)
    interval = median_interval(found[0].samples)
    return value, interval._replace(method=f"{interval.method}, over the windows of one repeat")


def _of(record: Record, figure: str) -> list[Measurement]:
    """A figure of the pipeline, wherever the bytes came from."""
    names = {dataload_metric(origin, figure) for origin in PREFIX}
    return [m for m in record.measurements if m.metric in names]


def _middle(found: Measurement) -> float:
    value = median(found.samples)
    assert value is not None  # a measurement has samples
    return value
