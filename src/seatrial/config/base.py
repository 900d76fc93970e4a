"""The base of every schema: frozen, closed, no silent coercion of text to numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Closed(BaseModel):
    """A frozen schema that refuses unknown keys, NaN and infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_\-]*$", max_length=64)]
"""A name that can stand in a path, a job name and a shell word: lower-case letters, digits, _ and -."""

PositiveInt = Annotated[int, Field(ge=1, strict=True)]
NonNegativeInt = Annotated[int, Field(ge=0, strict=True)]
PositiveFloat = Annotated[float, Field(gt=0)]


class Fact(Closed):
    """A figure about a machine with the source it was read in; `value` None: not published or not known."""

    value: PositiveFloat | None
    source: str = Field(min_length=1)
