"""A reference and a scaling fit as people read them, and the same as JSON."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from seatrial.reference.citation import cite, notice, published_on
from seatrial.reference.equivalent import Reference
from seatrial.reference.names import PUBLISHED_ON
from seatrial.reference.published import PublishedResult
from seatrial.reference.reasons import part_of
from seatrial.reference.scaling import Scaling, ScalingFit
from seatrial.units import format_figure

NO_REFERENCE = (
    "A line is no reference: efficiency falls with the count, so that times between two counts are interpolated "
    "between their medians (seatrial reference show), and nothing is extrapolated."
)
BOLD = "bold"
CITED = ("submitter", "system", "round", "published", "retrieved", "runs", "score", "source")
"""What stands beside a published figure."""
UNLIMITED = 100_000
"""Columns of a console that never folds a line."""


def print_reference(reference: Reference) -> None:
    """Print a reference, in the terminal's width; where there is none, every row whole on a line of its own."""
    _print(reference_parts, reference)


def print_scaling(scaling: Scaling) -> None:
    """Print the fits, as `print_reference` does."""
    _print(scaling_parts, scaling)


def _print(parts_of: Callable[[Any, bool], list[RenderableType]], shown: Reference | Scaling) -> None:
    if sys.stdout.isatty():
        console = Console(highlight=False)
        for part in parts_of(shown, False):
            console.print(part)
        return
    text = StringIO()
    console = Console(file=text, width=UNLIMITED, highlight=False, color_system=None)
    for part in parts_of(shown, True):
        console.print(part)
    # rich fills the last column with blanks
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines()))


def reference_parts(reference: Reference, wide: bool) -> list[RenderableType]:
    """What a reference is, what it rests on, and every result behind it; `wide`: a column for everything."""
    hardware = f"{reference.accelerators} x {reference.family}"
    parts: list[RenderableType] = [
        Text(f"{reference.benchmark} on {hardware}, {_round_words(reference.round, reference.division)}", BOLD)
    ]
    parts += [Text(line) for line in _reference_lines(reference)]
    if reference.results:
        few = " (too few for a median)" if reference.basis == "undefined" else ""
        parts += [Text(f"\nResults behind it{few}", BOLD), _results_table(reference.results, wide)]
    others = [r for r in reference.nearest if r not in reference.results]
    if others:
        which = "At exactly this count (too few for a median)" if reference.basis == "interpolated" else "Nearest"
        parts += [Text(f"\n{which}", BOLD), _results_table(others, wide)]
    return [*parts, *_notices()]


def _reference_lines(reference: Reference) -> list[str]:
    if reference.minutes is None:
        return [reference.note]
    lines = [f"reference: {_minutes(reference.minutes)}, {reference.basis}", reference.note]
    if reference.quartiles is not None:
        lines.append(f"interquartile range: {_span(reference.quartiles)}")
    if reference.interval is not None:
        lines.append(f"error band: {_span(reference.interval)}")
    for m in reference.neighbours:
        span = "one result" if m.n == 1 else f"{_span(m.quartiles)} (n = {m.n})"
        lines.append(f"interquartile range at {m.accelerators}: {span}")
    return lines


def scaling_parts(scaling: Scaling, wide: bool) -> list[RenderableType]:
    """The fits by family, every submission beside its line, and the families without one."""
    parts: list[RenderableType] = [
        Text(f"{scaling.benchmark}, {_round_words(scaling.round, scaling.division)}", BOLD),
        Text("log minutes = a + b log accelerators by least squares, a point per submission"),
    ]
    if scaling.partial:
        parts.append(Text(part_of(scaling.round)))
    if scaling.fits:
        parts += [_fits_table(scaling.fits), Text(NO_REFERENCE)]
    for fit in scaling.fits:
        lines = {p.result: (format_figure(p.fitted_minutes), f"{p.residual_factor:.3f}") for p in fit.points}
        parts += [Text(f"\n{fit.family}", BOLD), _results_table([p.result for p in fit.points], wide, lines)]
    for family in scaling.unfitted:
        parts.append(Text(f"\n{family.family}: no line, {family.why}", BOLD))
        if family.results:
            parts.append(_results_table(family.results, wide))
    if not scaling.fits and not scaling.unfitted:
        parts.append(Text("no results"))
    return [*parts, *_notices()]


def _fits_table(fits: Sequence[ScalingFit]) -> Table:
    table = _table("family", "results", "submitters", "counts", "b", "a", "R2", "worst factor")
    for fit in fits:
        table.add_row(
            Text(fit.family),
            str(fit.n),
            str(fit.submitters),
            f"{fit.counts[0]}-{fit.counts[-1]} ({len(fit.counts)})",
            f"{fit.exponent:.3f}",
            f"{fit.intercept:.3f}",
            "two points" if fit.n == 2 else "-" if fit.r_squared is None else f"{fit.r_squared:.4f}",
            f"{fit.worst_factor:.2f}",
        )
    return table


