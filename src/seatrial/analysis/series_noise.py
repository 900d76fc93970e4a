"""How much the samples of one series scatter, stall and drift; of many series of one length at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seatrial.analysis.order import row_medians, row_quantiles
from seatrial.analysis.statistics.series import autocorrelation_times, autocorrelations

FEWEST = 20
"""Below so many samples a series is neither quiet nor noisy, and nothing lies beyond its 95th percentile."""
FEWEST_FOR_P99 = 100
ALLAN_SHARE = 10
"""The long Allan deviation averages over a window of this part of the series."""
Floats = NDArray[np.float64]


class SeriesNoise(NamedTuple):
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


def series_noise(times: Sequence[float], hiccup: float = 1.5) -> SeriesNoise:
    """The noise metrics of a series of positive times; a hiccup takes more than `hiccup` medians.

    CoV is the sample standard deviation over the mean. Percentiles are interpolated linearly. Raises ValueError for
    values that are not finite and positive.
    """
    found = np.asarray(times, dtype=float)
    if not (np.isfinite(found).all() and (found > 0).all()):
        raise ValueError("a time is not finite and positive; what was not measured is no part of a series")
    return series_noises(found[None, :], hiccup)[0]


def series_noises(times: Floats, hiccup: float) -> list[SeriesNoise]:
    """`series_noise` of each row of [series, n], all finite and positive."""
    k, n = times.shape
    if n < 2:
        return [SeriesNoise(n)] * k
    middle = row_medians(times)
    rho = autocorrelations(times) if n >= FEWEST else None
    window = max(1, n // ALLAN_SHARE)
    first = allan_deviations(times, 1)
    long = allan_deviations(times, window) if n >= FEWEST else None
    p95, p99 = row_quantiles(times, (0.95, 0.99))
    of_all: dict[str, Floats | None] = {
        "cov": np.std(times, axis=1, ddof=1) / np.mean(times, axis=1),
        "p95_over_p50": p95 / middle if n >= FEWEST else None,
        "p99_over_p50": p99 / middle if n >= FEWEST_FOR_P99 else None,
        "max_over_median": times.max(axis=1) / middle,
        "hiccups": np.mean(times > hiccup * middle[:, None], axis=1),
        "lag1_autocorrelation": None if rho is None else rho[:, 1],
        "autocorrelation_time": None if rho is None else autocorrelation_times(rho)[0],
        "allan_first": first,
        "allan_long": long,
    }
    if long is not None and first is not None:
        with np.errstate(all="ignore"):
            of_all["allan_over_white"] = np.where(first > 0, long * math.sqrt(window) / first, np.nan)
    fixed = {"n": [n] * k, "allan_window": [None if long is None else window] * k}
    cells = [fixed[name] if name in fixed else _cells(of_all.get(name), k) for name in SeriesNoise._fields]
    return [SeriesNoise(*row) for row in zip(*cells, strict=True)]


def _cells(values: Floats | None, k: int) -> list[Any]:
    """[k] values, None in place of NaN."""
    if values is None:
        return [None] * k
    found: list[Any] = values.tolist()
    for place in np.flatnonzero(np.isnan(values)).tolist():
        found[place] = None
    return found


def allan_deviation(times: Sequence[float], window: int) -> float | None:
    """Overlapping Allan deviation of averages over `window` samples, over the mean of the series.

    sqrt(mean((y[k + window] - y[k])^2) / 2) of the moving averages y (Allan 1966; NIST SP 1065, 5.2.2). White noise
    makes it fall with the root of the window, drift makes it rise. None for fewer samples than two windows.
    """
    found = allan_deviations(np.asarray(times, dtype=float)[None, :], window)
    return None if found is None else float(found[0])


def allan_deviations(times: Floats, window: int) -> Floats | None:
    """[series]: `allan_deviation` of each row of [series, n]."""
    k, n = times.shape
    if n < 2 * window:
        return None
    mean = times.mean(axis=1)
    sums = np.concatenate([np.zeros((k, 1)), np.cumsum(times - mean[:, None], axis=1)], axis=1)
    averages = (sums[:, window:] - sums[:, :-window]) / window
    steps = averages[:, window:] - averages[:, :-window]
    return np.asarray(np.sqrt(np.mean(steps**2, axis=1) / 2) / mean)
