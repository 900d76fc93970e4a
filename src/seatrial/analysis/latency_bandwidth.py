"""The latency-bandwidth model t(S) = alpha + beta S of a message of S bytes, in pieces.

A library changes its algorithm and protocol with the size, each with a latency and a bandwidth of its own, so the
pieces need not meet. Each is fitted to relative residuals (weights 1/t^2; where bandwidth rules, 1/S^2), so that
8 bytes count as much as 16 GiB, with Huber's weights against outliers. Breaks are those with the least sum of
absolute relative residuals; how many there are, the Bayesian information criterion says. Nothing is random.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from seatrial.analysis.order import row_medians

MOST_PIECES = 4
LEAST_SIZES = 4
"""Sizes that a piece needs at least: two are spent on its line."""
CLOCK_NOISE = 1e-3
"""Relative deviations below a thousandth are not told apart: timers and their medians are no better."""
LEAST_R_SQUARED = 0.98
CLOSE = 0.05
"""Root mean square of deviations up to which a piece fits, whatever its R^2: of a flat one that is near 0."""
HUBER = 1.345
"""Huber's constant, in standard deviations: 95 % efficiency for normal errors."""
REWEIGHTINGS = 8
OUTLIER = 4.0
BREAK = 3
"""So many keep one line with 3 % of noise whole in 9 of 10 cases, at 8 sizes as at 31."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Piece:
    """alpha + beta S for sizes from `first` to `last` bytes.

    `alpha` in seconds, `beta` in seconds per byte, both None where there are too few sizes; `r_squared` is of the
    logs of times, `deviation` the median relative residual. `flag` says in words why not to trust it, and is empty
    where nothing speaks against it.
    """

    first: int
    last: int
    sizes: int
    alpha: float | None
    beta: float | None
    r_squared: float | None
    deviation: float | None
    flag: str

    @property
    def n_half(self) -> float | None:
        """The size in bytes at half of the piece's bandwidth: alpha / beta.

        None unless both are positive and the size is one of the piece's: beyond them another line rules.
        """
        half = self._half()
        return half if half is not None and self.first <= half <= self.last else None

    @property
    def n_half_note(self) -> str:
        """Where half of the bandwidth would lie, when that is not among the piece's sizes; else empty."""
        half = self._half()
        if half is None or self.n_half is not None:
            return ""
        return "below the piece's sizes" if half < self.first else "above the piece's sizes"

    def _half(self) -> float | None:
        if self.alpha is None or self.beta is None or self.alpha <= 0 or self.beta <= 0:
            return None
        return self.alpha / self.beta

    @property
    def bytes_per_second(self) -> float | None:
        """What the piece tends to, 1 / beta; None where time does not grow with size."""
        return 1 / self.beta if self.beta is not None and self.beta > 0 else None


def fit_pieces(sizes: Sequence[int], seconds: Sequence[float], most: int = MOST_PIECES) -> list[Piece]:
    """Fit one to `most` pieces to the times in `seconds` of messages of `sizes` bytes, which ascend.

    Fewer than LEAST_SIZES sizes give one piece without a line, and its flag says so. Raises ValueError for sizes
    that do not ascend, times that are not positive, and nothing at all.
    """
    _check(sizes, seconds)
    if len(sizes) < LEAST_SIZES:
        words = f"{len(sizes)} sizes are too few for a line; it takes {LEAST_SIZES}"
        return [Piece(sizes[0], sizes[-1], len(sizes), None, None, None, None, words)]
    x, t = np.asarray(sizes, dtype=np.float64), np.asarray(seconds, dtype=np.float64)
    ends = _breaks(x, t, most)
    return [_piece(sizes[a:b], x[a:b], t[a:b]) for a, b in pairwise([0, *ends])]


def _check(sizes: Sequence[int], seconds: Sequence[float]) -> None:
    if not sizes or len(sizes) != len(seconds):
        raise ValueError(f"{len(sizes)} sizes and {len(seconds)} times; allowed: equally many, at least one")
    if any(b <= a for a, b in pairwise(sizes)):
        raise ValueError("sizes must ascend, each once")
    if not all(math.isfinite(t) and t > 0 for t in seconds):
        raise ValueError("a time is not positive and finite; what was not measured has no place in a fit")


