"""tables/node_metrics.csv: every host and device beside the others that did the same work, metric by metric.

A fleet is the hosts (or devices) that did the same work in the same case. A value belongs to a host where a rank of
it measured it, where the host is one end of a measured pair, or where the whole repeat ran on that host alone. A
host's value is the median over repeats of the median over its ranks or pairs.

Robust z is of the logs, positive towards slow. Its p is the share of uniform fleets of the same size (normal logs,
simulated from a fixed seed) in which a given member lies as far out: of few nodes the median absolute deviation is
so uncertain that a large z happens by chance. p is adjusted by Benjamini and Hochberg over all rows of the table.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import cache
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seatrial.analysis.medians import Rows, completed_rows
from seatrial.analysis.order import group_medians
from seatrial.analysis.probes.bisection_pairs import PAIR_METRICS, each_pair
from seatrial.analysis.statistics import benjamini_hochberg, robust_z
from seatrial.analysis.tables import canonical_json
from seatrial.case import Case
from seatrial.config.differences import Differences
from seatrial.config.metrics import METRICS
from seatrial.config.metrics.dataload import PREFIX, dataload_metric
from seatrial.config.probe import Gemm
from seatrial.paths import StudyPaths

OF_A_RANK = (
    "gemm.throughput",
    "gemm.best_throughput",
    "gemm.sustained_throughput",
    "memory.bandwidth",
    "memory.cached_bandwidth",
    "memory.unproven_bandwidth",
    "memory.host_bandwidth",
    "checkpoint.rank_bandwidth",
    *(dataload_metric(origin, "rank_throughput") for origin in PREFIX),
    "train.rank_time",
    "telemetry.sm_clock",
    "telemetry.memory_clock",
)
"""What a rank measures of itself."""
OF_THE_ALLOCATION = (
    "collective.bus_bandwidth",
    "moe_alltoall.layer_time",
    "checkpoint.write_bandwidth",
    "checkpoint.read_bandwidth",
    *(dataload_metric(origin, "throughput") for origin in PREFIX),
    "train.step_time",
    "train.throughput",
    "train.sample_throughput",
)
"""What all ranks measure together: of one host only where there is no other."""
OF_A_PAIR = ("how", "scope", "scale", "size_bytes")
"""Labels of a pair's measurement that say what was done, rather than to whom."""
READ = (*OF_A_RANK, *OF_THE_ALLOCATION, *PAIR_METRICS)
LEAST_FLEET = 3
"""Of two that differ nobody can say which is the odd one."""
DRAWS = 400_000
"""Simulated values for each size of a fleet."""
COLUMNS = (
    "study",
    "target",
    "experiment",
    "workload",
    "case_id",
    "host",
    "place",
    "metric",
    "unit",
    "direction",
    "labels",
    "value",
    "measured",
    "fleet",
    "fleet_median",
    "slower_by",
    "robust_z",
    "p_value",
    "q_value",
    "standing",
    "note",
)
"""`place`: which of its host's ranks, for rows about one device; empty for rows about a host. `measured`: repeats
with a value. `slower_by`: how much slower than the fleet's median, as a share of it, below 0 where faster;
`robust_z` is positive towards slow. `standing`: slow, not_slow, inconclusive (slower by more than the threshold,
which in so small a fleet may be by chance) or too_few."""
Row = dict[str, Any]


class Member(NamedTuple):
    """A host, or one of its devices by its place among the host's ranks."""

    host: str
    place: int | None = None


class Fleet(NamedTuple):
    """What the members of a fleet did: one metric of one case with the same labels; `devices`: not hosts."""

    metric: str
    labels: str
    devices: bool


Owner = tuple[Fleet, Member]


