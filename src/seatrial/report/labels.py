"""Names beside the marks of a crowded figure: each near its own, none over another name or a mark."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

Point = tuple[float, float]
DISTANCES = (9.0, 15.0, 23.0, 33.0, 45.0, 59.0, 75.0, 93.0, 115.0, 140.0)
DIRECTIONS = 24
CLEARANCE = 2.0
OVER_NAME, OVER_MARK, OVER_LINE, THROUGH_MARK, THROUGH_LINE = 400.0, 60.0, 12.0, 9.0, 3.0
"""What a place costs, in points of distance, for each thing that a name covers or its leader runs through."""
NEARER, DOUBTFUL = 3.0, 14.0
"""A name is in doubt where another name's mark is not this much further away than its own; what that costs."""
TURNED = 9.0
"""What a place straight against the wanted direction costs."""


@dataclass(frozen=True)
class Box:
    """A rectangle, in points."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )

    def contains(self, point: Point, margin: float) -> bool:
        x, y = point
        return self.left - margin < x < self.right + margin and self.bottom - margin < y < self.top + margin

    def holds(self, other: Box) -> bool:
        return (
            self.left <= other.left
            and self.bottom <= other.bottom
            and other.right <= self.right
            and other.top <= self.top
        )

    def nearest(self, point: Point) -> Point:
        """The point of the rectangle next to `point`."""
        return min(max(point[0], self.left), self.right), min(max(point[1], self.bottom), self.top)


@dataclass(frozen=True)
class Name:
    """A text and the marks that it may stand beside, the preferred first, each with a direction in degrees."""

    text: str
    beside: Sequence[tuple[Point, float]]
    marks: Sequence[Point]
    """All marks that it names."""
    line: Sequence[Point]
    """Points of the line that it names."""


@dataclass(frozen=True)
class Place:
    """Where a name stands."""

    box: Box
    mark: Point
    distance: float
    doubtful: bool = False
    """Whether a mark of another name is as near: a leader must say which is meant."""


def place_names(names: Sequence[Name], mark_size: float, within: Box, font_size: float) -> list[Place]:
    """A place for each name in turn, all in points; the cheapest by distance and by what it covers.

    The same arguments give the same places.
    """
    placed: list[Place] = []
    lines = [point for name in names for point in name.line]
    marks = [point for name in names for point in name.marks]
    for name in names:
        candidates = sorted(_candidates(name, *text_size(name.text, font_size)), key=lambda found: found[1])
        # a figure too small for its names still names them
        chosen, least = candidates[0][0], math.inf
        foreign = [point for other in names if other is not name for point in other.marks]
        for place, cost in candidates:
            if cost >= least:
                break
            if within.holds(place.box):
                near = place.distance + NEARER
                doubtful = any(place.box.contains(mark, near) for mark in foreign)
                place = replace(place, doubtful=doubtful)
                cost += _covered(place, placed, marks, mark_size, lines) + DOUBTFUL * doubtful
                if cost < least:
                    chosen, least = place, cost
        placed.append(chosen)
    return placed


def text_size(text: str, font_size: float) -> tuple[float, float]:
    """Width and height of a line of bold text in points, in the font that matplotlib brings along."""
    font = FontProperties(family="DejaVu Sans", weight="bold", size=font_size)
    extents = TextPath((0, 0), text, prop=font).get_extents()
    return float(extents.width), font_size


def _candidates(name: Name, width: float, height: float) -> Iterator[tuple[Place, float]]:
    for rank, (mark, wanted) in enumerate(name.beside):
        for distance in DISTANCES:
            for step in range(DIRECTIONS):
                angle = math.radians(wanted + 360 * step / DIRECTIONS)
                x = mark[0] + math.cos(angle) * (distance + width / 2)
                y = mark[1] + math.sin(angle) * (distance + height / 2)
                box = Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
                turned = TURNED * (1 - math.cos(math.radians(360 * step / DIRECTIONS))) / 2
                yield Place(box, mark, distance), distance + turned + 4.0 * rank


def _covered(
    place: Place, placed: Sequence[Place], marks: Sequence[Point], mark_size: float, lines: Sequence[Point]
) -> float:
    """The cost of what the name covers and what its leader runs through."""
    box = place.box
    wide = Box(box.left - CLEARANCE, box.bottom - CLEARANCE, box.right + CLEARANCE, box.top + CLEARANCE)
    cost = OVER_NAME * sum(wide.overlaps(other.box) for other in placed)
    cost += OVER_MARK * sum(box.contains(mark, mark_size) for mark in marks)
    cost += OVER_LINE * sum(box.contains(point, 1.0) for point in lines)
    leader = _leader(place)
    for other in placed:
        cost += OVER_NAME / 2 * any(other.box.contains(point, 1.0) for point in leader)
        cost += OVER_NAME / 2 * any(box.contains(point, 1.0) for point in _leader(other))
    for point in leader:
        cost += THROUGH_MARK * any(math.dist(point, mark) < mark_size for mark in marks if mark != place.mark)
        cost += THROUGH_LINE * any(math.dist(point, other) < 2 for other in lines)
    return cost


def _leader(place: Place) -> list[Point]:
    """Points of the line from a mark to its name, without its ends."""
    (x0, y0), (x1, y1) = place.mark, place.box.nearest(place.mark)
    steps = max(2, int(math.dist((x0, y0), (x1, y1)) / 3))
    return [(x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps) for i in range(2, steps)]
