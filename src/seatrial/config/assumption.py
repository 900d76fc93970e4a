"""An assumption: a figure that nobody measured here, with its range, its date and its source."""

from __future__ import annotations

from pydantic import Field, model_validator

from seatrial.config.base import AsOf, Closed
from seatrial.errors import FieldMistake


class Assumption(Closed):
    """A figure that a decision rests on; the field that holds it says its unit.

    `low` and `high` are the range that its source gives or that whoever states it stands by. Without both the
    figure counts as exact, and the decision says so.
    """

    value: float
    low: float | None = None
    high: float | None = None
    as_of: AsOf
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _ordered(self) -> Assumption:
        if (self.low is None) != (self.high is None):
            field, end = ("low", self.low) if self.high is None else ("high", self.high)
            raise FieldMistake(
                "a range needs both low and high",
                field=field,
                value=end,
                allowed="both low and high, or neither for a figure without a range",
            )
        if self.low is not None and self.high is not None and not self.low <= self.value <= self.high:
            raise FieldMistake(
                "value is not between low and high",
                field="value",
                value=self.value,
                allowed=f"{self.low:g} to {self.high:g} (low to high), or another low and high beside it",
            )
        return self

    def within(self, least: float, most: float | None, field: str) -> None:
        """Raise FieldMistake where the figure or its range reaches below `least` or above `most`."""
        for end in (self.low, self.value, self.high):
            if end is not None and (end < least or (most is not None and end > most)):
                allowed = f"{least:g} or more" if most is None else f"{least:g} to {most:g}"
                raise FieldMistake("outside what it can be", field=field, value=end, allowed=allowed)
