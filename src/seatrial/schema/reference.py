"""docs/configuration.md: every key of the configuration, from the schemas that check it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from seatrial.config.metrics import METRICS
from seatrial.schema.definitions import REF, Schema, definitions

HEAD = """\
# Reference of configuration
Written by `seatrial schema --markdown` from the schemas that check every study; a test holds this file to it.
Where to begin: [tutorial](tutorial.md), [how to add to it](extending.md).

A study is composed by Hydra from the files below `conf/`: the `defaults` of a study choose them, the study's own
keys have the last word over them, and the command line over all
(`seatrial plan study=demo target=dgx_h100 target.nodes=4`). What no schema knows is refused, with the nearest
spelling. A key whose default reads **required** must be given somewhere; `auto` is found out when the study is
planned.

`seatrial schema` writes JSON Schemas for editors to `schema/`. A folder of `seatrial init` has a
`.vscode/settings.json` that names the schema of each folder of `conf/` (`yaml.schemas`, for the YAML language
server). Elsewhere a comment that names one, at the head of a file (behind `# @package _global_` where that stands),
lets an editor complete and check it:

```yaml
# @package _global_
# yaml-language-server: $schema=../../schema/study.json
```
They allow what Hydra adds: `defaults`, interpolations (`${target.nodes}`), `???`, and keys that another file gives.
`check-jsonschema --schemafile schema/study.json conf/study/first.yaml` checks a file without an editor.
"""
PARTS = (
    ("Study", "Study", "`conf/study/NAME.yaml`, with `# @package _global_` as its first line."),
    ("Target", "Target", "`conf/target/NAME.yaml`; `conf/accelerator/NAME.yaml` has what an accelerator brings."),
    ("Workloads", "", "`conf/workload/NAME.yaml`, or `workload` of an experiment; `kind` says which it is."),
    ("Economics", "Economics", "`conf/economics/NAME.yaml`, or `economics` of a study."),
)
SIMPLE = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
}
BOUNDS = (("minimum", "≥ "), ("exclusiveMinimum", "> "), ("maximum", "≤ "), ("exclusiveMaximum", "< "))
MOST_NAMES = 20
"""Longer lists of allowed words are left to their own section."""


def markdown() -> str:
    """The whole reference."""
    defs = definitions()
    kinds = defs["Experiment"]["properties"]["workload"]["discriminator"]["mapping"]
    roots = {"": [ref.removeprefix(REF) for ref in kinds.values()]}
    # what belongs to a later part is told there
    done: set[str] = set()
    own = {title: roots.get(root, [root]) for title, root, _ in PARTS}
    kept_back = {name for names in own.values() for name in names}
    lines = [HEAD, "Parts: " + ", ".join(f"[{title}](#{_anchor(title)})" for title in (*own, "Metrics")) + ".", ""]
    for title, _, words in PARTS:
        lines += [f"## {title}", words, ""]
        for name in own[title]:
            for below in _below(name, kept_back - {name}):
                if below not in done:
                    done.add(below)
                    lines += _section(below, defs[below], title)
    return "\n".join([*lines, *_metrics()]) + "\n"


def _below(name: str, stop: set[str]) -> Iterator[str]:
    """A definition and those that it needs, level by level, without those of other parts."""
    found = [name]
    for here in found:
        yield here
        found += [ref for ref in dict.fromkeys(_refs(definitions()[here])) if ref not in found and ref not in stop]


def _refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].removeprefix(REF)
        for key, value in node.items():
            if key not in ("default", "discriminator"):
                yield from _refs(value)
    elif isinstance(node, list):
        for item in node:
            yield from _refs(item)


def _section(name: str, schema: Schema, part: str) -> list[str]:
    kind = schema["properties"].get("kind", {}).get("const")
    lines = [f"### {name}", _plain(schema["description"]) + (f" `kind: {kind}`." if kind else ""), ""]
    lines += ["| key | type | unit | default | meaning |", "|---|---|---|---|---|"]
    required = schema.get("required", [])
    for key, field in schema["properties"].items():
        if key == "kind" and kind:
            continue
        default = "**required**" if key in required else _default(field)
        cells = (f"`{key}`", _type(field), field.get("unit", ""), default, _plain(field.get("description", "")))
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _type(field: Schema) -> str:
    """What a value must be, in words; a part of the configuration as a link to its section."""
    if "$ref" in field:
        words = _link(field["$ref"].removeprefix(REF))
    elif "discriminator" in field:
        words = "one of " + _listed([_link(ref.removeprefix(REF)) for ref in _mapped(field)])
    elif "anyOf" in field:
        words = " or ".join(dict.fromkeys(_type(choice) for choice in field["anyOf"]))
    elif "const" in field:
        words = f"`{_shown(field['const'])}`"
    elif "enum" in field:
        short = len(field["enum"]) <= MOST_NAMES
        words = ", ".join(f"`{word}`" for word in field["enum"]) if short else "name of a [metric](#metrics)"
    elif field.get("type") == "array":
        words = f"list of {_type(field.get('items', {}))}{_size(field)}"
    elif field.get("type") == "object":
        words = _mapping(field)
    elif field.get("format") == "date":
        words = "day (YYYY-MM-DD)"
    elif "type" in field:
        words = SIMPLE[field["type"]] + _bounds(field)
    else:
        words = "anything"
    if "instead" in field:
        words += " or `auto`" if "const" in field["instead"] else " or a name, or null"
    return words


def _mapping(field: Schema) -> str:
    values: Any = field.get("additionalProperties")
    if "patternProperties" in field:
        (values,) = field["patternProperties"].values()
    names = field.get("propertyNames", {}).get("enum")
    keys = " (" + ", ".join(f"`{name}`" for name in names) + ")" if names else ""
    return f"names{keys}, each with: {_type(values if isinstance(values, dict) else {})}{_size(field)}"


def _mapped(field: Schema) -> Sequence[str]:
    return list(dict.fromkeys(field["discriminator"]["mapping"].values()))


def _bounds(field: Schema) -> str:
    bounds = [f"{sign}{_shown(field[word])}" for word, sign in BOUNDS if word in field]
    if "pattern" in field:
        bounds.append(f"of the form `{field['pattern']}`".replace("|", "\\|"))
    if "maxLength" in field:
        bounds.append(f"at most {field['maxLength']} characters")
    return " " + ", ".join(bounds) if bounds else ""


def _size(field: Schema) -> str:
    least = field.get("minItems") or field.get("minProperties")
    return f", at least {least}" if least else ""


def _default(field: Schema) -> str:
    """The default in a few words: a part's own defaults stand in its own section."""
    value = field["default"]
    if isinstance(value, dict) and "source" in value:
        return f"`{_shown(value['value'])}` ({_plain(value['source'])})"
    if isinstance(value, dict) and value:
        return "its own defaults"
    return f"`{_shown(value)}`"


def _shown(value: object) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words)


def _link(name: str) -> str:
    return f"[{name}](#{_anchor(name)})"


def _anchor(title: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _plain(text: str) -> str:
    return text.replace("|", "\\|")


def _metrics() -> list[str]:
    words = "What a criterion's `metric` can name, beside `comparison.ratio`, the ratio to the published median."
    lines = ["## Metrics", words, "", "| metric | unit | better | meaning |", "|---|---|---|---|"]
    for name, metric in METRICS.items():
        lines.append(f"| `{name}` | {metric.unit} | {metric.direction} | {_plain(metric.meaning)} |")
    return lines