def node_metrics(paths: StudyPaths, cases: Sequence[Case], thresholds: Differences) -> list[Row]:
    """The rows of all cases, judged together."""
    known = _Members()
    rows = [row for case in cases for row in _rows_of_case(case, completed_rows(paths, case, READ), known)]
    tested = [row for row in rows if row["p_value"] is not None]
    for row, q in zip(tested, benjamini_hochberg([row["p_value"] for row in tested]), strict=True):
        row["q_value"] = q
        row["standing"] = _standing(row, thresholds)
    return rows


def chance_of(z: float, size: int) -> float:
    """The share of members of uniform fleets of `size` whose robust z is at least `z`; never 0."""
    return _chances([z], size)[0]


def _chances(scores: Sequence[float], size: int) -> list[float]:
    """`chance_of` each."""
    draws = DRAWS // size * size
    below = np.searchsorted(_simulated(size), scores, side="left").tolist()
    return [(draws - one + 1) / (draws + 1) for one in below]


@cache
def _simulated(size: int) -> NDArray[np.float64]:
    """[draws] ascending: robust z of every member of fleets of `size` normal values."""
    fleets = np.random.default_rng(size).standard_normal((DRAWS // size, size))
    away = fleets - np.median(fleets, axis=1, keepdims=True)
    scale = 1.4826 * np.median(np.abs(away), axis=1, keepdims=True)
    return np.sort(np.divide(away, scale, out=np.zeros_like(away), where=scale > 0).ravel())


class _Members:
    """Every member of every fleet by a number, and whose a measurement is by metric, labels and hosts."""

    def __init__(self) -> None:
        self.numbers: dict[Owner, int] = {}
        self._known: dict[Hashable, NDArray[np.int64]] = {}

    def number(self, owner: Owner) -> int:
        """The number of a member of a fleet."""
        return self.numbers.setdefault(owner, len(self.numbers))

    def of(self, case: Case, repeat: Rows) -> NDArray[np.int64]:
        """[rows, 2]: the host that each is of, and the device; -1 where it is of none."""
        columns, hosts = repeat.columns, repeat.hosts
        metrics, labels = columns.metric[repeat.rows], columns.labels[repeat.rows]
        searched = isinstance(case.workload, Gemm) and case.workload.search is not None
        key = id(columns), hosts, searched, metrics.tobytes(), labels.tobytes()
        if key not in self._known:
            found = np.full((len(metrics), 2), -1)
            for place, (code, of) in enumerate(zip(metrics.tolist(), labels.tolist(), strict=True)):
                metric, words = columns.texts[code], columns.labels_of(of)
                member = None if searched and metric == "gemm.throughput" else _member(metric, words, hosts)
                for which, owner in enumerate(() if member is None else _as_member(metric, words, member)):
                    found[place, which] = self.number(owner)
            self._known[key] = found
        return self._known[key]


def _member(metric: str, labels: Mapping[str, Any], hosts: Sequence[str]) -> Member | None:
    rank = labels.get("rank")
    if metric in OF_A_RANK and isinstance(rank, int) and rank < len(hosts):
        return Member(hosts[rank], hosts[:rank].count(hosts[rank]))
    if metric in OF_THE_ALLOCATION and rank is None and len(set(hosts)) == 1:
        return Member(hosts[0])
    return None


def _rows_of_case(case: Case, repeats: Sequence[Rows], known: _Members) -> Iterator[Row]:
    if not repeats:
        return
    parts = [_values(case, repeat, known) for repeat in repeats]
    keys, values = (np.concatenate(of) for of in zip(*parts, strict=True))
    numbers, medians = group_medians(keys, values)
    measured = np.unique(keys, return_counts=True)[1]
    owners = list(known.numbers)
    fleets: dict[Fleet, dict[Member, tuple[float, int]]] = {}
    for number, value, n in zip(numbers.tolist(), medians.tolist(), measured.tolist(), strict=True):
        fleet, member = owners[number]
        fleets.setdefault(fleet, {})[member] = value, n
    for fleet, members in sorted(fleets.items()):
        if not fleet.devices or len(members) > len({member.host for member in members}):
            yield from _rows_of_fleet(case, fleet, members)


def _values(case: Case, repeat: Rows, known: _Members) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """What one repeat says of each host and device: their numbers, and the medians of the measurements that are
    theirs. Of nothing positive there is no ratio."""
    owners, medians = known.of(case, repeat), repeat.columns.medians(repeat.rows)
    keys, values = owners.ravel(), np.repeat(medians, 2)
    kept = (keys >= 0) & (values > 0)
    pairs = [(known.number(owner), value) for owner, value in _of_pairs(repeat)]
    return group_medians(
        np.concatenate([keys[kept], np.array([number for number, _ in pairs], dtype=np.int64)]),
        np.concatenate([values[kept], np.array([value for _, value in pairs], dtype=np.float64)]),
    )


def _as_member(metric: str, labels: Mapping[str, Any], member: Member) -> Sequence[Owner]:
    """The fleet of hosts and, of a device, that of devices; with the member in each."""
    text = canonical_json(_work(metric, labels))
    of_host = Fleet(metric, text, False), Member(member.host)
    return (of_host,) if member.place is None else (of_host, (Fleet(metric, text, True), member))


def _of_pairs(repeat: Rows) -> Iterator[tuple[Owner, float]]:
    """What pairs of hosts say of both ends, at the largest scale."""
    pairs = repeat.of(PAIR_METRICS)
    whole = max((m.labels["scale"] for m in pairs), default=0)
    for m in pairs:
        if m.labels.get("cut") == "rail" or m.labels["scale"] != whole:
            continue
        for ends, samples in each_pair(m):
            if set(ends) <= set(repeat.hosts) and ends[0] != ends[1] and median(samples) > 0:
                for end in ends:
                    yield _as_member(m.metric, m.labels, Member(end))[0], median(samples)


def _work(metric: str, labels: Mapping[str, Any]) -> dict[str, Any]:
    """The labels that say what was done; a host's pairs are taken together, whichever matching they were in."""
    if metric in PAIR_METRICS:
        return {name: labels[name] for name in OF_A_PAIR if name in labels}
    return {name: value for name, value in labels.items() if name not in ("rank", "device")}


def _rows_of_fleet(case: Case, fleet: Fleet, members: Mapping[Member, tuple[float, int]]) -> Iterator[Row]:
    """`members`: the value of each, and in how many repeats it has one."""
    known = METRICS[fleet.metric]
    values = {member: value for member, (value, _) in sorted(members.items())}
    towards_slow = 1.0 if known.direction == "lower" else -1.0
    scores = robust_z([towards_slow * math.log(value) for value in values.values()])
    middle, size = median(values.values()), len(values)
    enough = size >= LEAST_FLEET
    chances = _chances(scores, size) if enough else [None] * size
    for (member, value), z, chance in zip(values.items(), scores, chances, strict=True):
        slower = value / middle if known.direction == "lower" else middle / value
        yield {
            "study": case.study,
            "target": case.target.name,
            "experiment": case.experiment,
            "workload": case.workload.kind,
            "case_id": case.case_id,
            **member._asdict(),
            "metric": fleet.metric,
            "unit": known.unit,
            "direction": known.direction,
            "labels": fleet.labels,
            "value": value,
            "measured": members[member][1],
            "fleet": size,
            "fleet_median": middle,
            "slower_by": slower - 1,
            "robust_z": z if enough else None,
            "p_value": chance,
            "q_value": None,
            "standing": "too_few",
            "note": None if enough else f"{size} did this work: too few to tell the odd one",
        }


def _standing(row: Row, thresholds: Differences) -> str:
    if row["slower_by"] <= thresholds.node_slower_by.value:
        return "not_slow"
    shown = row["q_value"] <= thresholds.false_discovery_rate.value
    return "slow" if shown and row["robust_z"] > thresholds.node_robust_z.value else "inconclusive"
