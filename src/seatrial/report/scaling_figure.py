"""The figure of a scaling fit: time to train against number of accelerators, both logarithmic."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from seatrial.errors import ConfigError
from seatrial.paths import write_text
from seatrial.reference.names import PUBLISHED_ON
from seatrial.reference.published import PublishedResult
from seatrial.reference.scaling import Scaling, ScalingFit
from seatrial.report.axes import WHOLE, new_figure
from seatrial.report.drawing import Drawing
from seatrial.report.figure_data import FigureData
from seatrial.report.labels import Box, Name, Place, Point, place_names
from seatrial.report.palette import SERIES
from seatrial.report.svg import settings, to_svg
from seatrial.report.table import count
from seatrial.units import format_figure

DRAWN = ("mark", "family", "submitter", "system", "accelerators", "minutes", "exponent")
HEIGHT = 5.4
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""With SERIES, which has one colour fewer, 42 different marks: form and colour both tell families apart."""
MARK_SIZE = 26.0
"""Area of a mark in square points."""
MARK_REACH = 5.0
SLOT = 7.0
"""Marks of two families nearer than this, in points, would hide one another."""
NAME_SIZE = 9.0
LEADER_FROM = 11.0
"""A name nearer to its mark than this needs no line to it, unless another mark is as near."""
ROOM_LEFT, ROOM_RIGHT = 1.45, 1.9
"""Factors by which the axis reaches further than the counts, for names."""
MOST_TICKS = 10


@dataclass(frozen=True)
class _Family:
    name: str
    results: tuple[PublishedResult, ...]
    fit: ScalingFit | None
    colour: str
    marker: str

    @property
    def label(self) -> str:
        return self.name if self.fit is None else f"{self.name} ({self.fit.exponent:.2f})"


def write_scaling_figure(scaling: Scaling, path: Path) -> None:
    """Write the figure as an SVG document of its own; the same fits give the same bytes.

    Raises ConfigError where there is no result to draw, or no such file can be written.
    """
    if path.suffix.lower() != ".svg":
        raise ConfigError(
            "the figure is an SVG", key="--figure", value=str(path), allowed="a name that ends in .svg"
        )
    with settings():
        drawing = scaling_figure(scaling)
        if drawing is None:
            raise ConfigError(
                f"nothing to draw: no results of {scaling.benchmark} in {scaling.round} {scaling.division}",
                key="--figure",
                value=str(path),
            )
        svg = to_svg(drawing.figure, "scaling", drawing.title, drawing.caption)
    try:
        write_text(path, svg)
    except OSError as problem:
        raise ConfigError(
            f"the figure cannot be written: {problem.strerror}", key="--figure", value=str(path)
        ) from None


def scaling_figure(scaling: Scaling) -> Drawing | None:
    """Every submission as a mark by family, each fit as a thin line over its own counts; call within `settings()`.

    None where there is no result.
    """
    families = _families(scaling)
    if not families:
        return None
    figure, ax = new_figure(HEIGHT, WHOLE)
    _scale(ax, families)
    for family in families:
        if family.fit is not None:
            ends = [family.fit.counts[0], family.fit.counts[-1]]
            minutes = [family.fit.minutes_at(n) for n in ends]
            ax.plot(ends, minutes, color=family.colour, linewidth=0.9, alpha=0.8, zorder=2)
    title = f"{scaling.benchmark}: time to train by number of accelerators, MLPerf™ Training {scaling.round}"
    reading = (
        "A mark is one submission; of families at one count and time the marks stand side by side.\n"
        "A line is the fit over its family's counts, in brackets its exponent."
    )
    if scaling.partial:
        reading += f" Only a part of round {scaling.round} is known."
    ax.set(xlabel="accelerators", ylabel="time to train, minutes")
    ax.set_title(f"{title} {scaling.division.capitalize()}{_published(scaling)}", loc="left", pad=38)
    words = ax.annotate(reading, (0, 1), (0, 8), "axes fraction", "offset points", fontsize=NAME_SIZE)
    words.set_in_layout(False)
    figure.supxlabel(_source(scaling), x=0.01, ha="left", fontsize=NAME_SIZE, linespacing=1.4)
    _mark_and_name(figure, ax, families)
    caption = "; ".join(_in_words(family) for family in families)
    data = FigureData(("tables/survey_results.csv",), DRAWN, list(_drawn_rows(families)))
    return Drawing(figure, title, reading.replace("\n", " "), caption, data)


