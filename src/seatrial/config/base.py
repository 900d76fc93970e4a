"""The base of every schema: frozen, closed, no silent coercion of text to numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from seatrial.errors import FieldMistake
from seatrial.units import parse_month


class Closed(BaseModel):
    """A frozen schema that refuses unknown keys, NaN and infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_\-]*$", max_length=64)]
"""A name that can stand in a path, a job name and a shell word: lower-case letters, digits, _ and -."""


def _for_sbatch(text: str) -> str:
    if not text.isprintable() or set(text) & set("'\"\\"):
        raise FieldMistake(
            "not a word that sbatch takes", value=text, allowed="text of one line without quotes and backslashes"
        )
    return text


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise FieldMistake("more than one line", value=text, allowed="one line without control characters")
    return text


ForSbatch = Annotated[str, AfterValidator(_for_sbatch)]
"""The value of an option of sbatch: a line of a script there, so that a line break would begin a command."""
OneLine = Annotated[str, AfterValidator(_one_line)]
"""One line of text, as a path or an image's name."""
PositiveInt = Annotated[int, Field(ge=1, strict=True)]
NonNegativeInt = Annotated[int, Field(ge=0, strict=True)]
PositiveFloat = Annotated[float, Field(gt=0)]
LONGEST_MINUTES = 366 * 24 * 60
TimeLimit = Annotated[float, Field(gt=0, le=LONGEST_MINUTES)]
"""Minutes that something may take, a year at most: more is a slip of the finger, and no scheduler grants it."""


def _dated(value: object) -> str:
    text = str(value)
    try:
        parse_month(text)
    except ValueError as problem:
        raise FieldMistake(str(problem), value=text, allowed="YYYY, YYYY-MM or YYYY-MM-DD") from None
    return text


AsOf = Annotated[str, BeforeValidator(_dated)]
"""The year, month or day for which a figure holds."""


class Fact(Closed):
    """A figure about a machine with the source it was read in; `value` None: not published or not known."""

    value: PositiveFloat | None
    source: str = Field(min_length=1)


class Threshold(Closed):
    """A rule of thumb with its source."""

    value: PositiveFloat
    source: str = Field(min_length=1)


def first_mistake(problem: ValidationError) -> str:
    """The first thing that is wrong with a file's content, in one line: 'measurements.0.unit: Field required'."""
    mistakes = problem.errors(include_url=False)
    first = mistakes[0]
    words = " ".join(first["msg"].removeprefix("Value error, ").split())
    if first["type"] == "json_invalid":
        return f"not JSON: {words.removeprefix('Invalid JSON: ')}"
    place = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    return f"{place}: {words}{more}" if place else f"{words}{more}"
