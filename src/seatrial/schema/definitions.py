"""Every schema that a study can reach, as JSON Schema, with what the source says of each key."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from seatrial.config.criterion import RATIO, Criterion
from seatrial.config.local import AUTO, DETECTABLE
from seatrial.config.metrics import METRICS
from seatrial.config.study import Study
from seatrial.schema.words import WORDS

Schema = dict[str, Any]
REF = "#/$defs/"
UNITS = (
    ("_gbps_per_node", "GB/s"), ("gbit_per_accelerator", "Gb/s"), ("gbit_per_node", "Gb/s"), ("_per_second", "1/s"),
    ("_hours_between_failures", "accelerator-hours"), ("max_accelerator_hours", "accelerator-hours"),
    ("max_node_hours", "node-hours"), ("_gbps", "GB/s"), ("_tbps", "TB/s"), ("_gbit", "Gb/s"),
    ("_tflops", "TFLOP/s"), ("_minutes", "min"), ("_seconds", "s"), ("_hours", "h"), ("_days", "days"),
    ("_months", "months"), ("_years", "years"), ("_bytes", "B"), ("memory_mb", "MB"), ("_mb_per_node", "MB"),
    ("_mib", "MiB"), ("_gb", "GB"), ("power_w", "W"), ("_kw", "kW"),
)  # fmt: skip
"""How the name of a key that holds a figure ends, and the unit; the first that fits."""


@cache
def definitions() -> dict[str, Schema]:
    """The JSON Schema of every model below a study, by name, `Study` first; references are `#/$defs/NAME`.

    Beside JSON Schema's own words a property has `description` (the words below it in the source), `unit`, and
    `instead`: what a file may say in its place.
    """
    models = list(dict.fromkeys(_reachable(Study)))
    refs, found = models_json_schema([(model, "validation") for model in models], ref_template=REF + "{model}")
    raw = {model: refs[model, "validation"]["$ref"].removeprefix(REF) for model in models}
    names = {name: _short_name(model, name) for model, name in raw.items()}
    defs = _renamed(found["$defs"], names)
    for model, name in raw.items():
        defs[names[name]]["description"] = " ".join((inspect.getdoc(model) or "").split())
    for model, name in raw.items():
        _describe(model, defs[names[name]], defs)
    return {names[name]: defs[names[name]] for name in raw.values()}


def _reachable(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model below an annotation, itself first."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from _reachable(field.annotation)
        return
    for inner in get_args(annotation):
        yield from _reachable(inner)


def _short_name(model: type[BaseModel], name: str) -> str:
    """Two classes of one name are told apart by their module: CheckpointModel, ModelShapeModel."""
    if "__" not in name:
        return name
    module = model.__module__.rpartition(".")[2]
    return "".join(part.capitalize() for part in module.split("_")) + model.__name__


def _renamed(node: Any, names: dict[str, str]) -> Any:
    """`node` with other names of the definitions, as keys and in references."""
    if isinstance(node, list):
        return [_renamed(item, names) for item in node]
    if isinstance(node, dict):
        return {names.get(key, key): _renamed(value, names) for key, value in node.items()}
    if isinstance(node, str) and node.startswith(REF):
        return REF + names[node.removeprefix(REF)]
    return node


def _words_of_part(field: Schema, defs: dict[str, Schema]) -> str | None:
    """The first sentence of the one part of the configuration that a key holds, or None."""
    parts = {kind["$ref"] for kind in (field, *field.get("anyOf", ())) if "$ref" in kind}
    if len(parts) != 1:
        return None
    words: str = defs[parts.pop().removeprefix(REF)]["description"]
    return words.partition(". ")[0].rstrip(".") + "."


def _describe(model: type[BaseModel], schema: Schema, defs: dict[str, Schema]) -> None:
    words = _words_of(model)
    for key, field in schema.get("properties", {}).items():
        field.pop("title", None)
        told = (
            words.get(key) or WORDS.get(f"{model.__name__}.{key}") or WORDS.get(key) or _words_of_part(field, defs)
        )
        if told and "const" not in field:
            field["description"] = told
        unit = unit_of(key, field)
        if unit:
            field["unit"] = unit
        if model is Criterion and key == "metric":
            field["enum"] = [*METRICS, RATIO]
        if f"{model.__name__}.{key}" in INSTEAD:
            field["instead"] = INSTEAD[f"{model.__name__}.{key}"]


INSTEAD: dict[str, Schema] = {
    **{f"{'Node' if '.' in key else 'Target'}.{key.rpartition('.')[2]}": {"const": AUTO} for key in DETECTABLE},
    "Survey.prices": {"const": AUTO},
    "Proposal.target": {"type": ["string", "null"], "description": "The name of a target of the catalogue."},
}
"""What may stand in a file in the place of a value, and is filled in when the study is planned."""


def unit_of(key: str, field: Schema) -> str | None:
    """The unit of a key that holds a figure; None for what is no figure, or counts, shares and money."""
    if not _is_figure(field):
        return None
    return next((unit for ending, unit in UNITS if key.endswith(ending)), None)


def _is_figure(field: Schema) -> bool:
    kinds = [field, *field.get("anyOf", ())]
    nested = field.get("additionalProperties")
    kinds += [nested] if isinstance(nested, dict) else []
    figures = {REF + name for name in ("Fact", "Threshold", "Assumption")}
    return any(kind.get("type") in ("integer", "number") or kind.get("$ref") in figures for kind in kinds)


@cache
def _words_of(model: type[BaseModel]) -> dict[str, str]:
    """The string below each field in the source, by field, as the nearest class of the line of ancestors has it."""
    words: dict[str, str] = {}
    for ancestor in reversed(model.__mro__):
        if issubclass(ancestor, BaseModel) and ancestor is not BaseModel:
            words.update(_words_in_source(ancestor))
    return words


@cache
def _words_in_source(model: type[BaseModel]) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    assert isinstance(body, ast.ClassDef)
    words = {}
    for here, below in zip(body.body, body.body[1:], strict=False):
        if not (isinstance(here, ast.AnnAssign) and isinstance(here.target, ast.Name)):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            words[here.target.id] = " ".join(str(below.value.value).split())
    return words
