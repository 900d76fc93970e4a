"""Series of one run, whose values depend on their neighbours: autocorrelation, a median's interval despite it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from seatrial.analysis.order import row_medians
from seatrial.analysis.statistics.distributions import normal_above, t_quantile
from seatrial.analysis.statistics.medians import Interval

Values = Sequence[float] | NDArray[np.float64]
WINDOW = 5.0
"""The sum over lags ends at the first lag of at least this many autocorrelation times (Sokal 1997)."""
BLOCK_TIMES = 3.0
"""A block's length in integrated autocorrelation times."""
FEWEST_BLOCKS = 15
"""With fewer blocks in the series (45 autocorrelation times) neither their spread nor their length is known."""
RESAMPLES = 1000
AT_ONCE = 4_000_000
"""Resampled values that are held at the same time."""
MOST_KEPT = 1_000_000
"""Places of so many resampled values are kept for the next series of the same length."""
DIGITS = 12
"""Of a correlation; what lies below is rounding."""


def autocorrelation(values: Values) -> NDArray[np.float64] | None:
    """[n]: the autocorrelation at lags 0 to n - 1, the biased estimate (divided by n at every lag).

    None for fewer than three values, and where all are equal: what does not vary has no correlation. Raises
    ValueError for values that are not finite.
    """
    found = _finite(values)
    rho = autocorrelations(found[None, :])[0]
    return None if len(rho) == 0 or np.isnan(rho[0]) else rho


