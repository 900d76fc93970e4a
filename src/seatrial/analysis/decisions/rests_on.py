"""What a decision rests on, in a few words: how many inputs, on how many values those that were measured, whose."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.analysis.decisions.decision import Decision, Input
from seatrial.analysis.decisions.sensitivity import moves_most
from seatrial.analysis.decisions.words import listed

MOST_OF_SOURCE = 100
"""Characters of a source in short; the table of inputs has all of it."""
LEAST_OF_SOURCE = 30
MOST_SOURCES = 3


def rests_on(one: Decision) -> str:
    """Inputs and sources in a sentence: 'Rests on inputs: 2 stated. Sources: price: a quote (2026-11).'"""
    counted, sources = inputs_counted(one.inputs), sources_named(one)
    said = [f"Rests on {counted}."] if counted else []
    of = "what moves it most" if moves_most(one.swings) else "the first"
    said += [f"Sources of {of}: {sources}."] if sources else []
    return " ".join(said)


def inputs_counted(inputs: Sequence[Input]) -> str:
    """'inputs: 12 stated, 2 measured (n = 3)'; '' without any.

    n: on how many repeats, runs or devices a measured input rests; where none was counted it is not given.
    """
    measured = [one for one in inputs if one.measured]
    stated = len(inputs) - len(measured)
    counts = sorted({one.n for one in measured if one.n is not None})
    of = "" if not counts else f" (n = {counts[0]})" if len(counts) == 1 else f" (n = {counts[0]} to {counts[-1]})"
    said = [f"{stated} stated"] if stated else []
    said += [f"{len(measured)} measured{of}"] if measured else []
    return f"inputs: {', '.join(said)}" if said else ""


def sources_named(one: Decision) -> str:
    """'residual value: a dealer's list (2026-10); support: our assumption (2026-11)': of what moves it most.

    Of the first inputs where nothing is known to move it; '' without inputs.
    """
    by_name = {given.name: given for given in one.inputs}
    most = [by_name[name] for name in moves_most(one.swings, MOST_SOURCES) if name in by_name]
    by_source: dict[str, list[str]] = {}
    for given in most or one.inputs[:MOST_SOURCES]:
        dated = f" ({given.as_of})" if given.as_of else ""
        by_source.setdefault(f"{in_short(given.source)}{dated}", []).append(given.name)
    return "; ".join(f"{listed(names)}: {source}" for source, names in by_source.items())


def in_short(source: str, most: int = MOST_OF_SOURCE) -> str:
    """The first statement of a source: up to a semicolon, a longer one up to a colon, else so many characters."""
    source = source if len(source) <= most else source.partition("; ")[0]
    before = source.partition(": ")[0]
    # what is shorter is no source yet: 'our assumption: ...'
    if len(source) > most and LEAST_OF_SOURCE <= len(before) <= most:
        return before
    return source if len(source) <= most else f"{source[:most].rpartition(' ')[0].rstrip(',;:')} \u2026"
