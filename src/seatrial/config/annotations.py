"""What a schema's annotations hold: the alternatives of a union, the items of a container, the way to a key."""

from __future__ import annotations

import typing
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel


def walk(schema: Any, location: tuple[int | str, ...]) -> tuple[list[str], list[type[BaseModel]]]:
    """Drop the union tags that pydantic puts into a location; also the models met on the way."""
    path: list[str] = []
    models: list[type[BaseModel]] = []
    here: list[Any] = alternatives(schema)
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
            here = alternatives(field.annotation) if field else []
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


def alternatives(annotation: Any) -> list[Any]:
    """The alternatives of an annotation: members of a union, without Annotated."""
    if get_origin(annotation) is typing.Annotated:
        return alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [inner for arg in get_args(annotation) for inner in alternatives(arg)]
    return [annotation]


def _items(annotation: Any) -> list[Any]:
    """The alternatives of a container's items: the last type argument of dict[...] and list[...]."""
    arguments = get_args(annotation)
    return alternatives(arguments[-1]) if arguments else []
