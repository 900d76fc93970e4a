"""The roofline: what products and memory passes reach against their arithmetic intensity, under both roofs.

Williams, Waterman and Patterson, "Roofline: an insightful visual performance model for multicore architectures",
CACM 52(4), 2009: a kernel of intensity I (operations per byte) reaches at most min(peak, I x bandwidth).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from seatrial.analysis.probes import gemm
from seatrial.config.probe import Gemm, Memory
from seatrial.config.probe.base import ELEMENT_BYTES
from seatrial.report.axes import WHOLE, legend_below, new_figure
from seatrial.report.drawing import Drawing
from seatrial.report.figure_data import MEASUREMENTS, FigureData, basis
from seatrial.report.palette import REFERENCE, SERIES
from seatrial.report.step_time import share_words
from seatrial.report.study_tables import Row, StudyTables, case_label
from seatrial.report.table import count
from seatrial.units import GB, TERA, format_figure

OPERATIONS = {"triad": (2, 3), "read": (1, 1)}
"""Floating-point operations of each element of a memory pass, and elements moved; a copy computes nothing."""
BANDWIDTHS = {
    "memory.bandwidth": "measured",
    "memory.unproven_bandwidth": "measured, unless its caches answered",
}
"""What a roof may rest on, the best first: never what a cache may have given."""
BANDWIDTH, PEAK = "bandwidth", "peak"
STATED, MEASURED = "stated", "measured"
MARKERS = ("o", "s", "^", "D", "v", "P")
COLUMNS = (
    "mark", "target", "case_id", "label", "dtype", "operations_per_byte", "tflops", "tflops_low", "tflops_high",
    "interval_method", "roof_tflops", "under", "fraction_of_roof", "bandwidth_gbps", "peak_tflops", "basis",
    "measured",
)  # fmt: skip


@dataclass(frozen=True)
class Roof:
    """A bandwidth (GB/s) or a peak (TFLOP/s), and whether it is stated or measured."""

    value: float
    basis: str


@dataclass(frozen=True)
class Roofs:
    """Of one target: memory bandwidths, and peaks by number format; of each the stated one first."""

    bandwidths: Sequence[Roof]
    peaks: dict[str, Sequence[Roof]]

    def at(self, intensity: float, dtype: str) -> tuple[float, str]:
        """TFLOP/s that `intensity` operations per byte allow, and which roof says so; stated ones first."""
        sloped = (intensity * self.bandwidths[0].value * GB / TERA, BANDWIDTH)
        return min(sloped, (self.peaks[dtype][0].value, PEAK)) if dtype in self.peaks else sloped

    def ridge(self, peak: Roof) -> float:
        """Operations per byte from which on `peak` bounds."""
        return peak.value * TERA / (self.bandwidths[0].value * GB)


def roofline(study: StudyTables) -> Drawing | None:
    """Products and memory passes of the target with most products; None without a product or a bandwidth.

    Raises UnreadableFile where analyse has not run.
    """
    if not any(isinstance(case.workload, Gemm) for case in study.cases.values()):
        return None
    products = study.probe_rows("gemm", gemm.COLUMNS, ("peak_basis", "achievable_basis", "note"))
    targets = [row["target"] for row in products if row["burst_tflops"] is not None]
    if not targets:
        return None
    target = max(dict.fromkeys(targets), key=targets.count)
    reached = [row for row in products if row["target"] == target and row["burst_tflops"] is not None]
    passes = _passes(study, target)
    roofs = _roofs(reached, passes)
    if roofs is None:
        return None
    points = [_product(study, row, roofs) for row in reached]
    points += [_pass(study, row, roofs) for row in passes if row["operation"] in OPERATIONS]
    figure, ax = new_figure(4.2, WHOLE)
    _draw_roofs(ax, roofs, points)
    _draw_points(ax, points)
    ax.set(xlabel="floating-point operations per byte of memory traffic", ylabel="TFLOP/s of one device")
    legend_below(ax)
    others = len(set(targets)) - 1
    more = f" {count(others, 'more target')} not drawn." if others else ""
    reading = (
        f"{target}: a product's bytes are its operands and its result once each, the least that it can move. "
        f"A line is a roof, memory bandwidth where it rises and the peak where it is flat: {_in_words_of(roofs)}. "
        f"A bar is an interval.{more}"
    )
    caption = "; ".join(_in_words(point) for point in points)
    rows = [*_roof_rows(target, roofs), *points]
    data = FigureData(("tables/gemm.csv", MEASUREMENTS), COLUMNS, rows)
    return Drawing(figure, "Roofline", reading, caption, data, basis(points, "measured"))


def _passes(study: StudyTables, target: str) -> list[Row]:
    """Of each memory case within a device: its bandwidth as the median over repeats of the median over ranks."""
    found = []
    frame = study.measurements[study.measurements["metric"].isin(list(BANDWIDTHS))]
    frame = frame[frame["outcome"] == "completed"]
    for case_id, case in study.cases.items():
        work = case.workload
        if not isinstance(work, Memory) or work.host_copy or case.target.name != target:
            continue
        of_case = frame[frame["case_id"] == case_id]
        for metric, of_metric in of_case.groupby("metric", sort=True):
            by_repeat = of_metric.groupby("repeat")["median"].median()
            ceilings = of_metric["ceiling"].dropna()
            found.append(
                {
                    "case_id": case_id, "operation": work.operation, "dtype": work.dtype, "metric": metric,
                    "gbps": float(median(by_repeat)), "measured": len(by_repeat),
                    "stated": float(ceilings.max()) if len(ceilings) else None,
                }
            )  # fmt: skip
    return found


def _roofs(products: Sequence[Row], passes: Sequence[Row]) -> Roofs | None:
    """What the target states, and the most that was measured; None without any bandwidth."""
    best = next((metric for metric in BANDWIDTHS if any(row["metric"] == metric for row in passes)), None)
    if best is None:
        return None
    measured = Roof(max(row["gbps"] for row in passes if row["metric"] == best), BANDWIDTHS[best])
    bandwidths = [*_stated(row["stated"] for row in passes), measured]
    peaks: dict[str, Sequence[Roof]] = {}
    for dtype in dict.fromkeys(row["dtype"] for row in products):
        of_dtype = [row for row in products if row["dtype"] == dtype]
        reached = Roof(max(row["burst_tflops"] for row in of_dtype), MEASURED)
        peaks[dtype] = [*_stated(row["peak_tflops"] for row in of_dtype), reached]
    return Roofs(bandwidths, peaks)


def _stated(values: Iterable[float | None]) -> list[Roof]:
    known = [value for value in values if value is not None]
    return [Roof(max(known), STATED)] if known else []


def _product(study: StudyTables, row: Row, roofs: Roofs) -> Row:
    case = study.cases[row["case_id"]]
    assert isinstance(case.workload, Gemm)
    m, n, k = case.workload.shapes[0] if row["m"] is None else (int(row[name]) for name in gemm.SHAPE)
    intensity = 2 * m * n * k / case.workload.bytes_of((m, n, k))
    return _point(study, row, intensity, row["burst_tflops"], roofs) | {
        "mark": "product", "tflops_low": row["burst_tflops_low"], "tflops_high": row["burst_tflops_high"],
        "interval_method": row["interval_method"],
    }  # fmt: skip


def _pass(study: StudyTables, row: Row, roofs: Roofs) -> Row:
    operations, elements = OPERATIONS[row["operation"]]
    intensity = operations / (elements * ELEMENT_BYTES[row["dtype"]])
    reached = intensity * row["gbps"] * GB / TERA
    return _point(study, row, intensity, reached, roofs) | {
        "mark": "memory pass", "bandwidth_gbps": row["gbps"], "basis": row["metric"],
    }  # fmt: skip


def _point(study: StudyTables, row: Row, intensity: float, reached: float, roofs: Roofs) -> Row:
    case = study.cases[row["case_id"]]
    roof, under = roofs.at(intensity, row["dtype"])
    return {
        "target": case.target.name, "case_id": row["case_id"], "label": case_label(case), "dtype": row["dtype"],
        "operations_per_byte": intensity, "tflops": reached, "roof_tflops": roof, "under": under,
        "fraction_of_roof": reached / roof, "measured": row["measured"],
    }  # fmt: skip


def _roof_rows(target: str, roofs: Roofs) -> list[Row]:
    bandwidths = [
        {"mark": BANDWIDTH, "bandwidth_gbps": roof.value, "basis": roof.basis} for roof in roofs.bandwidths
    ]
    peaks = [
        {"mark": PEAK, "dtype": dtype, "peak_tflops": roof.value, "basis": roof.basis}
        for dtype, of_dtype in roofs.peaks.items()
        for roof in of_dtype
    ]
    return [{"target": target} | row for row in (*bandwidths, *peaks)]


def _draw_roofs(ax: Axes, roofs: Roofs, points: Sequence[Row]) -> None:
    """The rising lines up to the highest peak, and flat ones for each number format from where they meet it."""
    ridges = [roofs.ridge(peak) for of_dtype in roofs.peaks.values() for peak in of_dtype]
    intensities = [point["operations_per_byte"] for point in points]
    left, right = min(*intensities, *ridges) / 2, max(*intensities, *ridges) * 2
    slope = [left, max(ridges)]
    for roof in roofs.bandwidths:
        ends = [x * roof.value * GB / TERA for x in slope]
        ax.plot(slope, ends, _style(roof), color=REFERENCE, linewidth=1.3, zorder=1)
    for place, of_dtype in enumerate(roofs.peaks.values()):
        for peak in of_dtype:
            flat = [roofs.ridge(peak), right]
            ax.plot(
                flat, [peak.value] * 2, _style(peak), color=SERIES[place % len(SERIES)], linewidth=1.3, zorder=1
            )
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator())
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: format_figure(value, 3)))
    ax.grid()


def _draw_points(ax: Axes, points: Sequence[Row]) -> None:
    dtypes = list(dict.fromkeys(point["dtype"] for point in points))
    for place, dtype in enumerate(dtypes):
        colour, marker = SERIES[place % len(SERIES)], MARKERS[place % len(MARKERS)]
        mine = [point for point in points if point["dtype"] == dtype]
        for point in mine:
            if point.get("tflops_low") is not None and point.get("tflops_high") is not None:
                ends = (point["tflops_low"], point["tflops_high"])
                ax.vlines(point["operations_per_byte"], *ends, color=colour, linewidth=4, alpha=0.28)
        for kind, filled in (("product", "full"), ("memory pass", "none")):
            of_kind = [point for point in mine if point["mark"] == kind]
            x, y = ([point[name] for point in of_kind] for name in ("operations_per_byte", "tflops"))
            name = f"{dtype}, {kind}"
            if of_kind:
                ax.plot(x, y, marker, color=colour, markersize=6, label=name, fillstyle=filled)


def _style(roof: Roof) -> str:
    return "-" if roof.basis == STATED else "--"


def _in_words_of(roofs: Roofs) -> str:
    """Solid and dashed lines as far as there are any, and on what the dashed ones rest."""
    all_roofs = [*roofs.bandwidths, *(peak for of_dtype in roofs.peaks.values() for peak in of_dtype)]
    stated = "solid as stated, " if any(roof.basis == STATED for roof in all_roofs) else ""
    return f"{stated}dashed as measured (bandwidth: {roofs.bandwidths[-1].basis})"


def _why_above(point: Row) -> str:
    """Nothing reads more than the roof without a reason."""
    if point["fraction_of_roof"] <= 1:
        return ""
    if point["under"] == BANDWIDTH:
        return " (above it: operands that stay in caches need less of the memory)"
    return " (above it: the peak is stated for a lower clock, or for another device)"


def _in_words(point: Row) -> str:
    return (
        f"{point['label']}: {format_figure(point['tflops'], 3)} TFLOP/s at "
        f"{format_figure(point['operations_per_byte'], 3)} operations per byte, "
        f"{share_words(point['fraction_of_roof'])} of the roof{_why_above(point)}"
    )
