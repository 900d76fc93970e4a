"""Figures dated after the month in which a study is planned are mistakes: nobody can have read them yet."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from pydantic import BaseModel

from seatrial.config.loader import Origins
from seatrial.errors import ConfigError
from seatrial.units import parse_month

RELEASED = dt.date(2026, 11, 1)
"""The month of this version's own figures: a clock that is behind it is wrong, and they are not refused for it."""


def refuse_future(study: BaseModel, origins: Origins, today: dt.date) -> None:
    """Raise ConfigError where an `as_of` of a study that is being planned lies after the month of `today`.

    Of planning only: a stored plan stays readable whatever the clock says.
    """
    today = max(today, RELEASED)
    for key, as_of in _dated(study, ""):
        stated = parse_month(as_of)
        if (stated.year, stated.month) > (today.year, today.month):
            raise ConfigError(
                "a date in the future",
                file=origins.of(key),
                key=key,
                value=as_of,
                allowed=f"{today:%Y-%m} or earlier",
            )


def _dated(part: object, place: str) -> Iterator[tuple[str, str]]:
    """The key and the text of every `as_of` below `part`."""
    if isinstance(part, BaseModel):
        below = [(name, getattr(part, name)) for name in type(part).model_fields]
    elif isinstance(part, dict):
        below = [(str(name), value) for name, value in part.items()]
    elif isinstance(part, list | tuple):
        below = [(str(index), value) for index, value in enumerate(part)]
    else:
        return
    for name, value in below:
        if name == "as_of" and isinstance(value, str):
            yield f"{place}as_of", value
        else:
            yield from _dated(value, f"{place}{name}.")