def _drawn_rows(families: Sequence[_Family]) -> Iterator[dict[str, object]]:
    """Every submission, and the two ends of each fit's line."""
    for family in families:
        for result in family.results:
            yield {
                "mark": "result", "family": family.name, "submitter": result.submitter, "system": result.system,
                "accelerators": result.accelerators, "minutes": result.minutes,
            }  # fmt: skip
        if family.fit is not None:
            for n in (family.fit.counts[0], family.fit.counts[-1]):
                minutes = family.fit.minutes_at(n)
                same = {"mark": "fit", "family": family.name, "exponent": family.fit.exponent}
                yield same | {"accelerators": n, "minutes": minutes}


def _families(scaling: Scaling) -> list[_Family]:
    found: list[tuple[str, tuple[PublishedResult, ...], ScalingFit | None]] = [
        (fit.family, tuple(p.result for p in fit.points), fit) for fit in scaling.fits
    ]
    found += [(u.family, u.results, None) for u in scaling.unfitted if u.results]
    return [
        _Family(name, results, fit, SERIES[i % len(SERIES)], MARKERS[i % len(MARKERS)])
        for i, (name, results, fit) in enumerate(sorted(found, key=lambda f: f[0]))
    ]


def _published(scaling: Scaling) -> str:
    day = PUBLISHED_ON.get(scaling.round)
    return "" if day is None else f", published {day.day} {day:%B %Y}"


def _scale(ax: Axes, families: Sequence[_Family]) -> None:
    """Logarithmic axes that hold marks and lines with room for names, ticks at powers of two and at 1, 2, 5."""
    counts = [r.accelerators for family in families for r in family.results]
    minutes = [r.minutes for family in families for r in family.results]
    minutes += [f.fit.minutes_at(n) for f in families if f.fit is not None for n in f.fit.counts]
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xlim(min(counts) / ROOM_LEFT, max(counts) * ROOM_RIGHT)
    ax.set_ylim(min(minutes) / 1.35, max(minutes) * 1.35)
    least, most = math.floor(math.log2(min(counts))), math.ceil(math.log2(max(counts)))
    step = 1 + (most - least) // MOST_TICKS
    ax.xaxis.set_major_locator(FixedLocator([2.0**k for k in range(least, most + 1, step)]))
    low, high = (math.log10(end) for end in ax.get_ylim())
    decades = range(math.floor(low), math.ceil(high) + 1)
    ax.yaxis.set_major_locator(FixedLocator([d * 10.0**k for k in decades for d in (1, 2, 5)]))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: format_figure(value)))
        axis.set_minor_locator(NullLocator())
    ax.grid()


def _source(scaling: Scaling) -> str:
    return (
        "Fits are derived by Seatrial and are not MLPerf™ scores.\nSubmitters, systems and sources of all marks: "
        f"seatrial reference scaling {scaling.benchmark} --round {scaling.round}"
    )