def _results_table(
    results: Sequence[PublishedResult],
    wide: bool,
    lines: Mapping[PublishedResult, tuple[str, str]] | None = None,
) -> Table:
    """Published results with all that MLCommons asks to stand beside a figure; `lines`: each one's fitted minutes
    and residual factor."""
    fitted = () if lines is None else ("line", "minutes/line")
    cited = CITED if wide else ("result",)
    table = _table("accelerators", "minutes", *fitted, *cited)
    for r in results:
        beside = () if lines is None else lines[r]
        cells = _cited(r)
        if not wide:
            submitter, system, round_, published, retrieved, runs, score, source = cells
            details = f"{round_}, published {published}, {runs} runs, {score}; retrieved {retrieved} from {source}"
            cells = (f"{submitter}, {system}\n{details}",)
        table.add_row(str(r.accelerators), format_figure(r.minutes), *beside, *map(Text, cells))
    return table


def _cited(result: PublishedResult) -> tuple[str, ...]:
    """The cells of CITED."""
    return (
        result.submitter,
        result.system,
        f"{result.round} {result.division}",
        _day_of(result.round) or "not known",
        "not recorded" if result.retrieved is None else result.retrieved.isoformat(),
        "-" if result.n_runs is None else str(result.n_runs),
        result.confidence,
        result.source,
    )


def _table(*columns: str) -> Table:
    """Words to the left and folded where they must, figures to the right and whole."""
    table = Table(box=None, pad_edge=False, header_style=BOLD)
    for name in columns:
        words = name in (*CITED, "result", "family")
        table.add_column(name, overflow="fold", no_wrap=not words, justify="left" if words else "right")
    return table


def _notices() -> list[RenderableType]:
    return [Text(""), *(Text(line) for line in notice(own_results=False))]


def reference_facts(reference: Reference) -> dict[str, Any]:
    """The reference for JSON: every figure in full precision, every result with its citation."""
    band = None
    if reference.band is not None and reference.interval is not None:
        low, high = reference.interval
        band = {**dataclasses.asdict(reference.band), "low_minutes": low, "high_minutes": high}
    return {
        "benchmark": reference.benchmark,
        "round": reference.round,
        "published_on": _day_of(reference.round),
        "division": reference.division,
        "family": reference.family,
        "accelerators": reference.accelerators,
        "basis": reference.basis,
        "minutes": reference.minutes,
        "n": reference.n,
        "submitters": reference.submitters,
        "quartiles": reference.quartiles,
        "band": band,
        "neighbours": [
            {
                "accelerators": m.accelerators,
                "minutes": m.minutes,
                "n": m.n,
                "submitters": m.submitters,
                "quartiles": m.quartiles,
            }
            for m in reference.neighbours
        ],
        "partial": reference.partial,
        "note": reference.note,
        "results": [_result_facts(r) for r in reference.results],
        "nearest": [_result_facts(r) for r in reference.nearest],
        "notice": notice(own_results=False),
    }


def scaling_facts(scaling: Scaling) -> dict[str, Any]:
    """The fits for JSON."""
    return {
        "benchmark": scaling.benchmark,
        "round": scaling.round,
        "published_on": _day_of(scaling.round),
        "division": scaling.division,
        "partial": scaling.partial,
        "fits": [
            {
                "family": fit.family,
                "exponent": fit.exponent,
                "intercept": fit.intercept,
                "r_squared": fit.r_squared,
                "worst_factor": fit.worst_factor,
                "n": fit.n,
                "submitters": fit.submitters,
                "counts": fit.counts,
                "points": [
                    {
                        **_result_facts(p.result),
                        "fitted_minutes": p.fitted_minutes,
                        "residual_factor": p.residual_factor,
                    }
                    for p in fit.points
                ],
            }
            for fit in scaling.fits
        ],
        "unfitted": [
            {"family": u.family, "why": u.why, "counts": u.counts, "results": [_result_facts(r) for r in u.results]}
            for u in scaling.unfitted
        ],
        "notice": notice(own_results=False),
    }


def _result_facts(result: PublishedResult) -> dict[str, Any]:
    facts = dataclasses.asdict(result)
    retrieved = None if result.retrieved is None else result.retrieved.isoformat()
    return {**facts, "retrieved": retrieved, "published_on": _day_of(result.round), "citation": cite(result)}


def _day_of(round_: str) -> str | None:
    day = PUBLISHED_ON.get(round_)
    return None if day is None else day.isoformat()


def _round_words(round_: str, division: str) -> str:
    published = published_on(round_).rstrip("; ")
    return f"MLPerf™ Training {round_} {division.capitalize()}{f' ({published})' if published else ''}"


def _minutes(minutes: float) -> str:
    return f"{format_figure(minutes)} minutes"


def _span(ends: tuple[float, float]) -> str:
    return f"{format_figure(ends[0])} to {format_figure(ends[1])} minutes"
