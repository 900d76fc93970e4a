"""JSON Schemas for editors, one for every kind of file below conf/.

A file is a part of what Hydra composes: keys may be missing (another file of its `defaults` gives them), and a
value may be an interpolation (`${target.nodes}`) or `???`, which whoever uses the file must give.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seatrial.errors import ConfigError
from seatrial.paths import write_text
from seatrial.schema.definitions import REF, Schema, definitions

DRAFT = "https://json-schema.org/draft/2020-12/schema"
INTERPOLATION = "Interpolation"
DEFAULTS: Schema = {
    "description": "Hydra's defaults list: the files that this one is composed of; _self_ stands for its own keys.",
    "type": "array",
    "items": {"type": ["string", "object"]},
}
ROOTS = {
    "study": "Study",
    "target": "Target",
    "accelerator": "Target",
    "sweep": "Sweep",
    "economics": "Economics",
}
"""Kinds of files (the folders of conf/) with the keys of one schema; an accelerator's file is part of a target."""


def documents() -> dict[str, Schema]:
    """The schema of every kind of file by its name.

    study, target, accelerator, sweep, economics, ablation, workload (of any kind), and workload_KIND of each.
    """
    found = {name: _document(name, {"$ref": REF + root}) for name, root in ROOTS.items()}
    found["ablation"] = _document(
        "ablation", {"type": "object", "additionalProperties": {"$ref": f"{REF}Ablation"}}, defaults=False
    )
    workload = definitions()["Experiment"]["properties"]["workload"]
    found["workload"] = _document("workload", {k: workload[k] for k in ("discriminator", "oneOf")})
    for kind, ref in workload["discriminator"]["mapping"].items():
        found[f"workload_{kind}"] = _document(f"workload_{kind}", {"$ref": ref})
    return found


def write_documents(folder: Path) -> list[Path]:
    """Write `<name>.json` of every kind of file; returns the paths.

    Raises ConfigError where the folder cannot be written.
    """
    paths = []
    try:
        for name, schema in documents().items():
            paths.append(folder / f"{name}.json")
            write_text(paths[-1], json.dumps(schema, indent=1, ensure_ascii=False) + "\n")
    except OSError as problem:
        raise ConfigError(
            f"schemas cannot be written here: {problem.strerror}",
            file=folder,
            allowed="a folder that can be made and written",
        ) from None
    return paths


def _document(name: str, root: Schema, *, defaults: bool = True) -> Schema:
    """The schema of one kind of file, with every definition that it needs."""
    body = definitions()[root["$ref"].removeprefix(REF)] if "$ref" in root else root
    partial = _partial(body)
    needed = list(dict.fromkeys(_named(partial)))
    for ref in needed:
        if ref != INTERPOLATION:
            needed += [further for further in _named(_partial(definitions()[ref])) if further not in needed]
    defs = {ref: _partial(definitions()[ref]) for ref in sorted(needed) if ref != INTERPOLATION}
    # of any kind of workload: each is closed, so that each must allow what the file may have
    kinds = [defs[ref.removeprefix(REF)] for ref in root.get("discriminator", {}).get("mapping", {}).values()]
    for schema in (kinds or [partial]) if defaults else []:
        schema["properties"] = {"defaults": DEFAULTS, **schema["properties"]}
    defs[INTERPOLATION] = {
        "description": "An interpolation of Hydra, or ??? for a value that must be given.",
        "type": "string",
        "pattern": r"\$\{.+\}|^\?\?\?$",
    }
    return {"$schema": DRAFT, "title": f"Seatrial {name.replace('_', ' ', 1)}", **partial, "$defs": defs}


def _partial(node: Any) -> Any:
    """A schema as a file may fulfil it in part, with interpolations."""
    if isinstance(node, list):
        return [_partial(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "discriminator" in node:
        return _by_tag(node)
    out: Schema = {}
    for key, value in node.items():
        if key in ("required", "unit", "instead"):
            continue
        if key in ("properties", "patternProperties"):
            out[key] = {name: _value(name, inner) for name, inner in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            out[key] = _value("", value)
        elif key in ("default", "enum", "const", "description"):
            out[key] = value
        else:
            out[key] = _partial(value)
    if "patternProperties" in out:
        out.setdefault("additionalProperties", False)
    return out


def _value(name: str, schema: Schema) -> Schema:
    """A value: what it must be, or an interpolation; with its words and unit."""
    about: Schema = {key: schema[key] for key in ("description", "default") if key in schema}
    if "unit" in schema:
        about["description"] = " ".join([about.get("description", ""), f"Unit: {schema['unit']}."]).strip()
    bare = _partial({key: value for key, value in schema.items() if key not in ("description", "default")})
    if name == "as_of":
        # a year is a number to YAML
        bare["type"] = ["string", "integer"]
    if not bare or "const" in bare or bare == {"type": "string"}:
        return {**about, **bare}
    alternatives = bare.pop("anyOf") if set(bare) == {"anyOf"} else [bare]
    if "instead" in schema:
        alternatives.append(schema["instead"])
    return {**about, "anyOf": [*alternatives, {"$ref": REF + INTERPOLATION}]}


def _by_tag(node: Schema) -> Schema:
    """A union told apart by one key: with the key the one schema that it names, without it any of them."""
    tag, mapping = node["discriminator"]["propertyName"], node["discriminator"]["mapping"]
    chosen = [
        {"if": {"properties": {tag: {"const": value}}, "required": [tag]}, "then": {"$ref": ref}}
        for value, ref in mapping.items()
    ]
    untold = {"if": {"not": {"required": [tag]}}, "then": {"anyOf": [{"$ref": ref} for ref in mapping.values()]}}
    about: Schema = {key: node[key] for key in ("description", "default") if key in node}
    return {**about, "type": "object", "properties": {tag: {"enum": list(mapping)}}, "allOf": [*chosen, untold]}


def _named(node: Any) -> Iterator[str]:
    """The names of the definitions that a schema refers to."""
    if isinstance(node, Mapping):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].removeprefix(REF)
        for key, value in node.items():
            if key != "default":
                yield from _named(value)
    elif isinstance(node, list):
        for item in node:
            yield from _named(item)
