"""What the probes of a study say of a target, from their tables: fabric, storage, loaders, devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from seatrial.analysis.findings.observed import (
    DeviceReading,
    Direction,
    Estimate,
    Fabric,
    Loading,
    Reading,
    SlowPair,
)
from seatrial.analysis.probes import bisection, bisection_pairs, checkpoint, collective, dataload, devices, gemm
from seatrial.analysis.probes import storage_results as results
from seatrial.analysis.statistics import median_interval
from seatrial.analysis.tables import read_csv, rows_of
from seatrial.paths import StudyPaths
from seatrial.units import format_bytes

Row = dict[str, Any]
HOWS = ("alone", "rounds", "matching")
"""How a pair was measured, what says most of the pair itself first."""


class Said(NamedTuple):
    """What all probes of a target say."""

    fabric: Fabric | None
    bandwidth: Mapping[Direction, Reading]
    benchmarks: tuple[Reading, ...]
    loaders: Sequence[Row]
    """Of tables/dataload.csv: what is needed of them depends on the training (`loading`)."""
    devices: tuple[DeviceReading, ...]
    gemm: tuple[Reading, ...]


def said_of(paths: StudyPaths, target: str) -> Said:
    """Read what the probes of a study say of a target; it is the same for every training there.

    Raises UnreadableFile where a table is not what `seatrial analyse` writes.
    """
    return Said(
        fabric(paths, target),
        checkpoints(paths, target),
        storage_benchmarks(paths, target),
        rows_on(paths, "dataload", dataload.COLUMNS, target, ("note", "needed_basis", "interval_method")),
        single_devices(paths, target),
        products(paths, target),
    )


def rows_on(
    paths: StudyPaths, name: str, columns: Sequence[str], target: str, text: Sequence[str] = ()
) -> list[Row]:
    """The rows of a probe's table that are of one target; none where the study has no such probe.

    Raises UnreadableFile where the table is not what `seatrial analyse` writes.
    """
    path = paths.probe_table(name)
    if not path.exists():
        return []
    return [row for row in rows_of(read_csv(path, columns, text)) if row.get("target", target) == target]


def fabric(paths: StudyPaths, target: str) -> Fabric | None:
    """Collectives with the largest messages, cuts of the largest scale, and pairs; None where none was measured.

    Runs without a feature of the fabric (ablations) are left out.
    """
    found = [_collective(row) for row in _largest(rows_on(paths, "collective", collective.COLUMNS, target))]
    cuts = [row for row in rows_on(paths, "bisection", bisection.COLUMNS, target) if row["median_gbps"] is not None]
    pairs = _best_way(rows_on(paths, "bisection_pairs", bisection_pairs.PAIR_COLUMNS, target, ("note", "slow_end")))
    if not (found or cuts or pairs):
        return None
    scale = max((row["scale"] for row in cuts), default=0)
    return Fabric(
        collectives=tuple(found),
        bisection=tuple(_cut(row) for row in cuts if row["scale"] == scale),
        pairs=len(pairs),
        typical_pair=_typical(pairs),
        slow=_slow(pairs),
        untold=next((str(row["note"]) for row in pairs if row["note"]), ""),
    )


def checkpoints(paths: StudyPaths, target: str) -> dict[Direction, Reading]:
    """The largest checkpoint that storage was seen to take or give, by direction."""
    text = ("note", "ceiling_basis", "interval_method")
    rows = [r for r in rows_on(paths, "checkpoint", checkpoint.COLUMNS, target, text) if r["reached"] == "storage"]
    found: dict[Direction, Reading] = {}
    for direction in ("write", "read"):
        known = [row for row in rows if row["direction"] == direction and row["gbps"] is not None]
        if known:
            row = max(known, key=lambda r: (r["checkpoint_bytes"], r["case_id"]))
            value = Estimate(
                row["gbps"], row["gbps_low"], row["gbps_high"], str(row["interval_method"]), int(row["measured"])
            )
            size = format_bytes(int(row["checkpoint_bytes"]))
            found[direction] = _reading(f"checkpoint {direction}, {size}", value, "GB/s", row)
    return found


def storage_benchmarks(paths: StudyPaths, target: str) -> tuple[Reading, ...]:
    """Results of storage benchmarks that stand beside a ceiling."""
    rows = rows_on(paths, "storage_results", results.COLUMNS, target, results.TEXT)
    kept = [row for row in rows if row["fraction_of_ceiling"] is not None]
    return tuple(
        _reading(
            f"{row['tool']} {row['what']} {row['direction'] or ''}".strip(),
            Estimate(row["value"], row["low"], row["high"], str(row["interval_method"]), int(row["repeats"])),
            str(row["unit"]),
            row,
        )
        for row in kept
    )


def loading(rows: Sequence[Row], waited: float | None) -> tuple[Loading, ...]:
    """What data loaders give and what is needed, the fastest first.

    A need that is what a training of the study took is less than what it could take without waiting, by the share
    `waited` of its time.
    """
    found = []
    for row in rows:
        if row["samples_per_second"] is None:
            continue
        ends = row["samples_per_second_low"], row["samples_per_second_high"]
        value = Estimate(row["samples_per_second"], *ends, str(row["interval_method"]), int(row["measured"]))
        need = row["needed_samples_per_second"]
        taken = need is not None and str(row["needed_basis"]).startswith("what experiment")
        found.append(
            Loading(
                supply=_reading(f"data loader ({row['source']})", value, "samples/s", row),
                needed=need / (1 - waited) if taken and waited is not None and waited < 1 else need,
                from_storage={"storage": True, "unknown": None}.get(str(row["reached"]), False),
                storage_gbps=row["gbps"] if row["reached"] == "storage" else None,
                workers=int(row["workers"]),
                workers_needed=None if row["workers_needed"] is None else int(row["workers_needed"]),
            )
        )
    return tuple(sorted(found, key=lambda one: -one.supply.value.value))


def single_devices(paths: StudyPaths, target: str) -> tuple[DeviceReading, ...]:
    """Every device beside its fleet."""
    text = ("host", "device", "note", "work")
    return tuple(
        DeviceReading(
            host=str(row["host"]),
            rank=int(row["rank"]),
            device=str(row["device"] or ""),
            metric=str(row["metric"]),
            value=row["value"],
            unit=str(row["unit"]),
            ratio=row["ratio"],
            robust_z=row["robust_z"],
            slow=None if row["slow"] is None else bool(row["slow"]),
            fraction_of_ceiling=row["fraction_of_ceiling"],
        )
        for row in rows_on(paths, "devices", devices.COLUMNS, target, text)
    )


def products(paths: StudyPaths, target: str) -> tuple[Reading, ...]:
    """Matrix products against the peak of their dtype."""
    found = []
    for row in rows_on(paths, "gemm", gemm.COLUMNS, target, ("note", "peak_basis", "interval_method")):
        if row["burst_tflops"] is None:
            continue
        ends = row["burst_tflops_low"], row["burst_tflops_high"]
        value = Estimate(row["burst_tflops"], *ends, str(row["interval_method"]), int(row["measured"]))
        what = f"matrix products in {row['dtype']}"
        found.append(_reading(what, value, "TFLOP/s", row, "fraction_of_peak", "peak_basis"))
    return tuple(found)


def _reading(
    what: str,
    value: Estimate,
    unit: str,
    row: Row,
    fraction: str = "fraction_of_ceiling",
    basis: str = "ceiling_basis",
) -> Reading:
    """A figure whose fraction of the ceiling has the figure's own interval: a ceiling has none.

    `fraction` and `basis`: the columns of the fraction, and of what the ceiling is.
    """
    known = row.get(fraction)
    whole = None if known is None else value.times(known / value.value)
    return Reading(what, value, unit, whole, row.get(basis), str(row["case_id"]))


def _largest(rows: Sequence[Row]) -> list[Row]:
    """Of every line of collectives the one with the largest message: small ones are bound by latency."""
    lines: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        if row["bus_bandwidth"] is None or row["ablation"]:
            continue
        line = tuple(row[name] for name in collective.OF_A_LINE)
        if line not in lines or row["size_bytes"] > lines[line]["size_bytes"]:
            lines[line] = row
    return list(lines.values())


def _collective(row: Row) -> Reading:
    """The bandwidth's interval is that of the time, turned round."""
    seconds, low, high = (row[f"{end}_seconds"] for end in ("median", "low", "high"))
    bandwidth = row["bus_bandwidth"]
    least = None if high is None else bandwidth * seconds / high
    most = None if low is None else bandwidth * seconds / low
    value = Estimate(bandwidth, least, most, str(row["interval_method"]), int(row["samples"]))
    what = f"{row['operation']} of {format_bytes(int(row['size_bytes']))} on {int(row['ranks'])} ranks"
    return _reading(what, value, "GB/s", row)


