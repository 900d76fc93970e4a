"""tables/noise.csv: how much the iterations of every run scatter, stall and drift; a row for each series.

A series is what one repeat (and rank, where a rank measures itself) measured iteration by iteration. All figures
are of the time per iteration or per unit of work: of a rate the reciprocals are taken, so that "over the median" is
slow everywhere. A figure for which a series is too short is left empty.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seatrial.analysis.inputs import is_ingested, read_cases, read_plan
from seatrial.analysis.probes.records import completed
from seatrial.analysis.statistics import (
    Interval,
    autocorrelation,
    block_bootstrap_interval,
    integrated_autocorrelation_time,
)
from seatrial.analysis.tables import AXIS, axis_columns, axis_names, canonical_json, write_csv
from seatrial.case import Case
from seatrial.config.findings import FindingRules
from seatrial.config.metrics import METRICS
from seatrial.config.metrics.dataload import PREFIX, dataload_metric
from seatrial.config.noise_bands import NoiseBands
from seatrial.config.study import Study
from seatrial.paths import StudyPaths
from seatrial.record import Measurement, Record

SERIES = (
    "train.step_time",
    "train.rank_time",
    "collective.time",
    "moe_alltoall.time",
    "gemm.throughput",
    "gemm.sustained_throughput",
    "memory.bandwidth",
    "memory.host_bandwidth",
    *(dataload_metric(origin, "rank_throughput") for origin in PREFIX),
)
"""Metrics whose samples follow one another in time."""
OF_ITERATIONS = ("train.step_time", "train.rank_time")
"""Of these the first steps are left out (`findings.warm_up_steps`); probes warm up before they measure."""
FEWEST = 20
"""Below so many samples a series is neither quiet nor noisy, and nothing lies beyond its 95th percentile."""
FEWEST_FOR_P99 = 100
ALLAN_SHARE = 10
"""The long Allan deviation averages over a window of this part of the series."""
COLUMNS = (
    "study",
    "target",
    "experiment",
    "workload",
    "case_id",
    "repeat",
    "host",
    "rank",
    "metric",
    "labels",
    "unit",
    "left_out",
    "n",
    "median",
    "median_low",
    "median_high",
    "interval_method",
    "cov",
    "p95_over_p50",
    "p99_over_p50",
    "max_over_median",
    "hiccups",
    "lag1_autocorrelation",
    "autocorrelation_time",
    "allan_first",
    "allan_window",
    "allan_long",
    "allan_over_white",
    "band",
    "note",
)
"""`left_out`: samples at the start that count as warm-up. `hiccups`: share of iterations over the bound of
`noise_bands.hiccup` times the median. `autocorrelation_time` in samples. Allan deviations are relative to the mean:
of single samples, and of averages over `allan_window` samples; `allan_over_white` is the long one over what white
noise of the same spread would have. `band`: quiet, usual, noisy, or not_known where a series is too short."""
Row = dict[str, Any]


@dataclass(frozen=True)
class SeriesNoise:
    """The spread of one series of times; None where the series is too short (or does not vary) for a figure."""

    n: int
    cov: float | None = None
    p95_over_p50: float | None = None
    p99_over_p50: float | None = None
    max_over_median: float | None = None
    hiccups: float | None = None
    lag1_autocorrelation: float | None = None
    autocorrelation_time: float | None = None
    allan_first: float | None = None
    allan_window: int | None = None
    allan_long: float | None = None
    allan_over_white: float | None = None


def noise(paths: StudyPaths) -> None:
    """Write tables/noise.csv: a row for every series of a completed repeat; remove it where nothing runs here.

    Raises UnreadableFile where the study's plan or a case cannot be read.
    """
    study = read_plan(paths).study
    cases = [case for case in read_cases(paths, read_plan(paths)) if not is_ingested(case)]
    if not cases:
        paths.noise.unlink(missing_ok=True)
        return
    names = axis_names(case.axes for case in cases)
    rows = [
        {**row, **axis_columns(case.axes, names)}
        for case in cases
        for record in completed(paths, case)
        for row in _rows_of(case, record, study)
    ]
    write_csv(paths.noise, [*COLUMNS, *(AXIS + name for name in names)], rows)


def series_noise(times: Sequence[float], hiccup: float = 1.5) -> SeriesNoise:
    """The noise metrics of a series of positive times; a hiccup takes more than `hiccup` medians.

    CoV is the sample standard deviation over the mean. Percentiles are interpolated linearly. Raises ValueError for
    values that are not finite and positive.
    """
    found = np.asarray(times, dtype=float)
    if not (np.isfinite(found).all() and (found > 0).all()):
        raise ValueError("a time is not finite and positive; what was not measured is no part of a series")
    n = len(found)
    if n < 2:
        return SeriesNoise(n)
    middle = float(np.median(found))
    rho = autocorrelation(times) if n >= FEWEST else None
    window = max(1, n // ALLAN_SHARE)
    first = allan_deviation(times, 1)
    long = allan_deviation(times, window) if n >= FEWEST else None
    return SeriesNoise(
        n=n,
        cov=float(np.std(found, ddof=1) / np.mean(found)),
        p95_over_p50=float(np.percentile(found, 95)) / middle if n >= FEWEST else None,
        p99_over_p50=float(np.percentile(found, 99)) / middle if n >= FEWEST_FOR_P99 else None,
        max_over_median=float(found.max()) / middle,
        hiccups=float(np.mean(found > hiccup * middle)),
        lag1_autocorrelation=None if rho is None else float(rho[1]),
        autocorrelation_time=integrated_autocorrelation_time(times) if n >= FEWEST else None,
        allan_first=first,
        allan_window=None if long is None else window,
        allan_long=long,
        allan_over_white=long * math.sqrt(window) / first if long is not None and first else None,
    )


def allan_deviation(times: Sequence[float], window: int) -> float | None:
    """Overlapping Allan deviation of averages over `window` samples, over the mean of the series.

    sqrt(mean((y[k + window] - y[k])^2) / 2) of the moving averages y (Allan 1966; NIST SP 1065, 5.2.2). White noise
    makes it fall with the root of the window, drift makes it rise. None for fewer samples than two windows.
    """
    found = np.asarray(times, dtype=float)
    if len(found) < 2 * window:
        return None
    sums: NDArray[np.float64] = np.concatenate([[0.0], np.cumsum(found - found.mean())])
    averages = (sums[window:] - sums[:-window]) / window
    steps = averages[window:] - averages[:-window]
    return float(math.sqrt(float(np.mean(steps**2)) / 2) / float(found.mean()))


def band(found: SeriesNoise, bands: NoiseBands, rules: FindingRules) -> tuple[str, str | None]:
    """quiet, usual, noisy or not_known, and which bounds say noisy or that it drifts."""
    words = []
    if found.n < FEWEST or found.cov is None or found.p95_over_p50 is None or found.hiccups is None:
        return "not_known", f"{found.n} samples are fewer than {FEWEST}"
    if found.cov > rules.noise_cov.value:
        words.append(f"CoV {100 * found.cov:.3g} % over {100 * rules.noise_cov.value:g} %")
    if found.p95_over_p50 > rules.noise_tail.value:
        words.append(f"P95/P50 {found.p95_over_p50:.3g} over {rules.noise_tail.value:g}")
    if found.hiccups > rules.noise_hiccups.value:
        words.append(f"hiccups {100 * found.hiccups:.3g} % over {100 * rules.noise_hiccups.value:g} %")
    level = "noisy" if words else "quiet" if found.cov < bands.quiet_cov.value else "usual"
    if found.allan_over_white is not None and found.allan_over_white > bands.drift.value:
        over = f"{found.allan_over_white:.3g} times white noise"
        words.append(f"slow changes: over {found.allan_window} samples {over}")
    return level, "; ".join(words) or None


def _rows_of(case: Case, record: Record, study: Study) -> Iterator[Row]:
    hosts = [str(host) for host in record.provenance.get("hosts") or []]
    for m in record.measurements:
        if m.metric not in SERIES or len(m.samples) < 2 or min(m.samples) <= 0:
            continue
        rank = m.labels.get("rank")
        yield {
            "study": case.study,
            "target": case.target.name,
            "experiment": case.experiment,
            "workload": case.workload.kind,
            "case_id": case.case_id,
            "repeat": record.repeat,
            "host": _host(hosts, rank),
            "rank": rank,
            "metric": m.metric,
            "labels": canonical_json({name: value for name, value in m.labels.items() if name != "rank"}),
            "unit": m.unit,
            **_figures(m, record, study),
        }


def _host(hosts: Sequence[str], rank: object) -> str | None:
    """The host of a rank, or of all ranks where there is one."""
    if isinstance(rank, int):
        return hosts[rank] if rank < len(hosts) else None
    return hosts[0] if len(set(hosts)) == 1 else None


def _figures(m: Measurement, record: Record, study: Study) -> Row:
    left_out = min(study.findings.warm_up_steps, len(m.samples)) if m.metric in OF_ITERATIONS else 0
    values = m.samples[left_out:]
    times = [1 / value for value in values] if METRICS[m.metric].direction == "higher" else values
    found = series_noise(times, study.noise_bands.hiccup.value)
    level, note = band(found, study.noise_bands, study.findings)
    again = f"taken up again {record.resumed} times, which is part of the series" if record.resumed else None
    interval = _interval(values, m)
    return {
        "left_out": left_out,
        "median": float(np.median(values)) if values else None,
        "median_low": interval.low,
        "median_high": interval.high,
        "interval_method": interval.method,
        **asdict(found),
        "band": level,
        "note": "; ".join(part for part in (note, again) if part) or None,
    }


def _interval(values: Sequence[float], m: Measurement) -> Interval:
    if "rank" in m.labels and m.metric in OF_ITERATIONS:
        return Interval(None, None, "none (one rank of many: the step time has one)")
    return block_bootstrap_interval(values)
