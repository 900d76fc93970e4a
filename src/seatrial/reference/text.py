"""A reference and a scaling fit as people read them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from io import StringIO

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from seatrial.reference.citation import notice, published_on
from seatrial.reference.equivalent import Reference
from seatrial.reference.facts import day_of
from seatrial.reference.published import PublishedResult
from seatrial.reference.reasons import part_of, rests_on
from seatrial.reference.scaling import Scaling, ScalingFit
from seatrial.reference.table_file import UNVERIFIED
from seatrial.units import format_figure

NO_REFERENCE = (
    "A line is no reference: efficiency falls with the count, so that times between two counts are interpolated "
    "between their medians (seatrial reference show), and nothing is extrapolated."
)
OTHER_FAMILY = "Nearest of another family: not comparable"
APART = "Unverified, not part of the reference"
BOLD = "bold"
CITED = ("submitter", "system", "round", "published", "retrieved", "runs", "score", "source")
"""What stands beside a published figure."""
UNLIMITED = 100_000
"""Columns of a console that never folds a line."""


def print_reference(reference: Reference, unverified: Sequence[PublishedResult] = ()) -> None:
    """Print a reference, in the terminal's width; where there is none, every row whole on a line of its own.

    `unverified`: results of the same hardware and benchmark that are no published ones, to be listed apart.
    """
    _print(lambda wide: reference_parts(reference, wide, unverified))


def print_scaling(scaling: Scaling) -> None:
    """Print the fits, as `print_reference` does."""
    _print(lambda wide: scaling_parts(scaling, wide))


def _print(parts_of: Callable[[bool], list[RenderableType]]) -> None:
    if sys.stdout.isatty():
        console = Console(highlight=False)
        for part in parts_of(False):
            console.print(part)
        return
    text = StringIO()
    console = Console(file=text, width=UNLIMITED, highlight=False, color_system=None)
    for part in parts_of(True):
        console.print(part)
    # rich fills the last column with blanks
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines()))


def reference_parts(
    reference: Reference, wide: bool, unverified: Sequence[PublishedResult] = ()
) -> list[RenderableType]:
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
    if reference.of_other_families:
        parts += [Text(f"\n{OTHER_FAMILY}", BOLD), _results_table(reference.of_other_families, wide, family=True)]
    if unverified:
        parts += [Text(f"\n{APART}", BOLD), _results_table(unverified, wide)]
    return [*parts, *_notices(bool(unverified))]


def _reference_lines(reference: Reference) -> list[str]:
    if reference.minutes is None:
        return [reference.note]
    lines = [f"reference: {_minutes(reference.minutes)}, {reference.basis}", reference.note]
    if reference.quartiles is not None:
        lines.append(f"interquartile range: {_span(reference.quartiles)}")
    if reference.interval is not None:
        lines.append(f"error band: {_span(reference.interval)}")
    for m in reference.neighbours:
        if m.n > 1:
            lines.append(f"interquartile range at {m.accelerators}: {_span(m.quartiles)} ({rests_on(m)})")
        else:
            lines.append(f"at {m.accelerators}: {rests_on(m)}, no median")
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
    family: bool = False,
) -> Table:
    """Results with all that MLCommons asks to stand beside a figure.

    `lines`: each one's fitted minutes and residual factor; `family`: with each one's accelerator family.
    """
    fitted = () if lines is None else ("line", "minutes/line")
    cited = CITED if wide else ("result",)
    table = _table("accelerators", *(["family"] if family else []), "minutes", *fitted, *cited)
    for r in results:
        beside = () if lines is None else lines[r]
        cells = _cited(r)
        if not wide:
            submitter, system, round_, published, retrieved, runs, score, source = cells
            day = published if r.confidence == UNVERIFIED else f"published {published}"
            details = f"{round_}, {day}, {runs} runs, {score}; retrieved {retrieved} from {source}"
            cells = (f"{submitter}, {system}\n{details}",)
        of_family = [Text(r.accelerator_family)] if family else []
        table.add_row(str(r.accelerators), *of_family, format_figure(r.minutes), *beside, *map(Text, cells))
    return table


def _cited(result: PublishedResult) -> tuple[str, ...]:
    """The cells of CITED."""
    return (
        result.submitter,
        result.system,
        f"{result.round} {result.division}",
        "not published" if result.confidence == UNVERIFIED else day_of(result.round) or "not known",
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


def _notices(unverified: bool = False) -> list[RenderableType]:
    return [Text(""), *(Text(line) for line in notice(own_results=unverified))]


def _round_words(round_: str, division: str) -> str:
    published = published_on(round_).rstrip("; ")
    return f"MLPerf™ Training {round_} {division.capitalize()}{f' ({published})' if published else ''}"


def _minutes(minutes: float) -> str:
    return f"{format_figure(minutes)} minutes"


def _span(ends: tuple[float, float]) -> str:
    return f"{format_figure(ends[0])} to {format_figure(ends[1])} minutes"
