"""Validate what was composed; every mistake becomes one error: file, key, value, what is allowed."""

from __future__ import annotations

import copy
import typing
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from seatrial.config.yaml_file import read_yaml
from seatrial.errors import ConfigError, FieldMistake, nearest_name

COMMAND_LINE = "command line"


class Null:
    """A value that was given and is null: to be shown, where no value at all is not."""

    def __repr__(self) -> str:
        return "null"


NULL = Null()


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
        if key in self._axes and key not in self.overridden:
            return self.of(self._axes[key])
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
    path, models = _walk(schema, error["loc"])
    key = ".".join([prefix, *path] if prefix else path)
    more = f" (and {further} more)" if further else ""
    kind, context = error["type"], error.get("ctx", {})
    value: object = error.get("input")
    if kind == "extra_forbidden":
        names = sorted(models[-1].model_fields) if models else []
        return ConfigError(
            f"unknown key{more}",
            file=origins.of(key),
            key=key,
            value=_short(value),
            allowed=", ".join(names) or None,
            nearest=nearest_name(path[-1], names),
        )
    if kind == "missing":
        return ConfigError(f"missing key{more}", file=origins.of(key), key=key, allowed=_allowed_type(models, path))
    if kind == "union_tag_invalid":
        tag = str(context.get("discriminator", "")).strip("'")
        allowed = [a.strip().strip("'") for a in str(context.get("expected_tags", "")).split(",")]
        return ConfigError(
            f"not an allowed value{more}",
            file=origins.of(f"{key}.{tag}"),
            key=f"{key}.{tag}",
            value=context.get("tag"),
            allowed=allowed,
        )
    if isinstance(mistake := context.get("error"), FieldMistake):
        key = ".".join(part for part in (key, mistake.field) if part)
        return ConfigError(
            f"{mistake}{more}",
            file=origins.of(key),
            key=key,
            value=_short(value) if mistake.value is None else mistake.value,
            allowed=mistake.allowed,
        )
    message = error["msg"].removeprefix("Value error, ")
    allowed_words = _allowed_words(kind, message, context) or _allowed_type(models, path)
    nearest = None
    if kind in ("literal_error", "enum"):
        names = [n.strip().strip("'") for n in str(context.get("expected", "")).replace(" or ", ", ").split(",")]
        nearest, message = nearest_name(str(value), names), "not an allowed value"
    if value is None and path:
        value, message = NULL, f"{path[-1]} is required"
    return ConfigError(
        f"{message}{more}",
        file=origins.of(key),
        key=key or None,
        value=_short(value),
        allowed=allowed_words,
        nearest=nearest,
    )


def _allowed_words(kind: str, message: str, context: Mapping[str, Any]) -> str | None:
    if kind in ("literal_error", "enum"):
        return str(context.get("expected", "")).replace("'", "")
    if "pattern" in context:
        return f"text of the form {context['pattern']}"
    for word, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<")):
        if word in context:
            return f"a value {sign} {context[word]}"
    return None


def _allowed_type(models: list[type[BaseModel]], path: list[str]) -> str | None:
    """The annotation of the field at the end of `path`, in words."""
    if not models or path[-1] not in models[-1].model_fields:
        return None
    field = models[-1].model_fields[path[-1]]
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}
    alternatives = _unwrap(field.annotation)
    if not all(a in words for a in alternatives):
        return None
    return " or ".join(words[a] for a in alternatives)


def _walk(schema: Any, location: tuple[int | str, ...]) -> tuple[list[str], list[type[BaseModel]]]:
    """Drop the union tags that pydantic puts into a location; also the models met on the way."""
    path: list[str] = []
    models: list[type[BaseModel]] = []
    here: list[Any] = _unwrap(schema)
    for step in location:
        tagged = [m for m in here if _is_model(m) and _tag_of(m) == step]
        if len(here) > 1 and tagged:
            here = tagged
            continue
        model = next((m for m in here if _is_model(m)), None)
        path.append(str(step))
        if model is not None:
            models.append(model)
            field = model.model_fields.get(str(step))
            here = _unwrap(field.annotation) if field else []
        else:
            here = [inner for h in here for inner in _items(h)]
    return path, models


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _tag_of(model: type[BaseModel]) -> str | None:
    for name in ("kind", "source"):
        field = model.model_fields.get(name)
        if field is not None and get_origin(field.annotation) is typing.Literal:
            return str(get_args(field.annotation)[0])
    return None


def _unwrap(annotation: Any) -> list[Any]:
    """The alternatives of an annotation: members of a union, without Annotated."""
    if get_origin(annotation) is typing.Annotated:
        return _unwrap(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [inner for arg in get_args(annotation) for inner in _unwrap(arg)]
    return [annotation]


def _items(annotation: Any) -> list[Any]:
    """The alternatives of a container's items: the last type argument of dict[...] and list[...]."""
    arguments = get_args(annotation)
    return _unwrap(arguments[-1]) if arguments else []


def _short(value: object) -> object:
    if isinstance(value, str | int | float | bool | Null) or value is None:
        return value
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


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
