"""Points of a sweep: product of axes, zipped groups, exclusions. Values are already plain."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MOST_POINTS = 1_000_000
"""No study has more; a slip of the finger would fill the memory."""


class SweepMistake(ValueError):
    """A sweep that cannot be expanded; `key` is the dotted part of the sweep at fault."""

    def __init__(self, key: str, problem: str, value: object = None, allowed: str | None = None) -> None:
        self.key, self.problem, self.value, self.allowed = key, problem, value, allowed
        super().__init__(problem)


def flatten(axes: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted names: {'target': {'nodes': [1]}} -> {'target.nodes': [1]}."""
    flat: dict[str, Any] = {}
    for name, value in axes.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{key}."))
        else:
            flat[key] = value
    return flat


def points(
    axes: Mapping[str, Sequence[Any]],
    zipped: Sequence[Sequence[str]] = (),
    exclude: Sequence[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """All points in declaration order, the last axis fastest; one empty point where there are no axes.

    Raises SweepMistake for an axis without values, a zip of unknown or unequal axes, an exclusion of an
    unknown axis, a point that comes twice, or a sweep of which nothing is left.
    """
    for name, values in axes.items():
        if not values:
            raise SweepMistake(f"axes.{name}", "an axis without values", [], "at least one value")
    _check_zips(axes, zipped)
    _check_exclusions(axes, exclude)
    kept = [p for p in _product(axes, zipped) if not any(_matches(p, e) for e in exclude)]
    if not kept:
        raise SweepMistake("exclude", "the exclusions leave no point of the sweep", list(exclude))
    seen: list[str] = [repr(sorted(p.items())) for p in kept]
    if len(set(seen)) < len(seen):
        twice = next(p for p, s in zip(kept, seen, strict=True) if seen.count(s) > 1)
        raise SweepMistake("axes", "the same point comes twice", twice, "every value once")
    return kept


def _check_zips(axes: Mapping[str, Sequence[Any]], zipped: Sequence[Sequence[str]]) -> None:
    used: set[str] = set()
    for group in zipped:
        for name in group:
            if name not in axes:
                raise SweepMistake("zip", "zip names no axis of this sweep", name, ", ".join(axes) or None)
            if name in used:
                raise SweepMistake("zip", "an axis can be zipped only once", name)
            used.add(name)
        lengths = {name: len(axes[name]) for name in group}
        if len(set(lengths.values())) > 1:
            raise SweepMistake("zip", "zipped axes differ in length", lengths, "equally many values")


def _check_exclusions(axes: Mapping[str, Sequence[Any]], exclude: Sequence[Mapping[str, Any]]) -> None:
    for rule in exclude:
        for name in flatten(rule):
            if name not in axes:
                raise SweepMistake("exclude", "exclude names no axis of this sweep", name, ", ".join(axes) or None)


def _product(axes: Mapping[str, Sequence[Any]], zipped: Sequence[Sequence[str]]) -> Iterator[dict[str, Any]]:
    group_of = {name: tuple(group) for group in zipped for name in group}
    dimensions: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
    for name, values in axes.items():
        names = group_of.get(name, (name,))
        if names not in dimensions:
            columns = [axes[n] for n in names] if len(names) > 1 else [values]
            dimensions[names] = list(zip(*columns, strict=True))
    count = math.prod(map(len, dimensions.values()))
    if count > MOST_POINTS:
        raise SweepMistake("axes", f"a sweep of {count} points", allowed=f"at most {MOST_POINTS} points")
    for combination in itertools.product(*dimensions.values()):
        point = {}
        for names, values in zip(dimensions, combination, strict=True):
            point.update(dict(zip(names, values, strict=True)))
        yield {name: point[name] for name in axes}


def _matches(point: Mapping[str, Any], rule: Mapping[str, Any]) -> bool:
    for name, value in flatten(rule).items():
        wanted = value if isinstance(value, list) else [value]
        if point[name] not in wanted:
            return False
    return True
