"""Reading YAML that somebody wrote: plain values only, and nothing that grows when it is read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from seatrial.errors import UnreadableFile

LONGEST = 8 << 20
"""Characters; no configuration is longer."""
MOST_VALUES = 1_000_000
"""Values that a file may hold, those behind its aliases counted each time."""
ANCHOR = re.compile(r"(?:^|[\s\[{,:-])&\S")
BROKEN = (yaml.YAMLError, ValueError, TypeError, AttributeError, OverflowError, RecursionError)
"""What PyYAML raises: besides its own errors those of the values that it makes (a 13th month, `!!timestamp x`)."""


def read_yaml(path: Path) -> Any:
    """The content of a file. Raises UnreadableFile as `parse_yaml`, and where it cannot be opened or decoded."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise UnreadableFile(path, str(problem)) from None
    return parse_yaml(text, path)


def parse_yaml(text: str, file: Path | str) -> Any:
    """The content of a text. Raises UnreadableFile for what is no YAML, nested too deeply, or too large when its
    aliases are followed; `file` is how it is named to the user."""
    if len(text) > LONGEST:
        raise UnreadableFile(file, f"longer than {LONGEST} characters")
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            if ANCHOR.search(text):
                _count(node, {}, set(), file)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except RecursionError:
        raise UnreadableFile(file, "nested too deeply") from None
    except BROKEN as problem:
        raise UnreadableFile(file, f"not YAML: {' '.join(str(problem).split())}") from None


def refuse_growing(files: Iterable[Path]) -> None:
    """Raise UnreadableFile for the first file that another loader must not be given: too long, or with aliases that
    make it grow beyond MOST_VALUES or contain itself. One that cannot be read, or is no YAML, is the loader's."""
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if len(text) > LONGEST:
            raise UnreadableFile(path, f"longer than {LONGEST} characters")
        if not ANCHOR.search(text):
            continue
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except RecursionError:
            raise UnreadableFile(path, "nested too deeply") from None
        except BROKEN:
            continue
        if node is not None:
            _count(node, {}, set(), path)


def _count(node: yaml.Node, known: dict[int, int], above: set[int], file: Path | str) -> int:
    """Values below a node, aliases followed."""
    if id(node) in above:
        raise UnreadableFile(file, f"an alias of what it stands in (line {node.start_mark.line + 1})")
    if id(node) in known:
        return known[id(node)]
    total = 1
    if isinstance(node, yaml.CollectionNode):
        below = [n for entry in node.value for n in (entry if isinstance(entry, tuple) else (entry,))]
        total += sum(_count(one, known, above | {id(node)}, file) for one in below)
    if total > MOST_VALUES:
        raise UnreadableFile(file, f"more than {MOST_VALUES} values when its aliases are followed")
    known[id(node)] = total
    return total
