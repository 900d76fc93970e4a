"""Validate many that differ in little: what they share is validated with the first of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from seatrial.config.loader import Origins, validate
from seatrial.errors import ConfigError


class Known:
    """The parts of what was validated first, to be taken over wherever the very same raw part comes again.

    All else is validated each time: what differs, and what the schema says of the parts together.
    """

    def __init__(self, schema: Any) -> None:
        self.schema = schema
        self._first: tuple[Mapping[str, Any], BaseModel] | None = None

    def validate(self, raw: Mapping[str, Any], origins: Origins, prefix: str) -> Any:
        """`raw` as an instance of the schema. Raises ConfigError as `loader.validate` does."""
        if self._first is None:
            found = validate(self.schema, raw, origins, prefix)
            self._first = raw, found
            return found
        if raw.get("kind") != self._first[0].get("kind"):
            # another schema, which makes others of the same parts
            return validate(self.schema, raw, origins, prefix)
        try:
            return validate(self.schema, _with_known(raw, *self._first), origins, prefix)
        except ConfigError:
            return validate(self.schema, raw, origins, prefix)  # the error's words show what was given


def _with_known(raw: Mapping[str, Any], first: Mapping[str, Any], valid: BaseModel) -> dict[str, Any]:
    return {key: _known(value, first.get(key), getattr(valid, key, None)) for key, value in raw.items()}


def _known(value: Any, first: Any, valid: Any) -> Any:
    """The valid model that was made of this very `value`, a mapping of such models alike; else `value`."""
    if not isinstance(value, dict):
        return value
    if isinstance(valid, BaseModel):
        return valid if value is first else value
    if isinstance(valid, dict) and isinstance(first, dict):
        return {key: _known(item, first.get(key), valid.get(key)) for key, item in value.items()}
    return value
