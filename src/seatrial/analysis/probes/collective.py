"""tables/collective.csv and collective_fit.csv: collectives by message size, latency and bandwidth behind them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

import pandas as pd

from seatrial.analysis.collect import read_record
from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.analysis.latency_bandwidth import Piece, fit_pieces
from seatrial.analysis.measurements import read_measurements, read_repeats
from seatrial.analysis.probes.collective_lines import SIZE, names, parts
from seatrial.analysis.statistics import Interval, median_interval
from seatrial.analysis.tables import AXIS, axis_columns, axis_names, write_csv
from seatrial.case import Case
from seatrial.config.probe import Collective
from seatrial.measure.ceilings import BUS_FACTORS, explain_excess
from seatrial.measure.collective.wire import explain_wire_excess
from seatrial.paths import StudyPaths
from seatrial.units import GB

TIME, ALGORITHM, BUS, WIRE = (
    "collective.time",
    "collective.algorithm_bandwidth",
    "collective.bus_bandwidth",
    "collective.wire_bandwidth",
)
OF_A_LINE = ("study", "target", "experiment", "line", "operation", "dtype", "ranks", "nodes", "ablation")
COLUMNS = (
    *OF_A_LINE,
    "case_id",
    "size_bytes",
    "repeats",
    "samples",
    "median_seconds",
    "low_seconds",
    "high_seconds",
    "interval_method",
    "algorithm_bandwidth",
    "bus_bandwidth",
    "wire_bandwidth",
    "wire_line",
    "ceiling",
    "ceiling_basis",
    "fraction_of_ceiling",
    "checked",
    "cut_short",
    "note",
)
"""Bandwidths in GB/s, medians over repeats; `wire_line`: the line rate that `wire_bandwidth` is held against.
`checked`: whether results were; false only where the study allows it (what else was not checked has no row).
`cut_short`: a repeat of it ended because a larger size did not fit into memory, and counts here for what it
measured before; no criterion counts it."""
FIT_COLUMNS = (
    *OF_A_LINE,
    "piece",
    "pieces",
    "first_bytes",
    "last_bytes",
    "sizes",
    "latency_seconds",
    "seconds_per_byte",
    "half_bandwidth_bytes",
    "half_bandwidth_note",
    "algorithm_bandwidth_limit",
    "bus_bandwidth_limit",
    "ceiling",
    "fraction_of_ceiling",
    "r_squared",
    "deviation",
    "flag",
)
"""t(S) = latency + S x seconds per byte, by piece; the limits are those of large messages, GB/s."""
Row = dict[str, Any]


class _Measured(NamedTuple):
    """One row of the measurements; what is not known is NaN."""

    repeat: int
    n: int
    median: float
    ceiling: float
    ceiling_basis: str | float


def collective(paths: StudyPaths, _cases: Sequence[Case]) -> None:
    """Write both tables for all collectives of the study, measured here or read from logs of nccl-tests.

    Raises UnreadableFile where `collect` has not run.
    """
    cases = {case.case_id: case for case in read_cases(paths, read_plan(paths))}
    frame = read_measurements(paths)
    short = _cut_short(paths, cases.values())
    chosen = frame[frame["metric"].str.startswith("collective.")]
    counts = (chosen["outcome"] == "completed") | pd.Series(
        [key in short for key in zip(chosen["case_id"], chosen["repeat"], strict=True)],
        index=chosen.index,
        dtype=bool,
    )
    chosen = chosen[counts]
    axes = axis_names(case.axes for case in cases.values())
    rows = _rows(paths, cases, chosen, axes)
    for row in rows:
        row["cut_short"] = any(case_id == row["case_id"] for case_id, _ in short)
    write_csv(paths.probe_table("collective"), [*COLUMNS, *(AXIS + name for name in axes)], rows)
    write_csv(paths.probe_table("collective_fit"), FIT_COLUMNS, _fits(rows))


def _cut_short(paths: StudyPaths, cases: Iterable[Case]) -> set[tuple[str, int]]:
    """The repeats of a sweep over sizes that ended where one no longer fitted, as (case, repeat)."""
    swept = {c.case_id for c in cases if isinstance(c.workload, Collective) and c.workload.sizes is not None}
    repeats = read_repeats(paths)
    chosen = repeats[(repeats["error_kind"] == "out_of_memory") & repeats["case_id"].isin(swept)]
    return {(str(case_id), int(n)) for case_id, n in zip(chosen["case_id"], chosen["repeat"], strict=True)}


def _rows(paths: StudyPaths, cases: dict[str, Case], frame: pd.DataFrame, axes: Sequence[str]) -> list[Row]:
    """A row for each case and set of labels, by line and then size."""
    order = {case_id: place for place, case_id in enumerate(cases)}
    found = []
    for (case_id, text), by_metric in sorted(_by_labels(frame).items()):
        labels = json.loads(text)
        if {"operation", "dtype", "ranks", SIZE} <= labels.keys() and TIME in by_metric:
            found.append((cases[case_id], labels, by_metric))
    found.sort(key=lambda entry: order[entry[0].case_id])
    lines = names([parts(case, labels) for case, labels, _ in found])
    place = {line: number for number, line in enumerate(dict.fromkeys(lines))}
    rows = [
        {"line": line, **_row(paths, case, labels, by_metric), **axis_columns(case.axes, axes)}
        for line, (case, labels, by_metric) in zip(lines, found, strict=True)
    ]
    return sorted(rows, key=lambda row: (place[row["line"]], row["size_bytes"]))


def _by_labels(frame: pd.DataFrame) -> dict[tuple[str, str], dict[str, list[_Measured]]]:
    """What was measured by case and labels, and by metric; in the table's order, gone through once."""
    found: dict[tuple[str, str], dict[str, list[_Measured]]] = {}
    keys = zip(frame["case_id"], frame["labels"], frame["metric"], strict=True)
    rows = zip(*(frame[name].tolist() for name in _Measured._fields), strict=True)
    for (case_id, labels, metric), row in zip(keys, rows, strict=True):
        found.setdefault((case_id, labels), {}).setdefault(metric, []).append(_Measured(*row))
    return found