def _mark_and_name(figure: Figure, ax: Axes, families: Sequence[_Family]) -> None:
    """Every submission's mark, and each family's name beside its marks, a thin line to them where it is away."""
    figure.draw_without_rendering()  # the layout settles where the axes are
    marks = _beside_each_other([_points(ax, [(r.accelerators, r.minutes) for r in f.results]) for f in families])
    for family, own in zip(families, marks, strict=True):
        x, y = ax.transData.inverted().transform(own).T
        ax.scatter(x, y, s=MARK_SIZE, color=family.colour, marker=family.marker, alpha=0.85, linewidth=0, zorder=3)
    names = [Name(f.label, _ends(own), own, _points(ax, _line(f))) for f, own in zip(families, marks, strict=True)]
    area = ax.get_window_extent()
    within = Box(area.x0, area.y0, area.x1, area.y1)
    # the families that reach furthest have the fewest places to go
    order = sorted(range(len(families)), key=lambda i: (-names[i].beside[0][0][0], -names[i].beside[0][0][1]))
    places = place_names([names[i] for i in order], MARK_REACH, within, NAME_SIZE)
    for i, place in zip(order, places, strict=True):
        _draw_name(ax, families[i], place)


def _points(ax: Axes, pairs: Sequence[Point]) -> list[Point]:
    """Counts and minutes as points of the page."""
    return [(float(x), float(y)) for x, y in ax.transData.transform(pairs)] if pairs else []


def _beside_each_other(families: Sequence[Sequence[Point]]) -> list[list[Point]]:
    """The marks of families at one count, moved sideways where they would lie over those of another family.

    A family's marks at one count move together, to the first free slot; they may cover one another.
    """
    taken: list[Point] = []
    moved: list[list[Point]] = []
    for own in families:
        shift: dict[float, float] = {}
        for x in sorted({x for x, _ in own}):
            mine = [point for point in own if point[0] == x]
            shift[x] = next(s for s in _slots() if not _collide([(x + s, y) for _, y in mine], taken))
        moved.append([(x + shift[x], y) for x, y in own])
        taken += moved[-1]
    return moved


def _slots() -> Iterator[float]:
    """0, then alternately further to the right and to the left."""
    yield 0.0
    for step in itertools.count(1):
        yield from (step * SLOT, -step * SLOT)


def _collide(mine: Sequence[Point], others: Sequence[Point]) -> bool:
    return any(math.dist(a, b) < SLOT for a in mine for b in others)


def _ends(marks: Sequence[Point]) -> list[tuple[Point, float]]:
    """Right of the largest system, or left of the smallest."""
    right, left = max(x for x, _ in marks), min(x for x, _ in marks)
    return [
        ((x, median_low([p[1] for p in marks if p[0] == x])), wanted) for x, wanted in ((right, 0.0), (left, 180.0))
    ]


def _line(family: _Family) -> list[Point]:
    if family.fit is None:
        return []
    counts = np.geomspace(family.fit.counts[0], family.fit.counts[-1], 120)[1:-1]
    return [(float(n), family.fit.minutes_at(float(n))) for n in counts]


def _draw_name(ax: Axes, family: _Family, place: Place) -> None:
    box, (x, y) = place.box, place.mark
    end = box.nearest(place.mark)
    if place.distance >= LEADER_FROM or place.doubtful:
        to_data = ax.transData.inverted().transform
        (x0, y0), (x1, y1) = to_data([(x, y), end])
        ax.plot(
            [x0, x1], [y0, y1], color=family.colour, linewidth=0.7, alpha=0.9, zorder=1, scalex=False, scaley=False
        )
    words = ax.annotate(
        family.label,
        tuple(ax.transData.inverted().transform((box.left, (box.bottom + box.top) / 2))),
        va="center_baseline",
        ha="left",
        color=family.colour,
        fontsize=NAME_SIZE,
        fontweight="bold",
    )
    words.set_in_layout(False)


def _in_words(family: _Family) -> str:
    counts = sorted({r.accelerators for r in family.results})
    found = f"{family.name}: {count(len(family.results), 'result')} at {counts[0]}"
    if family.fit is None:
        return f"{found} accelerators, no line"
    fit = family.fit
    r_squared = "" if fit.r_squared is None or fit.n == 2 else f", R2 {fit.r_squared:.3f}"
    return f"{found} to {counts[-1]}, exponent {fit.exponent:.2f}{r_squared}, worst factor {fit.worst_factor:.2f}"
