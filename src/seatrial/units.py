"""Units and how figures are written. Sizes of messages are binary (KiB, MiB), rates decimal (GB/s = 1e9 B/s)."""

from __future__ import annotations

import datetime as dt

GB = 1e9
TERA = 1e12
MIB = 1024**2
SECONDS_PER_MINUTE = 60.0


def format_bytes(size: int) -> str:
    """`size` bytes in the largest binary unit that keeps it whole: 1048576 -> '1 MiB'."""
    for exponent, name in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        unit = 1024**exponent
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} B"


def format_figure(value: float | None, digits: int = 4) -> str:
    """`value` to `digits` significant figures without exponent where short; '-' where there is none."""
    if value is None or value != value:
        return "-"
    if value == 0:
        return "0"
    magnitude = abs(value)
    if magnitude >= 10**digits:
        return f"{value:,.0f}"
    text = f"{value:.{digits}g}"
    return text if "e" not in text else f"{value:.2e}"


def format_minutes(minutes: float | None) -> str:
    """Minutes as people read them: 0.5 -> '30 s', 90 -> '1 h 30 min'."""
    if minutes is None or minutes != minutes:
        return "-"
    if minutes < 2:
        return f"{format_figure(minutes * SECONDS_PER_MINUTE, 3)} s"
    if minutes < 60:
        return f"{format_figure(minutes, 3)} min"
    whole = round(minutes)
    return f"{whole // 60} h {whole % 60} min"


def parse_month(text: str) -> dt.date:
    """'2026', '2026-11' or '2026-11-22' as the first day it can mean.

    Raises ValueError where it is none of them.
    """
    parts = text.split("-")
    if not 1 <= len(parts) <= 3 or not all(p.isdigit() for p in parts):
        raise ValueError(f"{text!r} is not a date of the form YYYY, YYYY-MM or YYYY-MM-DD")
    year, month, day = (*[int(p) for p in parts], 1, 1)[:3]
    return dt.date(year, month, day)


def age_in_words(as_of: str, today: dt.date) -> str | None:
    """How old a dated fact is, in words, where it is older than a year; else None."""
    days = (today - parse_month(as_of)).days
    if days <= 365:
        return None
    return f"{days / 365.25:.1f} years old"