def _breaks(x: Array, t: Array, most: int) -> list[int]:
    """Where each piece ends (exclusive): for every number of pieces the best breaks, by dynamic programming."""
    n = len(x)
    residuals = _of_spans(x, t)
    cost = {span: float(np.abs(left).sum()) for span, left in residuals.items()}
    least: dict[int, tuple[float, list[int]]] = {b: (cost[0, b], [b]) for b in range(LEAST_SIZES, n + 1)}
    candidates = [least[n][1]]
    for pieces in range(2, min(most, n // LEAST_SIZES) + 1):
        least = {
            b: min((least[a][0] + cost[a, b], [*least[a][1], b]) for a in least if a + LEAST_SIZES <= b)
            for b in range(pieces * LEAST_SIZES, n + 1)
        }
        candidates.append(least[n][1])
    return min(candidates, key=lambda ends: _criterion([residuals[a, b] for a, b in pairwise([0, *ends])]))


def _criterion(residuals: list[Array]) -> float:
    """BIC of normal errors, of the pieces that left these residuals.

    A break counts as BREAK parameters: its place is the best of many, which weighs more than one (Zhang, Siegmund,
    Biometrics 63, 2007). Residuals beyond OUTLIER standard deviations count as that much, so that an outlier
    neither asks for a piece nor hides one.
    """
    every = np.concatenate(residuals)
    n, pieces = len(every), len(residuals)
    spread = 1.4826 * float(np.median(np.abs(every))) * math.sqrt(n / (n - 2 * pieces))
    squares = float((np.minimum(np.abs(every), OUTLIER * max(spread, CLOCK_NOISE)) ** 2).sum())
    parameters = 2 * pieces + BREAK * (pieces - 1)
    return n * math.log(squares / (n - 2 * pieces) + CLOCK_NOISE**2) + parameters * math.log(n)


def _of_spans(x: Array, t: Array) -> dict[tuple[int, int], Array]:
    """The relative residuals of every span of sizes under its own line; those of one length are fitted together."""
    found: dict[tuple[int, int], Array] = {}
    for length in range(LEAST_SIZES, len(x) + 1):
        xs, ts = (np.lib.stride_tricks.sliding_window_view(of, length) for of in (x, t))
        alpha, beta = _lines(xs, ts)
        left = _residuals(xs, ts, alpha[:, None], beta[:, None])
        found |= {(first, first + length): of_span for first, of_span in enumerate(left)}
    return found


def _line(x: Array, t: Array) -> tuple[float, float]:
    """alpha and beta with the least Huber loss of relative residuals, by reweighting."""
    (alpha,), (beta,) = (found.tolist() for found in _lines(x[None, :], t[None, :]))
    return alpha, beta


def _lines(x: Array, t: Array) -> tuple[Array, Array]:
    """[lines] each: `_line` of each row of [lines, sizes]."""
    scale = x.max(axis=1)
    u, v = 1 / t, x / scale[:, None] / t
    weights = np.ones_like(t)
    for _ in range(REWEIGHTINGS):
        alpha, slope = _least_squares(u, v, weights)
        residuals = np.abs(1 - alpha[:, None] * u - slope[:, None] * v)
        spread = np.maximum(1.4826 * row_medians(residuals), CLOCK_NOISE)
        weights = np.minimum(1.0, HUBER * spread[:, None] / np.maximum(residuals, 1e-300))
    return alpha, slope / scale


def _least_squares(u: Array, v: Array, weights: Array) -> tuple[Array, Array]:
    """[lines]: a and b with the least weighted sum of (1 - a u - b v)^2; sizes differ, so u and v are not
    proportional."""
    wu, wv = weights * u, weights * v
    uu, uv, vv, u1, v1 = _dots(wu, u), _dots(wu, v), _dots(wv, v), wu.sum(axis=1), wv.sum(axis=1)
    determinant = uu * vv - uv * uv
    return (vv * u1 - uv * v1) / determinant, (uu * v1 - uv * u1) / determinant


def _dots(one: Array, other: Array) -> Array:
    """[lines]: the inner product of each row of both."""
    found: Array = np.matmul(one[:, None, :], other[:, :, None])[:, 0, 0]
    return found


def _residuals(x: Array, t: Array, alpha: float | Array, beta: float | Array) -> Array:
    return (t - alpha - beta * x) / t


def _piece(sizes: Sequence[int], x: Array, t: Array) -> Piece:
    alpha, beta = _line(x, t)
    deviation = float(np.median(np.abs(_residuals(x, t, alpha, beta))))
    left = _log_residuals(t, alpha + beta * x)
    r_squared = None if left is None else _r_squared(t, left)
    flag = _flag(alpha, beta, r_squared, left)
    return Piece(sizes[0], sizes[-1], len(sizes), alpha, beta, r_squared, deviation, flag)


def _log_residuals(t: Array, fitted: Array) -> Array | None:
    """The logs of times less those of the fitted ones; None where a fitted time is not positive."""
    return None if (fitted <= 0).any() else np.log(t / fitted)


def _r_squared(t: Array, left: Array) -> float | None:
    """R^2 of the logs of times; None where all times are equal."""
    logs = np.log(t)
    whole = float(((logs - logs.mean()) ** 2).sum())
    return 1 - float((left**2).sum()) / whole if whole > 0 else None


def _flag(alpha: float, beta: float, r_squared: float | None, left: Array | None) -> str:
    words = []
    if beta <= 0:
        words.append("time does not grow with size: no bandwidth")
    if alpha < 0:
        words.append("the latency comes out negative")
    if left is None:
        words.append("the line does not fit: it is not positive everywhere")
    elif float(np.sqrt((left**2).mean())) > CLOSE and r_squared is not None and r_squared < LEAST_R_SQUARED:
        words.append(f"the line does not fit: R² {r_squared:.3f} is below {LEAST_R_SQUARED}")
    return "; ".join(words)
