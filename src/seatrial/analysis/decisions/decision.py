"""A decision: a figure of money or time, its interval, and every input that it rests on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from seatrial.config.assumption import Assumption
from seatrial.config.target import Price

MEASURED = "measured in this study"
"""The source of an input that a table of the study holds, where the table is named beside it."""


@dataclass(frozen=True)
class Input:
    """One input of a decision. `low` and `high` are None where no range of it is known: it counts as exact then.

    The range of a measured input is a 95 % interval; that of a stated one is the range that its source gives.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    unit: str
    source: str
    as_of: str | None
    measured: bool
    n: int | None = None
    """On how many repeats, runs or devices a measured input rests; None: stated, or nothing counts them."""

    def __post_init__(self) -> None:
        """Raises ValueError for a figure that is not finite, half a range, or a value outside its range."""
        if (self.low is None) != (self.high is None):
            raise ValueError(f"{self.name}: a range needs both ends")
        low, high = self.ends
        if not all(math.isfinite(end) for end in (low, self.value, high)):
            raise ValueError(f"{self.name}: not finite: {low}, {self.value}, {high}")
        if not low <= self.value <= high:
            raise ValueError(f"{self.name}: {self.value} is not between {low} and {high}")

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends of the range; of an exact input its value twice."""
        if self.low is None or self.high is None:
            return self.value, self.value
        return self.low, self.high

    @property
    def is_exact(self) -> bool:
        """Whether nothing about this input is uncertain, as far as its source says."""
        low, high = self.ends
        return low == high


def assumed(name: str, assumption: Assumption, unit: str) -> Input:
    """An assumption of the configuration as an input."""
    return Input(
        name=name,
        value=assumption.value,
        low=assumption.low,
        high=assumption.high,
        unit=unit,
        source=assumption.source,
        as_of=assumption.as_of,
        measured=False,
    )


def priced(name: str, price: Price, per: str) -> Input:
    """A price as an input: the middle of its range; a price with one known end counts as exact.

    `per` says what one pays for: priced("cloud", price, per="accelerator-hour") is in USD/accelerator-hour.
    """
    ranged = price.low is not None and price.high is not None
    return Input(
        name=name,
        value=price.middle,
        low=price.low if ranged else None,
        high=price.high if ranged else None,
        unit=f"{price.currency}/{per}",
        source=price.source,
        as_of=price.as_of,
        measured=False,
    )


@dataclass(frozen=True)
class Figure:
    """A result with its interval (95 % unless `method` says otherwise); `method` says why where there is none.

    `value` None: not known, and `method` says which input is missing.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    unit: str
    method: str


@dataclass(frozen=True)
class Swing:
    """What a decision's first figure is when the input of this name alone is at its low or high end.

    None: the figure is not finite there (nothing breaks even, for instance).
    """

    input: str
    at_low: float | None
    at_high: float | None


@dataclass(frozen=True)
class Decision:
    """What follows for a decision, in one sentence and in figures, and from what."""

    kind: str
    title: str
    where: str
    answer: str
    """One sentence."""
    figures: tuple[Figure, ...]
    inputs: tuple[Input, ...]
    swings: tuple[Swing, ...]
    """Of the first figure, largest first."""
    evidence: tuple[str, ...] = ()
    """The records and tables it rests on, in words."""
    missing: tuple[str, ...] = ()
    """Inputs that were not known, in words."""
    case_ids: tuple[str, ...] = ()
    """The cases whose records it rests on."""
    moved: str = ""
    """Which inputs move it most, in words."""
