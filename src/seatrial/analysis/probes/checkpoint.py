"""tables/checkpoint.csv: what checkpoints reached and how fast.

A row for each case, direction and what was reached: a bandwidth of the page cache or of memory stands in a row of
its own and is never mixed with storage's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.analysis.probes.checkpoint_interval import checkpoint_interval
from seatrial.analysis.probes.records import completed
from seatrial.analysis.statistics import Interval, median, median_interval
from seatrial.analysis.tables import AXIS, axis_columns, axis_names, write_csv
from seatrial.case import Case
from seatrial.config.probe import Checkpoint
from seatrial.paths import StudyPaths
from seatrial.record import Measurement, Record

BANDWIDTHS = (
    "checkpoint.write_bandwidth",
    "checkpoint.read_bandwidth",
    "checkpoint.page_cache_bandwidth",
    "checkpoint.memory_bandwidth",
    "checkpoint.unproven_bandwidth",
)
DIRECTIONS = ("write", "read")
REACHED = ("storage", "page_cache", "memory_file_system", "unknown")
COLUMNS = (
    "study",
    "target",
    "experiment",
    "case_id",
    "repeats",
    "measured",
    "format",
    "place",
    "file_system",
    "ranks",
    "nodes",
    "parameters",
    "bytes_per_parameter",
    "checkpoint_bytes",
    "direction",
    "reached",
    "gbps",
    "gbps_low",
    "gbps_high",
    "interval_method",
    "seconds",
    "slowest_rank_gbps",
    "fastest_rank_gbps",
    "device_share",
    "ceiling_gbps",
    "ceiling_basis",
    "fraction_of_ceiling",
    "note",
)
"""`measured`: completed repeats with this row's `reached`; `device_share`: the least share of a machine's bytes
that its counters saw in an iteration; `slowest_rank_gbps`: bytes of a rank over its own time, the least of all
ranks."""
Row = dict[str, Any]


class Found(NamedTuple):
    """One direction of one repeat: its bandwidth, and the record that it is in."""

    bandwidth: Measurement
    record: Record


def checkpoint(paths: StudyPaths, cases: Sequence[Case]) -> None:
    """Write tables/checkpoint.csv and tables/checkpoint_interval.csv."""
    everything = read_cases(paths, read_plan(paths))
    names = axis_names(case.axes for case in everything)
    rows: list[Row] = []
    for case in cases:
        rows += _rows(case, completed(paths, case), names)
    write_csv(paths.probe_table("checkpoint"), [*COLUMNS, *(AXIS + name for name in names)], rows)
    checkpoint_interval(paths, cases, rows, everything)


def _rows(case: Case, records: Sequence[Record], names: Sequence[str]) -> list[Row]:
    rows = []
    for direction in DIRECTIONS:
        found = [
            Found(m, record)
            for record in records
            for m in record.measurements
            if m.metric in BANDWIDTHS and m.labels.get("direction") == direction
        ]
        reached = [name for name in REACHED if any(f.bandwidth.labels.get("reached") == name for f in found)]
        shared = _of_case(case) | {"direction": direction}
        if not reached:
            rows.append(shared | {"measured": 0, "note": "no repeat completed"} | axis_columns(case.axes, names))
        for name in reached:
            chosen = [f for f in found if f.bandwidth.labels.get("reached") == name]
            rows.append(shared | {"reached": name} | _figures(chosen, direction) | axis_columns(case.axes, names))
    return rows


def _of_case(case: Case) -> Row:
    work = case.workload
    assert isinstance(work, Checkpoint)
    return {
        "study": case.study,
        "target": case.target.name,
        "experiment": case.experiment,
        "case_id": case.case_id,
        "repeats": case.repeats,
        "format": work.format,
        "place": work.storage if work.storage is not None else work.path,
        "ranks": case.target.world_size,
        "nodes": case.target.nodes,
        "parameters": work.parameters,
        "bytes_per_parameter": work.bytes_per_parameter,
        "checkpoint_bytes": work.size_bytes,
    }


def _figures(found: Sequence[Found], direction: str) -> Row:
    """What repeats that reached the same say together."""
    value, interval = _over_repeats([f.bandwidth for f in found])
    size = found[0].bandwidth.labels["size_bytes"]
    ranks = [_by_rank(f.record, direction) for f in found]
    shares = [
        share for f in found for m in _of(f.record, "checkpoint.device_share", direction) for share in m.samples
    ]
    bound = found[0].bandwidth.ceiling
    row: Row = {
        "measured": len(found),
        "file_system": ", ".join(sorted({str(f.bandwidth.labels["file_system"]) for f in found})),
        "gbps": value,
        "gbps_low": interval.low,
        "gbps_high": interval.high,
        "interval_method": interval.method,
        "seconds": float(size) / 1e9 / value,
        "slowest_rank_gbps": median([min(values) for values in ranks if values]),
        "fastest_rank_gbps": median([max(values) for values in ranks if values]),
        "device_share": min(shares, default=None),
        "ceiling_gbps": bound,
        "ceiling_basis": found[0].bandwidth.ceiling_basis,
        "fraction_of_ceiling": None if bound is None else value / bound,
    }
    said = dict.fromkeys(words for f in found for words in _evidence(f.record, direction))
    if len(said) > 1 and found[0].bandwidth.labels.get("reached") == "storage" and shares:
        # every repeat has figures of its own; where it was no storage each says why
        said = {f"{direction}: the counters moved by {min(shares):.2f} to {max(shares):.2f} of the bytes": None}
    if bound is not None and value > bound:
        said["faster than the storage is declared to be: a cache behind the device, or too low a figure"] = None
    return row | {"note": "; ".join(said)}


def _over_repeats(found: Sequence[Measurement]) -> tuple[float, Interval]:
    """The median over repeats with its interval; of one repeat over its iterations, which the method then says."""
    middles = [middle for m in found if (middle := median(m.samples)) is not None]
    value = median(middles)
    assert value is not None  # a measurement has samples
    if len(middles) > 1:
        return value, median_interval(middles)
    interval = median_interval(found[0].samples)
    return value, interval._replace(method=f"{interval.method}, over the iterations of one repeat")


def _by_rank(record: Record, direction: str) -> list[float]:
    """Each rank's median bandwidth."""
    medians = [median(m.samples) for m in _of(record, "checkpoint.rank_bandwidth", direction)]
    return [value for value in medians if value is not None]


def _of(record: Record, metric: str, direction: str) -> list[Measurement]:
    return [m for m in record.measurements if m.metric == metric and m.labels.get("direction") == direction]


def _evidence(record: Record, direction: str) -> list[str]:
    """What the record says that the counters said."""
    facts = record.provenance.get("checkpoint")
    said = facts.get("evidence", []) if isinstance(facts, dict) else []
    return [str(words) for words in said if str(words).startswith(f"{direction}: ")]
