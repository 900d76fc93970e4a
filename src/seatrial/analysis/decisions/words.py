"""Figures of decisions in words."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.analysis.decisions.decision import Figure
from seatrial.units import format_figure

SHARE = "share"
"""The unit of a figure that words give in per cent."""
_LARGE = ((1e9, "billion"), (1e6, "million"))


def scale_of(value: float, unit: str) -> tuple[float, str]:
    """What to divide by and what to write behind it: (1e6, 'million USD'), (0.01, '%') of a share."""
    if unit == SHARE:
        return 0.01, "%"
    for size, word in _LARGE:
        if abs(value) >= size:
            return size, f"{word} {unit}".rstrip()
    return 1.0, unit


def amount(value: float, unit: str, digits: int = 3) -> str:
    """'60.3 million USD', '2.35 USD/accelerator-hour', '34.1 %' (of a share)."""
    size, name = scale_of(value, unit)
    return f"{rounded(value / size, digits)} {name}".rstrip()


def rounded(value: float, digits: int = 3) -> str:
    """`value` to `digits` significant figures, before the point too: 107,660 -> '108,000'."""
    return format_figure(float(f"{value:.{digits - 1}e}"), digits)


def with_interval(figure: Figure, digits: int = 3) -> str:
    """'60.3 million USD (58 to 63)'; what is not known is 'not known'."""
    if figure.value is None:
        return "not known"
    ends = interval(figure, digits)
    return f"{amount(figure.value, figure.unit, digits)}{f' ({ends})' if ends else ''}"


def interval(figure: Figure, digits: int = 3) -> str:
    """'58 to 63' in the size of the figure's value, 'at least 58' without an upper end, '' without an interval."""
    if figure.value is None or (figure.low is None and figure.high is None):
        return ""
    size, _ = scale_of(figure.value, figure.unit)
    low, high = (None if end is None else rounded(end / size, digits) for end in (figure.low, figure.high))
    if high is None:
        return f"at least {low}"
    return f"at most {high}" if low is None else f"{low} to {high}"


def listed(names: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def moved_by(names: Sequence[str]) -> str:
    """'What moves it most: a, b and c.', or that no input has a range."""
    if not names:
        return "No input has a range, so nothing is known of what moves it."
    return f"What moves it most: {listed(names)}."
