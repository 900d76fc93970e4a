"""tables/noise.csv: how much the iterations of every run scatter, stall and drift; a row for each series.

A series is what one repeat (and rank, where a rank measures itself) measured iteration by iteration. All figures
are of the time per iteration or per unit of work: of a rate the reciprocals are taken, so that "over the median" is
slow everywhere. A figure for which a series is too short is left empty.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seatrial.analysis.inputs import is_ingested, read_cases, read_plan
from seatrial.analysis.medians import Rows, completed_rows
from seatrial.analysis.once import once
from seatrial.analysis.order import row_medians
from seatrial.analysis.series_noise import FEWEST, SeriesNoise, series_noises
from seatrial.analysis.statistics import Interval, block_bootstrap_interval
from seatrial.analysis.statistics.series import autocorrelation_times, autocorrelations, without_interval
from seatrial.analysis.tables import AXIS, axis_columns, axis_names, canonical_json, write_csv
from seatrial.case import Case
from seatrial.config.findings import FindingRules
from seatrial.config.metrics import METRICS
from seatrial.config.metrics.dataload import PREFIX, dataload_metric
from seatrial.config.noise_bands import NoiseBands
from seatrial.config.study import Study
from seatrial.paths import StudyPaths

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
OF_A_RANK = Interval(None, None, "none (one rank of many: the step time has one)")
Floats = NDArray[np.float64]
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
        series = [one for repeat in completed_rows(paths, case, SERIES) for one in _series_of(repeat, study)]
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


class _Place(NamedTuple):
    """What follows from labels: where the series was measured, and of what."""

    host: str | None
    rank: Any
    shown: str
    """The labels but for the rank."""


class _Series(NamedTuple):
    """One series, with the repeat and the rank that it is of."""

    repeat: Rows
    row: int
    metric: str
    place: _Place
    left_out: int
    length: int
    """Without what was left out."""


def _series_of(repeat: Rows, study: Study) -> Iterator[_Series]:
    of, rows, hosts = repeat.columns, repeat.rows, repeat.hosts
    several = rows[of.counts[rows] >= 2]
    kept = several[of.least(several) > 0]
    # the same for all series of the same labels on the same hosts
    places: dict[int, _Place] = once(("places of series", id(of), hosts), dict)
    columns = (kept, of.metric[kept], of.labels[kept], of.counts[kept])
    for row, metric, code, n in zip(*(column.tolist() for column in columns), strict=True):
        name = of.texts[metric]
        left_out = min(study.findings.warm_up_steps, n) if name in OF_ITERATIONS else 0
        place = places.get(code) or places.setdefault(code, _place(of.labels_of(code), hosts))
        yield _Series(repeat, row, name, place, left_out, n - left_out)


def _place(labels: Mapping[str, Any], hosts: Sequence[str]) -> _Place:
    others = {name: value for name, value in labels.items() if name != "rank"}
    return _Place(_host(hosts, labels.get("rank")), labels.get("rank"), canonical_json(others))


def _about(case: Case, one: _Series) -> Row:
    return {
        "study": case.study,
        "target": case.target.name,
        "experiment": case.experiment,
        "workload": case.workload.kind,
        "case_id": case.case_id,
        "repeat": one.repeat.record.repeat,
        "host": one.place.host,
        "rank": one.place.rank,
        "metric": one.metric,
        "labels": one.place.shown,
        "unit": METRICS[one.metric].unit,
    }


def _host(hosts: Sequence[str], rank: object) -> str | None:
    """The host of a rank, or of all ranks where there is one."""
    if isinstance(rank, int):
        return hosts[rank] if rank < len(hosts) else None
    return hosts[0] if len(set(hosts)) == 1 else None


def _figures(series: Sequence[_Series], study: Study) -> list[Row]:
    """What is said of each; those of one length are looked at together."""
    together: dict[tuple[int, int, int], list[int]] = {}
    for place, one in enumerate(series):
        together.setdefault((id(one.repeat.columns), one.left_out, one.length), []).append(place)
    found: list[Row] = [{} for _ in series]
    for (_, left_out, _), places in together.items():
        chosen = [series[place] for place in places]
        values = chosen[0].repeat.columns.values(np.array([one.row for one in chosen]))[:, left_out:]
        rates = np.array([METRICS[one.metric].direction == "higher" for one in chosen])
        times = np.where(rates[:, None], 1 / values, values)
        noises = series_noises(times, study.noise_bands.hiccup.value)
        medians = row_medians(values).tolist() if values.shape[1] else [None] * len(chosen)
        taus = [noise.autocorrelation_time for noise in noises]  # where values are times
        if rates.any() or values.shape[1] < FEWEST:
            taus = autocorrelation_times(autocorrelations(values))[0].tolist() if values.shape[1] > 1 else medians
        for place, one, of, noise, middle, tau in zip(places, chosen, values, noises, medians, taus, strict=True):
            found[place] = _said(one, of, noise, middle, tau, study)
    return found


def _said(
    one: _Series, values: Floats, noise: SeriesNoise, middle: float | None, tau: float | None, study: Study
) -> Row:
    level, note = band(noise, study.noise_bands, study.findings)
    resumed = one.repeat.record.resumed
    again = f"taken up again {resumed} times, which is part of the series" if resumed else None
    interval = _interval(one, values, tau)
    return {
        "left_out": one.left_out,
        "median": middle,
        "median_low": interval.low,
        "median_high": interval.high,
        "interval_method": interval.method,
        **noise._asdict(),
        "band": level,
        "note": "; ".join(part for part in (note, again) if part) or None,
    }


def _interval(one: _Series, values: Floats, tau: float | None) -> Interval:
    if one.place.rank is not None and one.metric in OF_ITERATIONS:
        return OF_A_RANK
    if tau is None or math.isnan(tau):
        return block_bootstrap_interval(values)
    # of what varies there is a time; most of 80,000 series are too short for more
    return without_interval(len(values), tau) or block_bootstrap_interval(values, time=tau)
