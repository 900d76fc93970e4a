"""Which axes of a sweep can change what the configuration's interpolations become."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

Raw = dict[str, Any]
INTERPOLATION = "${"
PLAIN = re.compile(
    r"\$\{(?:(?P<key>[\w-]+(?:\.[\w-]+)*)|oc\.select:(?P<selected>[\w-]+(?:\.[\w-]+)*)(?:,[^${}\\'\"]*)?)\}"
)
"""Of a key by its whole name, or of one that may be missing: what these depend on can be read off."""


class Interpolations:
    """Those of a composed configuration; `resolve` gives a configuration without them."""

    def __init__(self, raw: Raw, resolve: Callable[[Raw], Raw]) -> None:
        self.resolve = resolve
        self._texts = dict(_texts(raw))

    def feeding(self, axes: Mapping[str, Sequence[Any]]) -> set[str]:
        """The `axes` (by whole key, each with its values) of which anything that is interpolated may depend.

        All of them where an interpolation is of another form than PLAIN: relative, nested, escaped, by a resolver.
        The values of the others can be set into what was resolved: it is what resolving after them would give.
        """
        swept = {axis: [text for _, text in _texts(values)] for axis, values in axes.items()}
        # where an axis sets what is interpolated itself, or what is below, the order counts
        needed = list(self._texts)
        for text in [*self._texts.values(), *(text for of_axis in swept.values() for text in of_axis)]:
            if INTERPOLATION in PLAIN.sub("", text) or "\\" in text:
                return set(axes)
            needed += [found["key"] or found["selected"] for found in PLAIN.finditer(text)]
        fed = {axis for axis in axes if swept[axis] or any(_overlap(axis, key) for key in needed)}
        return _with_overlapping(fed, axes)


def _with_overlapping(fed: set[str], axes: Iterable[str]) -> set[str]:
    """Of two axes of which one sets what is below the other the order counts: both or none."""
    while more := {axis for axis in axes if axis not in fed and any(_overlap(axis, other) for other in fed)}:
        fed = fed | more
    return fed


def _overlap(one: str, other: str) -> bool:
    """Whether one key is the other or lies below it."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _texts(content: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text with an interpolation in it, by its key."""
    if isinstance(content, str):
        if INTERPOLATION in content:
            yield key, content
        return
    pairs: Iterable[tuple[Any, Any]] = ()
    if isinstance(content, Mapping):
        pairs = content.items()
    elif isinstance(content, list | tuple):
        pairs = enumerate(content)
    for name, value in pairs:
        yield from _texts(value, f"{key}.{name}" if key else str(name))
