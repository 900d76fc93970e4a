"""Validate what was composed; every mistake becomes one error: file, key, value, what is allowed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from seatrial.config.annotations import walk
from seatrial.config.mistake_words import mistake_of
from seatrial.config.yaml_file import read_yaml
from seatrial.errors import ConfigError

COMMAND_LINE = "command line"


class Origins:
    """Which file (or the command line) set a key of the composed configuration.

    `choices` maps the package of every chosen group option (`target`, `experiments.gemm.workload`) to
    its file; `study` is the study's own file, which has the last word over the groups it includes.
    """

    def __init__(self, study: Path | None, choices: Mapping[str, Path], overridden: set[str]) -> None:
        self.study, self.choices, self.overridden = study, dict(choices), overridden
        self._raw = _read_yaml(study) if study else {}
        self._axes: dict[str, str] = {}

    def swept(self, axes: Mapping[str, str]) -> Origins:
        """The same, where the keys of `axes` were set by an axis: key -> the key of the axis in the sweep."""
        other = copy.copy(self)
        other._axes = dict(axes)
        return other

    def of(self, key: str) -> Path | str | None:
        """The file that set `key`; the command line where it was overridden there."""
        if (place := self.place(key)) != key:
            return self.of(place)
        parts = key.split(".")
        for length in range(len(parts), 0, -1):
            if ".".join(parts[:length]) in self.overridden:
                return COMMAND_LINE
        if _has(self._raw, parts):
            return self.study
        for length in range(len(parts), 0, -1):
            prefix = ".".join(parts[:length])
            if prefix in self.choices:
                return self.choices[prefix]
        return self.study

    def place(self, key: str) -> str:
        """Where `key` stands as its author wrote it: of what an axis has set, the axis in the sweep."""
        parts = key.split(".")
        for length in range(len(parts), 0, -1):
            above = ".".join(parts[:length])
            if above in self._axes and above not in self.overridden:
                return ".".join([self._axes[above], *parts[length:]])
        return key


def validate(schema: Any, raw: object, origins: Origins, prefix: str = "") -> Any:
    """`raw` as an instance of `schema` (a pydantic model or annotated type).

    Raises ConfigError for the first mistake, with the number of further ones.
    """
    try:
        return _adapter(schema).validate_python(raw)
    except ValidationError as problem:
        errors = problem.errors(include_url=False)
        raise _in_words(errors[0], len(errors) - 1, schema, origins, prefix) from None


_ADAPTERS: dict[int, tuple[Any, TypeAdapter[Any]]] = {}
"""By the schema's id, with the schema itself: an annotated type has no hash."""


def _adapter(schema: Any) -> TypeAdapter[Any]:
    """Made once for each schema: making one takes longer than a hundred validations."""
    if id(schema) not in _ADAPTERS:
        _ADAPTERS[id(schema)] = schema, TypeAdapter(schema)
    return _ADAPTERS[id(schema)][1]


def _in_words(error: ErrorDetails, further: int, schema: Any, origins: Origins, prefix: str) -> ConfigError:
    path, models = walk(schema, error["loc"])
    mistake = mistake_of(error, path, models)
    names = [prefix, *path, mistake.below or ""]
    key = origins.place(".".join(name for name in names if name))
    return ConfigError(
        f"{mistake.problem} (and {further} more)" if further else mistake.problem,
        file=origins.of(key),
        key=key or None,
        value=mistake.value,
        allowed=mistake.allowed,
        nearest=mistake.nearest,
    )


def _has(raw: object, parts: list[str]) -> bool:
    for part in parts:
        if isinstance(raw, list) and part.isdigit() and int(part) < len(raw):
            raw = raw[int(part)]
        elif isinstance(raw, dict) and part in raw:
            raw = raw[part]
        else:
            return False
    return True


def _read_yaml(path: Path) -> object:
    return read_yaml(path) or {}
