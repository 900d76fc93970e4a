"""tables/gemm.csv: what products reach, in a burst and held, against the peak and what others reached; and
tables/gemm_shapes.csv: every shape of a search.

A row for each case: of a search its best shape. A figure of a repeat is the median over its devices, so that one
slow device does not speak for the others; the slowest stands beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.analysis.medians import Middle, completed_rows
from seatrial.analysis.probes.devices import devices
from seatrial.analysis.statistics import median, median_interval
from seatrial.analysis.tables import AXIS, axis_columns, axis_names, write_csv
from seatrial.case import Case
from seatrial.config.probe import Gemm
from seatrial.paths import StudyPaths

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
SHAPE_COLUMNS = (
    "study", "target", "experiment", "case_id", "measured", "dtype", "m", "n", "k", "coarse_tflops",
    "fraction_of_fastest", "fine_tflops", "best_in",
)  # fmt: skip
"""`coarse_tflops`: in the pass over all shapes; `fine_tflops`: again, where it was among the fastest;
`best_in`: repeats that found it the best."""
SHAPE = ("m", "n", "k")
READ = ("gemm.throughput", "gemm.best_throughput", "gemm.searched_throughput", "gemm.sustained_throughput")
OfRepeat = Sequence[Middle]
"""What one repeat measured."""
Row = dict[str, Any]


def gemm_tables(paths: StudyPaths, cases: Sequence[Case]) -> None:
    """Write tables/gemm.csv, tables/gemm_shapes.csv and tables/devices.csv."""
    names = axis_names(case.axes for case in read_cases(paths, read_plan(paths)))
    rows: list[Row] = []
    shapes: list[Row] = []
    for case in cases:
        repeats, axes = completed_rows(paths, case, READ), axis_columns(case.axes, names)
        found = [repeat.medians() for repeat in repeats]
        rows.append(_row(case, found) | axes)
        shapes += [row | axes for row in _shape_rows(case, found)]
    of_axes = [AXIS + name for name in names]
    write_csv(paths.probe_table("gemm"), [*COLUMNS, *of_axes], rows)
    write_csv(paths.probe_table("gemm_shapes"), [*SHAPE_COLUMNS, *of_axes], shapes)
    devices(paths, cases)


def _shape_rows(case: Case, repeats: Sequence[OfRepeat]) -> list[Row]:
    """Every shape of a case's search, fastest first: medians over devices and repeats."""
    workload = case.workload
    assert isinstance(workload, Gemm)
    coarse, fine = (_by_shape(repeats, f"gemm.{name}") for name in ("searched_throughput", "throughput"))
    best = _by_shape(repeats, "gemm.best_throughput")
    found = {shape: _median(values) for shape, values in coarse.items()}
    fastest = max(found.values(), default=0.0)
    return [
        {
            "study": case.study,
            "target": case.target.name,
            "experiment": case.experiment,
            "case_id": case.case_id,
            "measured": len(coarse[shape]),
            "dtype": workload.dtype,
            **dict(zip(SHAPE, shape, strict=True)),
            "coarse_tflops": value,
            "fraction_of_fastest": value / fastest,
            "fine_tflops": median(fine.get(shape, [])),
            "best_in": len(best.get(shape, [])),
        }
        for shape, value in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    ]


def _by_shape(repeats: Sequence[OfRepeat], metric: str) -> dict[tuple[Any, ...], list[float]]:
    """Of each repeat the median over its devices, by shape."""
    found: dict[tuple[Any, ...], list[float]] = {}
    for repeat in repeats:
        of_repeat: dict[tuple[Any, ...], list[Middle]] = {}
        for m in _of(repeat, metric):
            of_repeat.setdefault(tuple(m.labels.get(name) for name in SHAPE), []).append(m)
        for shape, of_devices in of_repeat.items():
            found.setdefault(shape, []).append(_over_devices(of_devices))
    return found


def _row(case: Case, repeats: Sequence[OfRepeat]) -> Row:
    workload = case.workload
    assert isinstance(workload, Gemm)
    metric = "gemm.throughput" if workload.search is None else "gemm.best_throughput"
    burst = [found for repeat in repeats if (found := _of(repeat, metric))]
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
    value, interval = _median(by_repeat), median_interval(by_repeat)
    held = [_over_devices(found) for repeat in repeats if (found := _of(repeat, "gemm.sustained_throughput"))]
    sustained = median(held)
    shapes = Counter(tuple(found[0].labels.get(name) for name in SHAPE) for found in burst)
    row |= dict(zip(SHAPE, shapes.most_common(1)[0][0], strict=True))
    row |= {
        "devices": len(burst[0]),
        "burst_tflops": value,
        "burst_tflops_low": interval.low,
        "burst_tflops_high": interval.high,
        "interval_method": interval.method,
        "slowest_device_tflops": min(m.median for found in burst for m in found),
        "sustained_tflops": sustained,
        "sustained_over_burst": None if sustained is None else sustained / value,
    }
    return row | _held_against(case, workload, burst[0][0], value, len(shapes))


def _held_against(case: Case, workload: Gemm, found: Middle, value: float, best: int) -> Row:
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


def _of(repeat: OfRepeat, metric: str) -> list[Middle]:
    """What each rank measured of it."""
    return [m for m in repeat if m.metric == metric]


def _over_devices(found: Sequence[Middle]) -> float:
    return _median([m.median for m in found])


def _median(values: Sequence[float]) -> float:
    value = median(values)
    assert value is not None  # a measurement has samples
    return value