def _row(paths: StudyPaths, case: Case, labels: Row, by_metric: Mapping[str, Sequence[_Measured]]) -> Row:
    times, bus, wire = (by_metric.get(metric, ()) for metric in (TIME, BUS, WIRE))
    seconds = [one.median for one in times]
    interval = _interval(paths, case, labels, times)
    reading, ceiling = _middle(one.median for one in bus), _middle(one.ceiling for one in bus)
    carried, line = _middle(one.median for one in wire), _middle(one.ceiling for one in wire)
    return {
        "study": case.study,
        "target": case.target.name,
        "experiment": case.experiment,
        "operation": labels["operation"],
        "dtype": labels["dtype"],
        "ranks": labels["ranks"],
        "nodes": case.target.nodes,
        "ablation": case.target.ablation,
        "case_id": case.case_id,
        "size_bytes": labels[SIZE],
        "repeats": len({one.repeat for one in times}),
        "samples": sum(one.n for one in times),
        "median_seconds": median(seconds),
        "low_seconds": interval.low,
        "high_seconds": interval.high,
        "interval_method": interval.method,
        "algorithm_bandwidth": _middle(one.median for one in by_metric.get(ALGORITHM, ())),
        "bus_bandwidth": reading,
        "wire_bandwidth": carried,
        "wire_line": line,
        "ceiling": ceiling,
        "ceiling_basis": next((one.ceiling_basis for one in bus if isinstance(one.ceiling_basis, str)), None),
        "fraction_of_ceiling": reading / ceiling if reading is not None and ceiling is not None else None,
        "checked": bool(labels.get("checked", True)),
        "note": _note(case, labels, reading, ceiling) or _wire_note(case, labels, carried, line),
    }


