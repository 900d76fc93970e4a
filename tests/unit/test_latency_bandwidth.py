"""Latency and bandwidth are found again from the times that they make, in as many pieces as there are."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.analysis.latency_bandwidth import LEAST_SIZES, fit_pieces

SIZES = [8 * 2**i for i in range(31)]
"""8 B to 8 GiB."""
RING, NVLS = (20e-6, 1 / 180e9), (60e-6, 1 / 275e9)
"""A latency in s and seconds per byte, as of an H100's ring and of NVLink SHARP."""


def times(
    sizes: list[int], *lines: tuple[float, float], at: tuple[int, ...] = (), noise: float = 0, seed: int = 7
) -> list[float]:
    """Times of `lines` (alpha, beta), the next one from each of `at` bytes on, with relative noise."""
    draw = random.Random(seed)
    return [
        (alpha + beta * s) * math.exp(draw.gauss(0, noise))
        for s in sizes
        for alpha, beta in [lines[sum(s >= place for place in at)]]
    ]


def test_one_line_is_one_piece_with_its_latency_bandwidth_and_size_at_half() -> None:
    (piece,) = fit_pieces(SIZES, times(SIZES, RING))
    assert piece.alpha == pytest.approx(20e-6) and piece.bytes_per_second == pytest.approx(180e9)
    assert piece.n_half == pytest.approx(20e-6 * 180e9) and piece.flag == ""
    assert (piece.first, piece.last, piece.sizes) == (8, 8 * 2**30, 31)
    assert piece.r_squared == pytest.approx(1)


def test_half_of_a_bandwidth_beyond_the_measured_sizes_is_none_and_it_is_said_where_it_lies() -> None:
    """A ring's 20 us and 180 GB/s meet at 3.6 MB."""
    small, large = [2**k for k in range(3, 12)], [2**k for k in range(24, 34)]
    (low,), (high,) = fit_pieces(small, times(small, RING)), fit_pieces(large, times(large, RING))
    assert low.alpha == pytest.approx(20e-6) and high.bytes_per_second == pytest.approx(180e9)
    assert (low.n_half, low.n_half_note) == (None, "above the piece's sizes")
    assert (high.n_half, high.n_half_note) == (None, "below the piece's sizes")
    (whole,) = fit_pieces(SIZES, times(SIZES, RING))
    assert whole.n_half_note == ""


def test_a_library_that_changes_its_algorithm_gives_two_pieces_that_break_there() -> None:
    """A ring up to 1 MiB, NVLink SHARP from 2 MiB on."""
    measured = times(SIZES, (12e-6, 1 / 40e9), NVLS, at=(2**21,), noise=0.02)
    pieces = fit_pieces(SIZES, measured)
    assert [p.first for p in pieces] == [8, 2**21]
    low, high = pieces
    assert low.alpha == pytest.approx(12e-6, rel=0.05) and low.bytes_per_second == pytest.approx(40e9, rel=0.1)
    assert high.bytes_per_second == pytest.approx(275e9, rel=0.05) and not high.flag


@pytest.mark.parametrize("sizes", [SIZES, [1024 * 4**i for i in range(8)]], ids=["31 sizes", "8 sizes"])
def test_noise_alone_breaks_hardly_anything(sizes: list[int]) -> None:
    whole = [len(fit_pieces(sizes, times(sizes, RING, noise=0.03, seed=seed))) == 1 for seed in range(10)]
    assert sum(whole) >= 8


def test_one_slow_reading_does_not_bend_the_line() -> None:
    measured = times(SIZES, RING, noise=0.01)
    measured[20] *= 3
    (piece,) = fit_pieces(SIZES, measured)
    assert piece.bytes_per_second == pytest.approx(180e9, rel=0.03) and piece.alpha == pytest.approx(
        20e-6, rel=0.03
    )


def test_one_slow_reading_does_not_hide_a_break() -> None:
    measured = times(SIZES, (12e-6, 1 / 40e9), NVLS, at=(2**21,), noise=0.02)
    measured[25] *= 3
    assert [p.first for p in fit_pieces(SIZES, measured)] == [8, 2**21]


def test_too_few_sizes_are_said_to_be_too_few() -> None:
    (piece,) = fit_pieces([8, 64, 512], [1e-6, 2e-6, 3e-6])
    assert piece.alpha is None and piece.bytes_per_second is None and piece.n_half is None
    assert "3 sizes are too few" in piece.flag and "4" in piece.flag


