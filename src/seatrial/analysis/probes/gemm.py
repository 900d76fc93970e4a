"""tables/gemm.csv: what products reach, in a burst and held, against the peak and what others reached.

A row for each case: of a search its best shape. A figure of a repeat is the median over its devices, so that one
slow device does not speak for the others; the slowest stands beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.analysis.probes.devices import completed, devices
from seatrial.analysis.statistics import median, median_interval
from seatrial.analysis.tables import AXIS, axis_columns, axis_names, write_csv
from seatrial.case import Case
from seatrial.config.probe import Gemm
from seatrial.paths import StudyPaths
from seatrial.record import Measurement, Record

COLUMNS = (
    "study",
    "target",
    "experiment",
    "case_id",
    "repeats",
    "measured",
    "dtype",
    "shapes",
    "m",
    "n",
    "k",
    "devices",
    "burst_tflops",
    "burst_tflops_low",
    "burst_tflops_high",
    "interval_method",
    "slowest_device_tflops",
    "sustained_tflops",
    "sustained_over_burst",
    "peak_tflops",
    "peak_basis",
    "fraction_of_peak",
    "achievable_tflops",
    "achievable_basis",
    "fraction_of_achievable",
    "note",
)
"""`shapes`: how many were tried; `achievable_tflops`: the best that was published for this accelerator."""
Row = dict[str, Any]


def gemm_tables(paths: StudyPaths, cases: Sequence[Case]) -> None:
    """Write tables/gemm.csv and tables/devices.csv."""
    names = axis_names(case.axes for case in read_cases(paths, read_plan(paths)))
    rows = [_row(case, completed(paths, case)) | axis_columns(case.axes, names) for case in cases]
    write_csv(paths.probe_table("gemm"), [*COLUMNS, *(AXIS + name for name in names)], rows)
    devices(paths, cases)


def _row(case: Case, records: Sequence[Record]) -> Row:
    workload = case.workload
    assert isinstance(workload, Gemm)
    metric = "gemm.throughput" if workload.search is None else "gemm.best_throughput"
    burst = [found for record in records if (found := _of(record, metric))]
    row: Row = {
        "study": case.study,
        "target": case.target.name,
        "experiment": case.experiment,
        "case_id": case.case_id,
        "repeats": case.repeats,
        "measured": len(burst),
        "dtype": workload.dtype,
        "shapes": len(workload.shapes),
        "note": "" if burst else "no repeat completed",
    }
    if not burst:
        return row
    by_repeat = [_over_devices(found) for found in burst]
    value, interval = median(by_repeat), median_interval(by_repeat)
    assert value is not None
    held = [_over_devices(found) for record in records if (found := _of(record, "gemm.sustained_throughput"))]
    sustained = median(held)
    shapes = Counter(tuple(found[0].labels.get(name) for name in ("m", "n", "k")) for found in burst)
    row |= dict(zip(("m", "n", "k"), shapes.most_common(1)[0][0], strict=True))
    row |= {
        "devices": len(burst[0]),
        "burst_tflops": value,
        "burst_tflops_low": interval.low,
        "burst_tflops_high": interval.high,
        "interval_method": interval.method,
        "slowest_device_tflops": min(_middle(m) for found in burst for m in found),
        "sustained_tflops": sustained,
        "sustained_over_burst": None if sustained is None else sustained / value,
    }
    return row | _held_against(case, workload, burst[0][0], value, len(shapes))


def _held_against(case: Case, workload: Gemm, found: Measurement, value: float, best: int) -> Row:
    """Shares of the peak and of what was published, and what has to be said of them."""
    accelerator = case.target.accelerator
    published = None if accelerator is None else accelerator.achievable_tflops.get(workload.dtype)
    achievable = None if published is None else published.value
    said = []
    if best > 1:
        said.append(f"the repeats found {best} different shapes best; the most frequent is named")
    if found.ceiling is not None and value > found.ceiling:
        said.append("above the stated peak: it is stated for a lower clock, or for another accelerator")
    return {
        "peak_tflops": found.ceiling,
        "peak_basis": found.ceiling_basis,
        "fraction_of_peak": None if found.ceiling is None else value / found.ceiling,
        "achievable_tflops": achievable,
        "achievable_basis": None if published is None or achievable is None else published.source,
        "fraction_of_achievable": None if achievable is None else value / achievable,
        "note": "; ".join(said),
    }


def _of(record: Record, metric: str) -> list[Measurement]:
    """What each rank measured of it."""
    return [m for m in record.measurements if m.metric == metric]


def _over_devices(found: Sequence[Measurement]) -> float:
    value = median([_middle(m) for m in found])
    assert value is not None
    return value


def _middle(found: Measurement) -> float:
    value = median(found.samples)
    assert value is not None  # a measurement has samples
    return value