def _middle(values: Iterable[float]) -> float | None:
    known = [value for value in values if not math.isnan(value)]
    return median(known) if known else None


def _interval(paths: StudyPaths, case: Case, labels: Row, times: Sequence[_Measured]) -> Interval:
    """The interval of the median over repeats; of a single repeat over its iterations, and its method says so."""
    if len({one.repeat for one in times}) > 1:
        return median_interval([one.median for one in times])
    record = read_record(paths, case, times[0].repeat, (TIME,))
    if record is None:
        return median_interval([])
    samples = [m.samples for m in record.measurements if m.metric == TIME and dict(m.labels) == labels]
    found = median_interval(samples[0] if samples else [])
    return found._replace(method=f"{found.method} over the iterations of one repeat")


def _note(case: Case, labels: Row, reading: float | None, ceiling: float | None) -> str | None:
    """What a reading above its ceiling contradicts; None where it stands below."""
    if reading is None or ceiling is None or reading <= ceiling:
        return None
    words = None
    if labels["operation"] in BUS_FACTORS:
        words = explain_excess(case.target, labels["operation"], reading, str(labels.get("backend", "auto")))
    return (
        words
        or f"{100 * reading / ceiling:.3g} % of a ceiling that was not computed from these facts of the target"
    )


def _wire_note(case: Case, labels: Row, carried: float | None, line: float | None) -> str | None:
    """What a rate on the wire above the NICs' line rate contradicts; None where it stands below."""
    if carried is None or line is None or carried <= line:
        return None
    words = None
    if labels["operation"] in BUS_FACTORS:
        words = explain_wire_excess(case.target, labels["operation"], carried, str(labels.get("backend", "auto")))
    share = f"{100 * carried / line:.3g} %"
    return words or f"{share} of a line rate that was not computed from these facts of the target"


def _fits(rows: Sequence[Row]) -> list[Row]:
    """A row for each line and piece; a line of one single size has nothing to fit."""
    found = []
    for line in dict.fromkeys(row["line"] for row in rows):
        of_line = [row for row in rows if row["line"] == line and row["median_seconds"] > 0]
        by_size = {
            size: median(row["median_seconds"] for row in of_line if row["size_bytes"] == size)
            for size in sorted({row["size_bytes"] for row in of_line})
        }
        if len(by_size) < 2:
            continue
        pieces = fit_pieces(list(by_size), list(by_size.values()))
        found += [_fit(of_line, piece, number, len(pieces)) for number, piece in enumerate(pieces, start=1)]
    return found


def _fit(of_line: Sequence[Row], piece: Piece, number: int, pieces: int) -> Row:
    inside = [row for row in of_line if piece.first <= row["size_bytes"] <= piece.last]
    ceilings = [row["ceiling"] for row in inside if row["ceiling"] is not None]
    factors = [
        row["bus_bandwidth"] / row["algorithm_bandwidth"]
        for row in inside
        if row["bus_bandwidth"] is not None and row["algorithm_bandwidth"]
    ]
    limit = None if piece.bytes_per_second is None else piece.bytes_per_second / GB
    bus = limit * median(factors) if limit is not None and factors else None
    ceiling = median(ceilings) if ceilings else None
    return {name: of_line[0][name] for name in OF_A_LINE} | {
        "piece": number,
        "pieces": pieces,
        "first_bytes": piece.first,
        "last_bytes": piece.last,
        "sizes": piece.sizes,
        "latency_seconds": piece.alpha,
        "seconds_per_byte": piece.beta,
        "half_bandwidth_bytes": piece.n_half,
        "half_bandwidth_note": piece.n_half_note or None,
        "algorithm_bandwidth_limit": limit,
        "bus_bandwidth_limit": bus,
        "ceiling": ceiling,
        "fraction_of_ceiling": bus / ceiling if bus is not None and ceiling is not None else None,
        "r_squared": piece.r_squared,
        "deviation": piece.deviation,
        "flag": piece.flag or None,
    }