def test_a_flat_piece_has_a_latency_and_no_bandwidth() -> None:
    (piece,) = fit_pieces([8, 64, 512, 4096], [5.0e-6, 5.1e-6, 5.0e-6, 4.9e-6])
    assert piece.alpha == pytest.approx(5e-6, rel=0.03) and piece.n_half is None
    assert "does not grow with size" in piece.flag


def test_an_outlier_in_a_flat_piece_is_flagged_and_little_noise_is_not() -> None:
    sizes = [64 * 4**i for i in range(5)]
    (good,) = fit_pieces(sizes, [1.00e-5, 1.01e-5, 0.99e-5, 1.00e-5, 1.04e-5])
    assert good.flag == "" and good.r_squared is not None and good.r_squared < 0.98
    (bad,) = fit_pieces(sizes, [6.00e-5, 1.01e-5, 0.99e-5, 1.00e-5, 1.04e-5])
    assert "R² " in bad.flag and bad.deviation is not None and bad.deviation < 0.05


def test_a_curve_that_is_no_line_is_flagged() -> None:
    sizes = [2**i for i in range(10, 17)]
    (piece,) = fit_pieces(sizes, [1e-9 * s**2 for s in sizes], most=1)
    assert "does not fit" in piece.flag or "negative" in piece.flag
    scattered = [1e-3, 9e-3, 1e-3, 20e-3, 2e-3, 30e-3, 5e-3]
    (noise,) = fit_pieces(sizes, scattered, most=1)
    assert "R² " in noise.flag or "does not grow" in noise.flag


@pytest.mark.parametrize(
    ("sizes", "seconds"),
    [([], []), ([8, 8], [1.0, 1.0]), ([16, 8], [1.0, 1.0]), ([8], [0.0]), ([8], [math.nan]), ([8, 16], [1.0])],
)
def test_what_is_no_measurement_is_refused(sizes: list[int], seconds: list[float]) -> None:
    with pytest.raises(ValueError, match=r"sizes|time"):
        fit_pieces(sizes, seconds)


@settings(max_examples=10, deadline=None)
@given(
    st.floats(1e-6, 1e-4),
    st.floats(1e9, 1e11),
    st.floats(3, 20),
    st.floats(0.2, 5),
    st.integers(10, 22),
    st.integers(0, 10_000),
)
def test_known_pieces_are_found_again_through_noise(
    alpha: float, rate: float, faster: float, later: float, place: int, seed: int
) -> None:
    """From the size where bandwidth rules, a bandwidth 3 to 20 times as great is seen wherever it sets in."""
    second = (later * alpha, 1 / (faster * rate))
    change = SIZES[place]
    truth = [a + b * s for s in SIZES for a, b in [(alpha, 1 / rate) if s < change else second]]
    draw = random.Random(seed)
    measured = [t * math.exp(draw.gauss(0, 0.01)) for t in truth]
    pieces = fit_pieces(SIZES, measured)
    for s, t in zip(SIZES, truth, strict=True):
        piece = next(p for p in pieces if p.first <= s <= p.last)
        assert piece.alpha is not None and piece.beta is not None
        assert piece.alpha + piece.beta * s == pytest.approx(t, rel=0.12)
    assert all(p.sizes >= LEAST_SIZES for p in pieces) and sum(p.sizes for p in pieces) == len(SIZES)
    rates = [p.bytes_per_second for p in pieces if p.last == SIZES[-1]]
    assert rates[0] == pytest.approx(faster * rate, rel=0.1)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=12, max_size=12), st.integers(-20, 20), st.integers(0, 10))
def test_other_units_give_the_same_pieces(wiggles: list[float], time_power: int, size_power: int) -> None:
    """A time in ms instead of s, a size in KiB instead of bytes: the same breaks, alpha and beta in these units."""
    sizes = [64 * 4**i for i in range(12)]
    seconds = [(1e-5 + 1e-9 * s) * (1 + 0.3 * w) for s, w in zip(sizes, wiggles, strict=True)]
    c, k = 2.0**time_power, 2**size_power
    one = fit_pieces(sizes, seconds)
    other = fit_pieces([k * s for s in sizes], [c * t for t in seconds])
    assert [p.sizes for p in one] == [p.sizes for p in other]
    for a, b in zip(one, other, strict=True):
        assert a.alpha is not None and b.alpha is not None and a.beta is not None and b.beta is not None
        assert b.alpha == pytest.approx(c * a.alpha, rel=1e-6, abs=1e-9 * c * seconds[0])
        assert b.beta == pytest.approx(c / k * a.beta, rel=1e-6, abs=1e-9 * c * seconds[0] / sizes[-1])
        assert a.flag == b.flag
