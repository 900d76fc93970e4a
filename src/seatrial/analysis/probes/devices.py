"""tables/devices.csv: every device beside its fleet, for products and memory, so that a slow one shows.

A fleet is the devices that did the same work in the same case. A device is told apart by its host and its place
among the ranks there; its value is the median over repeats of each repeat's median.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.analysis.medians import Middle, Rows, completed_rows
from seatrial.analysis.statistics import median
from seatrial.analysis.tables import AXIS, axis_columns, axis_names, canonical_json, write_csv
from seatrial.case import Case
from seatrial.config.base import Threshold
from seatrial.config.metrics import METRICS
from seatrial.config.probe import Gemm, Memory
from seatrial.paths import StudyPaths
from seatrial.units import format_bytes

SLOWER_BY = Threshold(
    value=0.05,
    source="Identical GPUs vary by 8 % on average (Sinha et al., SC'22): 5 to 8 % below the fleet is worth a look",
)
"""A device is slow where it lies further below its fleet's median than this, as a share of it."""
ROBUST_Z = Threshold(
    value=3.5, source="Iglewicz and Hoaglin (1993): 0.6745 (x - median) / MAD beyond 3.5 marks an outlier"
)
"""... and further below it than this many robust standard deviations."""
CONSISTENCY = 0.6745
"""What makes the median absolute deviation one standard deviation of normal values."""
LEAST_DEVICES = 3
"""Of two devices that differ nobody can say which is the odd one."""
MEASURED = (
    "gemm.throughput",
    "gemm.best_throughput",
    "gemm.sustained_throughput",
    "memory.bandwidth",
    "memory.cached_bandwidth",
    "memory.unproven_bandwidth",
    "memory.host_bandwidth",
)
COLUMNS = (
    "study",
    "target",
    "experiment",
    "case_id",
    "metric",
    "work",
    "host",
    "place",
    "rank",
    "device",
    "measured",
    "value",
    "unit",
    "devices",
    "fleet_median",
    "fleet_spread",
    "ratio",
    "robust_z",
    "slow",
    "fraction_of_ceiling",
    "note",
)
"""`place`: which of its host's ranks; `measured`: repeats with a value; `fleet_spread`: greatest less least value
over the median; `robust_z` is empty where it is infinite (half of the fleet or more have the same value); `slow` is
empty where the fleet is too small to tell."""
Row = dict[str, Any]


class Device(NamedTuple):
    """One device of a fleet."""

    host: str
    place: int
    rank: int
    device: str


class Place(NamedTuple):
    """What follows from the labels of a measurement: whose it is, and of what work."""

    device: Device
    work: str


def devices(paths: StudyPaths, cases: Sequence[Case]) -> None:
    """Write tables/devices.csv, for all cases of the study that measure devices one by one."""
    everything = read_cases(paths, read_plan(paths))
    names = axis_names(case.axes for case in everything)
    rows: list[Row] = []
    for case in everything:
        if isinstance(case.workload, Gemm | Memory):
            rows += [
                row | axis_columns(case.axes, names) for row in _rows(case, completed_rows(paths, case, MEASURED))
            ]
    write_csv(paths.probe_table("devices"), [*COLUMNS, *(AXIS + name for name in names)], rows)


def robust_z(value: float, values: Sequence[float]) -> float:
    """0.6745 (value - median) / MAD; infinite where the MAD is 0 and the value differs, else 0."""
    return _robust_z(value, *_spread(values))


def _spread(values: Sequence[float]) -> tuple[float, float]:
    """The median and the median absolute deviation."""
    middle = _middle(values)
    return middle, _middle([abs(other - middle) for other in values])


def _robust_z(value: float, middle: float, deviation: float) -> float:
    if not deviation:
        return 0.0 if value == middle else math.copysign(math.inf, value - middle)
    return CONSISTENCY * (value - middle) / deviation


def is_slow(value: float, values: Sequence[float]) -> bool | None:
    """Whether a device lies below its fleet by both thresholds; None where the fleet is too small to tell."""
    if len(values) < LEAST_DEVICES:
        return None
    middle, deviation = _spread(values)
    return _is_slow(value, middle, _robust_z(value, middle, deviation))


