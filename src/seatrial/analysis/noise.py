"""tables/noise.csv: how much the iterations of every run scatter, stall and drift; a row for each series.

A series is what one repeat (and rank, where a rank measures itself) measured iteration by iteration. All figures
are of the time per iteration or per unit of work: of a rate the reciprocals are taken, so that "over the median" is
slow everywhere. A figure for which a series is too short is left empty.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seatrial.analysis.inputs import is_ingested, read_cases, read_plan
from seatrial.analysis.probes.records import completed
from seatrial.analysis.series_noise import FEWEST, SeriesNoise, series_noises
from seatrial.analysis.statistics import Interval, block_bootstrap_interval
from seatrial.analysis.statistics.series import autocorrelation_times, autocorrelations
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
    rows: list[Row] = []
    for case in cases:
        axes = axis_columns(case.axes, names)
        series = [one for record in completed(paths, case, SERIES) for one in _series_of(record, study)]
        rows += [
            {**_about(case, one), **figures, **axes}
            for one, figures in zip(series, _figures(series, study), strict=True)
        ]
    write_csv(paths.noise, [*COLUMNS, *(AXIS + name for name in names)], rows)


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


@dataclass(frozen=True)
class _Series:
    """One series, with the repeat and the rank that it is of."""

    record: Record
    host: str | None
    measurement: Measurement
    left_out: int
    values: Sequence[float]
    """Without what was left out."""


def _series_of(record: Record, study: Study) -> Iterator[_Series]:
    hosts = [str(host) for host in record.provenance.get("hosts") or []]
    for m in record.measurements:
        if m.metric not in SERIES or len(m.samples) < 2 or min(m.samples) <= 0:
            continue
        left_out = min(study.findings.warm_up_steps, len(m.samples)) if m.metric in OF_ITERATIONS else 0
        yield _Series(record, _host(hosts, m.labels.get("rank")), m, left_out, m.samples[left_out:])


def _about(case: Case, one: _Series) -> Row:
    m = one.measurement
    return {
        "study": case.study,
        "target": case.target.name,
        "experiment": case.experiment,
        "workload": case.workload.kind,
        "case_id": case.case_id,
        "repeat": one.record.repeat,
        "host": one.host,
        "rank": m.labels.get("rank"),
        "metric": m.metric,
        "labels": canonical_json({name: value for name, value in m.labels.items() if name != "rank"}),
        "unit": m.unit,
    }


def _host(hosts: Sequence[str], rank: object) -> str | None:
    """The host of a rank, or of all ranks where there is one."""
    if isinstance(rank, int):
        return hosts[rank] if rank < len(hosts) else None
    return hosts[0] if len(set(hosts)) == 1 else None


def _figures(series: Sequence[_Series], study: Study) -> list[Row]:
    """What is said of each; those of one length are looked at together."""
    lengths: dict[int, list[int]] = {}
    for place, one in enumerate(series):
        lengths.setdefault(len(one.values), []).append(place)
    found: list[Row] = [{} for _ in series]
    for places in lengths.values():
        chosen = [series[place] for place in places]
        values = np.array([one.values for one in chosen], dtype=np.float64)
        rates = np.array([METRICS[one.measurement.metric].direction == "higher" for one in chosen])
        times = np.where(rates[:, None], 1 / values, values)
        noises = series_noises(times, study.noise_bands.hiccup.value)
        medians = np.median(values, axis=1).tolist() if values.shape[1] else [None] * len(chosen)
        taus = autocorrelation_times(autocorrelations(values))[0].tolist() if values.shape[1] > 1 else medians
        for place, one, noise, middle, tau in zip(places, chosen, noises, medians, taus, strict=True):
            found[place] = _said(one, noise, middle, tau, study)
    return found


def _said(one: _Series, noise: SeriesNoise, middle: float | None, tau: float | None, study: Study) -> Row:
    level, note = band(noise, study.noise_bands, study.findings)
    resumed = one.record.resumed
    again = f"taken up again {resumed} times, which is part of the series" if resumed else None
    interval = _interval(one, tau)
    return {
        "left_out": one.left_out,
        "median": middle,
        "median_low": interval.low,
        "median_high": interval.high,
        "interval_method": interval.method,
        **vars(noise),
        "band": level,
        "note": "; ".join(part for part in (note, again) if part) or None,
    }


def _interval(one: _Series, tau: float | None) -> Interval:
    if "rank" in one.measurement.labels and one.measurement.metric in OF_ITERATIONS:
        return Interval(None, None, "none (one rank of many: the step time has one)")
    return block_bootstrap_interval(one.values, time=None if tau is None or math.isnan(tau) else tau)