def _cut(row: Row) -> Reading:
    value = Estimate(
        row["median_gbps"], row["low_gbps"], row["high_gbps"], str(row["interval_method"]), int(row["n"])
    )
    return _reading(f"bisection, cut {row['cut']}", value, "GB/s", row, "ratio", "full_basis")


def _best_way(rows: Sequence[Row]) -> list[Row]:
    """The pairs of one case, measured in the way that says most of each, across hosts where they were."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["case_id"], row["how"], row["scope"]), []).append(row)
    order = {key: (HOWS.index(key[1]), -len(of_group), str(key)) for key, of_group in groups.items()}
    return groups[min(groups, key=lambda key: order[key])] if groups else []


def _typical(pairs: Sequence[Row]) -> Reading | None:
    """The median of the pairs that are not slow, against the ceiling of a pair."""
    usual = [row["median_gbps"] for row in pairs if not row["slow"] and row["median_gbps"] is not None]
    if not usual:
        return None
    found = median_interval(usual)
    value = Estimate(float(median(usual)), found.low, found.high, found.method, len(usual))
    ceilings = {row["ceiling_gbps"] for row in pairs if row["ceiling_gbps"] is not None}
    ceiling = min(ceilings) if ceilings else None
    whole = None if ceiling is None else value.times(1 / ceiling)
    basis = next((row["ceiling_basis"] for row in pairs if row["ceiling_basis"]), None)
    return Reading("the typical pair", value, "GB/s", whole, basis, str(pairs[0]["case_id"]))


def _slow(pairs: Sequence[Row]) -> tuple[SlowPair, ...]:
    """Ends that are slow with all of their pairs, then single pairs; the slowest first."""
    slow = [row for row in pairs if row["slow"]]
    ends = sorted({str(row["slow_end"]) for row in slow if row["slow_end"]})
    found = []
    for end in ends:
        own = [row for row in slow if row["slow_end"] == end]
        gbps, ratio = (float(median(row[name] for row in own)) for name in ("median_gbps", "ratio"))
        found.append(SlowPair(end, None, gbps, ratio, own[0]["p"]))
    single = [row for row in slow if not row["slow_end"]]
    found += [SlowPair(str(r["first"]), str(r["second"]), r["median_gbps"], r["ratio"], r["p"]) for r in single]
    return tuple(sorted(found, key=lambda pair: pair.ratio))
