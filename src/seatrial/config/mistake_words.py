"""What pydantic finds wrong with a value, in our own words: the problem, what is allowed, what is near."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from seatrial.config.annotations import alternatives
from seatrial.errors import FieldMistake, nearest_name


class Null:
    """A value that was given and is null: to be shown, where no value at all is not."""

    def __repr__(self) -> str:
        return "null"


NULL = Null()

PROBLEMS = {
    "int": ("not a whole number", "a whole number"),
    "float": ("not a number", "a number"),
    "string": ("not text", "text"),
    "bool": ("neither true nor false", "true or false"),
    "list": ("not a list", "a list: [first, second]"),
    "dict": ("no keys with values", "{key: value}"),
    "model": ("no keys with values", "{key: value}"),
    "finite": ("not a finite number", "a finite number"),
    "none": ("a value where none can be", "null"),
}
"""The first word of a type of pydantic's errors (`int_parsing`): what is wrong, what is allowed."""
BOUNDS = {
    "greater_than": ("too small", "a value > {gt}"),
    "greater_than_equal": ("too small", "a value >= {ge}"),
    "less_than": ("too large", "a value < {lt}"),
    "less_than_equal": ("too large", "a value <= {le}"),
    "string_too_short": ("too short", "text of at least {min_length} character(s)"),
    "string_too_long": ("too long", "text of at most {max_length} characters"),
    "too_short": ("too few entries", "at least {min_length}"),
    "too_long": ("too many entries", "at most {max_length}"),
}
FORMS = {
    r"^[a-z0-9][a-z0-9_\-]*$": "a name of lower-case letters, digits, _ and -, which begins with a letter or digit",
    r"^v\d+\.\d+$": "a round, such as v5.1",
}
"""Patterns that keys must meet, in words."""


@dataclass(frozen=True)
class Mistake:
    """One mistake: `below` names the key at fault below the one that pydantic names."""

    problem: str
    value: object = None
    allowed: str | Sequence[str] | None = None
    below: str | None = None
    nearest: str | None = None


def mistake_of(error: ErrorDetails, path: Sequence[str], models: Sequence[type[BaseModel]]) -> Mistake:
    """What an error of pydantic says; `path` leads to the value through `models`."""
    kind, context, value = error["type"], error.get("ctx", {}), error.get("input")
    if kind == "extra_forbidden":
        names = sorted(models[-1].model_fields) if models else []
        near = nearest_name(path[-1], names)
        return Mistake("unknown key", _short(value), ", ".join(names) or None, nearest=near)
    if kind == "missing":
        return Mistake("missing key", allowed=_type_in_words(models, path))
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _of_tag(kind, context)
    if isinstance(found := context.get("error"), FieldMistake):
        shown = _short(value) if found.value is None else found.value
        allowed = found.allowed if isinstance(found.allowed, str | None) else list(found.allowed)
        return Mistake(str(found), shown, allowed, found.field)
    if value is None and path:
        allowed_words = _bound(kind, context) or _type_in_words(models, path)
        return Mistake(f"{path[-1]} is required", NULL, allowed_words)
    if kind in ("literal_error", "enum"):
        expected = str(context.get("expected", "")).replace("'", "")
        near = nearest_name(str(value), expected.replace(" or ", ", ").split(", "))
        return Mistake("not an allowed value", _short(value), expected, nearest=near)
    problem, allowed_type = PROBLEMS.get(kind.split("_")[0], (error["msg"].removeprefix("Value error, "), None))
    if kind == "string_pattern_mismatch":
        problem = "not of the form that it must have"
    elif kind in BOUNDS:
        problem = BOUNDS[kind][0]
    return Mistake(problem, _short(value), _bound(kind, context) or _type_in_words(models, path) or allowed_type)


def _of_tag(kind: str, context: Mapping[str, Any]) -> Mistake:
    """A mistake in the key that decides which others there are."""
    tag = str(context.get("discriminator", "")).strip("'")
    allowed = [name.strip().strip("'") for name in str(context.get("expected_tags", "")).split(",") if name]
    if kind == "union_tag_not_found":
        return Mistake("missing key", below=tag)
    return Mistake("not an allowed value", context.get("tag"), allowed, tag)


def _bound(kind: str, context: Mapping[str, Any]) -> str | None:
    if kind == "string_pattern_mismatch":
        pattern = str(context["pattern"])
        return FORMS.get(pattern, f"text of the form {pattern}")
    if kind not in BOUNDS:
        return None
    return BOUNDS[kind][1].format(**{name: _whole(value) for name, value in context.items()})


def _whole(bound: object) -> object:
    """A bound without `.0`."""
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


def _type_in_words(models: Sequence[type[BaseModel]], path: Sequence[str]) -> str | None:
    """The annotation of the field at the end of `path`, in words."""
    if not models or path[-1] not in models[-1].model_fields:
        return None
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}
    types = alternatives(models[-1].model_fields[path[-1]].annotation)
    if not all(one in words for one in types):
        return None
    return " or ".join(words[one] for one in types)


def _short(value: object) -> object:
    if isinstance(value, str | int | float | bool | Null) or value is None:
        return value
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