def _is_slow(value: float, middle: float, z: float) -> bool:
    return value < (1 - SLOWER_BY.value) * middle and z < -ROBUST_Z.value


def _rows(case: Case, repeats: Sequence[Rows]) -> Iterator[Row]:
    fleets: dict[tuple[str, str], dict[Device, list[Middle]]] = {}
    first: dict[tuple[str, str, str, int], Device] = {}
    places: dict[tuple[int, tuple[str, ...]], dict[int, Place]] = {}
    for repeat in repeats:
        hosts = repeat.hosts
        of_labels = places.setdefault((id(repeat.columns), hosts), {})
        for found in _of_ranks(case, repeat):
            if found.code not in of_labels:  # the same in every repeat on the same hosts
                of_labels[found.code] = _place(found.labels, hosts)
            device, work = of_labels[found.code]
            done = found.metric, work
            known = first.setdefault((*done, device.host, device.place), device)
            fleets.setdefault(done, {}).setdefault(known, []).append(found)
    for (metric, _), fleet in sorted(fleets.items()):
        yield from _fleet(case, metric, fleet)


def _of_ranks(case: Case, repeat: Rows) -> Iterator[Middle]:
    """What each rank measured of its own device; of a search only the best shape, the same on all devices."""
    searched = isinstance(case.workload, Gemm) and case.workload.search is not None
    for found in repeat.medians():
        if isinstance(found.labels.get("rank"), int) and not (searched and found.metric == "gemm.throughput"):
            yield found


def _place(labels: Mapping[str, Any], hosts: Sequence[str]) -> Place:
    rank = labels["rank"]
    host = hosts[rank] if rank < len(hosts) else "unknown"
    device = Device(host, hosts[:rank].count(host), rank, str(labels.get("device", "")))
    return Place(device, canonical_json({k: v for k, v in labels.items() if k not in ("rank", "device")}))


def _fleet(case: Case, metric: str, fleet: Mapping[Device, Sequence[Middle]]) -> Iterator[Row]:
    values = {device: _middle([m.median for m in found]) for device, found in fleet.items()}
    all_values = list(values.values())
    middle, deviation = _spread(all_values)
    spread = (max(all_values) - min(all_values)) / middle
    for device in sorted(fleet):
        value, found = values[device], fleet[device]
        z, bound = _robust_z(value, middle, deviation), found[0].ceiling
        slow = _is_slow(value, middle, z) if len(all_values) >= LEAST_DEVICES else None
        yield {
            "study": case.study,
            "target": case.target.name,
            "experiment": case.experiment,
            "case_id": case.case_id,
            "metric": metric,
            "work": work_words(found[0].labels),
            **device._asdict(),
            "measured": len(found),
            "value": value,
            "unit": METRICS[metric].unit,
            "devices": len(fleet),
            "fleet_median": middle,
            "fleet_spread": spread,
            "ratio": value / middle,
            "robust_z": z if math.isfinite(z) else None,
            "slow": slow,
            "fraction_of_ceiling": None if bound is None else value / bound,
            "note": _note(slow, len(fleet), bound is not None and value > bound),
        }


def _note(slow: bool | None, count: int, above: bool) -> str:
    said = []
    if slow is None:
        said.append(f"{count} device(s) are too few to tell a slow one")
    if above:
        said.append("above its ceiling: the figure of the target is too low, or a cache answered")
    return "; ".join(said)


def work_words(labels: Mapping[str, Any]) -> str:
    """What was done, in few words, of a measurement's labels."""
    words = [str(labels["operation"])] if "operation" in labels else []
    if "size_bytes" in labels:
        words.append(format_bytes(int(labels["size_bytes"])))
    if "m" in labels:
        words.append(f"{labels['m']} x {labels['n']} x {labels['k']}")
    words += [str(labels[name]) for name in ("dtype", "host_memory") if name in labels]
    return " ".join([*words, "cold cache"] if labels.get("cold_cache") else words)


def _middle(values: Sequence[float]) -> float:
    found = median(values)
    assert found is not None  # a measurement has samples
    return found
