"""What is known of a metric."""

from __future__ import annotations

from typing import Literal, NamedTuple

Direction = Literal["higher", "lower"]


class Metric(NamedTuple):
    """Unit, better direction and meaning of a metric."""

    unit: str
    direction: Direction
    meaning: str