def autocorrelations(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """[series, n]: the `autocorrelation` of each row; a row of NaN where that is None. All must be finite."""
    n = series.shape[1]
    rho = np.full(series.shape, np.nan)
    varying = series[np.ptp(series, axis=1) > 0] if n >= 3 else series[:0]
    if len(varying):
        away = varying - varying.mean(axis=1, keepdims=True)
        # not directly: those products end in other digits where memory lies otherwise, and a table in other bytes
        length = fft.next_fast_len(2 * n - 1, True)
        spectra = fft.rfft(away, length, axis=1) * fft.rfft(away[:, ::-1], length, axis=1)
        sums = fft.irfft(spectra, length, axis=1)[:, n - 1 : 2 * n - 1]
        rho[np.ptp(series, axis=1) > 0] = (sums / sums[:, :1]).round(DIGITS)
    return rho


class AutocorrelationTime(NamedTuple):
    """An integrated autocorrelation time and its standard error, in samples."""

    value: float
    error: float


def autocorrelation_time(values: Values) -> AutocorrelationTime | None:
    """1 + 2 sum of the autocorrelations, in samples: that many neighbours tell about as much as one alone.

    Sokal's window: the sum ends at the first lag W of at least WINDOW times the value so far. What is lost because
    the mean is estimated from the same series is added (Wolff 2004, eq. 49). At least 1: a series that alternates
    is not taken for more than it has. The error is sqrt(2 (2 W + 1) / n) of the value (Madras and Sokal 1988).
    None as with `autocorrelation`.
    """
    rho = autocorrelation(values)
    if rho is None:
        return None
    n = len(rho)
    (value,), (last,) = (found.tolist() for found in autocorrelation_times(rho[None, :]))
    return AutocorrelationTime(value, value * math.sqrt(2 * (2 * last + 1) / n))


def autocorrelation_times(rho: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """[series] each: the value of `autocorrelation_time` and Sokal's window W, of rows of autocorrelations."""
    n = rho.shape[1]
    times = 2 * np.cumsum(rho, axis=1) - 1
    enough = np.arange(n) >= WINDOW * times
    last = np.where(enough.any(axis=1), np.argmax(enough, axis=1), n - 1)
    found = times[np.arange(len(rho)), last] * (1 + (2 * last + 1) / n)
    return np.maximum(1.0, found), last


def autocorrelation_time_error(time: float, n: int) -> float:
    """The relative standard error that an integrated autocorrelation time of `time` has in a series of `n`."""
    return math.sqrt(2 * (2 * math.ceil(WINDOW * time) + 1) / n)


def integrated_autocorrelation_time(values: Values) -> float | None:
    """The value of `autocorrelation_time` alone."""
    found = autocorrelation_time(values)
    return None if found is None else found.value


def block_bootstrap_interval(
    values: Values,
    confidence: float = 0.95,
    block: int | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    time: float | None = None,
) -> Interval:
    """Interval of the median of a stationary series, by the moving-block bootstrap (Kuensch 1989), percentiles.

    `block` in samples; None: three integrated autocorrelation times. No interval where fewer than FEWEST_BLOCKS
    blocks fit. The percentiles are taken further out, as a t with blocks - 1 degrees of freedom lies further out
    than a normal (the spread is known from that many blocks only), and by what dependence between blocks costs.
    The same seed gives the same interval. `time`: the autocorrelation time, where the caller knows it.
    Raises ValueError for values that are not finite.
    """
    found = _finite(values)
    n = len(found)
    if n < 2:
        return Interval(None, None, "none (n < 2)")
    if np.ptp(found) == 0:
        return Interval(float(found[0]), float(found[0]), "none needed (all values are equal)")
    time = time or integrated_autocorrelation_time(values) or 1.0
    length = block or math.ceil(BLOCK_TIMES * time)
    blocks = n // length
    if blocks < FEWEST_BLOCKS:
        return _too_few(blocks, length)
    medians = _resampled_medians(found, length, seed, resamples)
    # what blocks of this length lose of the variance where correlation decays geometrically (Kuensch 1989, 3.2)
    lost = min(0.5, (time - 1 / time) / (2 * length))
    wide = math.sqrt(blocks / (blocks - 1) / (1 - lost)) * t_quantile((1 + confidence) / 2, blocks - 1)
    tail = normal_above(wide)
    low, high = np.quantile(medians, [tail, 1 - tail])
    return Interval(float(low), float(high), f"moving-block bootstrap {100 * confidence:.4g} %, blocks of {length}")


def without_interval(n: int, time: float) -> Interval | None:
    """What `block_bootstrap_interval` says of `n` values, not all equal, where `time` leaves too few blocks; else
    None."""
    length = math.ceil(BLOCK_TIMES * time)
    return _too_few(n // length, length) if n // length < FEWEST_BLOCKS else None


def _too_few(blocks: int, length: int) -> Interval:
    return Interval(None, None, f"none ({blocks} blocks of {length} are fewer than {FEWEST_BLOCKS})")


def _resampled_medians(found: NDArray[np.float64], length: int, seed: int, resamples: int) -> NDArray[np.float64]:
    """[resamples]: medians of series of the same length, put together from blocks drawn with replacement."""
    n = len(found)
    if n * resamples <= MOST_KEPT:
        return row_medians(found[_places(n, length, seed, resamples)])
    return np.concatenate([row_medians(found[places]) for places in _drawn_places(n, length, seed, resamples)])


@lru_cache(maxsize=8)
def _places(n: int, length: int, seed: int, resamples: int) -> NDArray[np.intp]:
    """[resamples, n]: all that are drawn: the same for every series as long."""
    return np.concatenate(list(_drawn_places(n, length, seed, resamples)))


def _drawn_places(n: int, length: int, seed: int, resamples: int) -> Iterator[NDArray[np.intp]]:
    """[some, n] each: where each value of a resampled series comes from."""
    blocks = math.ceil(n / length)
    draw = np.random.default_rng(seed)
    together = max(1, AT_ONCE // n)
    offsets = np.arange(length)
    for first in range(0, resamples, together):
        count = min(together, resamples - first)
        starts = draw.integers(0, n - length + 1, size=(count, blocks))
        yield (starts[:, :, None] + offsets).reshape(count, -1)[:, :n]


def _finite(values: Values) -> NDArray[np.float64]:
    found = np.asarray(values, dtype=float)
    if not np.isfinite(found).all():
        raise ValueError("a value is not finite; what was not measured is no part of a series")
    return found
