"""The page's section on decisions: for each one sentence, its figures with intervals, and what it rests on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from seatrial.analysis.decisions.cost import KIND as COST
from seatrial.analysis.decisions.decision import Decision, Figure, Input
from seatrial.analysis.decisions.finish_date import KIND as FINISH_DATE
from seatrial.analysis.decisions.own_or_cloud import KIND as OWN_OR_CLOUD
from seatrial.analysis.decisions.procurement.decide import KIND as PROCUREMENT
from seatrial.analysis.decisions.rests_on import inputs_counted, rests_on
from seatrial.analysis.decisions.sensitivity import in_words
from seatrial.analysis.decisions.words import amount, interval, rounded, scale_of
from seatrial.report.headline_figure import Figure as Headline
from seatrial.report.headline_figure import missing
from seatrial.report.procurement_table import procurement_table
from seatrial.report.study_tables import Row
from seatrial.report.table import NUMBER, PROSE, TEXT, Cell, Link, Table, count, table
from seatrial.report.tornado import FILE, tornado_names
from seatrial.report.tornado_rows import SwingRow, swing_rows
from seatrial.units import format_figure

MOST_SHOWN = 20
"""More decisions are in decisions.json."""
MOST_HEADLINES = 4
MOST_OF_LEADING = 2
"""Of a study that measures too: its own cards stand beside them."""


@dataclass(frozen=True)
class Shown:
    """One decision as the page shows it."""

    anchor: str
    title: str
    where: str
    answer: str
    moved: str
    """Which inputs move it most, in words."""
    rests_on: str
    """On how many inputs, how many values, and whose; empty where the first screen says it."""
    tornado: str
    """The name of its figure; empty where there is none."""
    swings: Sequence[SwingRow]
    """The same as rows, for a narrow window."""
    dates: bool
    """Whether the figure of finish dates, one for all of them, stands here."""
    asked: Table | None
    """What every proposal of a procurement is asked."""
    figures: Table
    inputs: Table
    inputs_in_words: str
    facts: Sequence[tuple[str, Sequence[str]]]


@dataclass(frozen=True)
class DecisionsSection:
    """The decisions of a study; `more` are left to the file."""

    shown: Sequence[Shown]
    more: int


def decisions_section(
    decisions: Sequence[Decision], procurement: Sequence[Row] = (), *, leading: Decision | None = None
) -> DecisionsSection | None:
    """The section; None where the study decides nothing.

    `leading`: the decision whose answer stands on the first screen: it comes first, and is not answered again.
    """
    if not decisions:
        return None
    drawn = {id(one): name for name, one in tornado_names(decisions).items()}
    kept = [(n, one) for n, one in enumerate(decisions, start=1) if n <= MOST_SHOWN or one is leading]
    numbered = sorted(kept, key=lambda each: each[1] is not leading)
    side_by_side = next((n for n, one in numbered if one.kind == PROCUREMENT), None) if procurement else None
    dated = next((n for n, one in numbered if one.kind == FINISH_DATE), None)
    shown = [
        replace(
            _shown(number, one, drawn.get(id(one), ""), answered_above=one is leading),
            asked=procurement_table(procurement) if number == side_by_side else None,
            dates=number == dated,
        )
        for number, one in numbered
    ]
    return DecisionsSection(shown, len(decisions) - len(shown))


def headline_of_decisions(decisions: Sequence[Decision]) -> list[Headline]:
    """The first screen of a study that decides and measures nothing: the first figures of its decisions.

    Of several decisions each has one figure, named for it; one that only sets the others side by side has none. Own
    against cloud by the used hour is the other half of one question: it has the last card.
    """
    if [one.kind for one in decisions] == [OWN_OR_CLOUD, OWN_OR_CLOUD]:
        over_term, by_hour = decisions
        cards = [_headline(over_term, figure, 1) for figure in over_term.figures[: MOST_HEADLINES - 1]]
        return [*cards, _headline(by_hour, by_hour.figures[0], 2)]
    if len(decisions) == 1:
        return [_headline(decisions[0], figure, 1) for figure in decisions[0].figures[:MOST_HEADLINES]]
    said = [(n, one) for n, one in enumerate(decisions, start=1) if one.figures and not _sums_up(one, decisions)]
    said = _worst_first(said)
    cards = [
        replace(card, name=f"{card.name}: {one.title}")
        for n, one in said[:MOST_HEADLINES]
        for card in [_headline(one, one.figures[0], n)]
    ]
    more = len(said) - len(cards)
    if more > 0:
        cards[-1] = replace(cards[-1], under=f"{cards[-1].under}. And {count(more, 'more decision')} below")
    return cards


def headline_of_leading(decisions: Sequence[Decision], leading: Decision) -> list[Headline]:
    """The first figures of the decision that leads the page of a study that has others and measures too."""
    number = next(n for n, one in enumerate(decisions, start=1) if one is leading)
    return [_headline(leading, figure, number, shown=True) for figure in leading.figures[:MOST_OF_LEADING]]


def _worst_first(said: Sequence[tuple[int, Decision]]) -> list[tuple[int, Decision]]:
    """The proposals of a procurement in the places that they have: what is not known first, then the slowest."""
    values = {n: one.figures[0].value for n, one in said if one.kind == PROCUREMENT}
    worst = iter(sorted(values, key=lambda n: -math.inf if values[n] is None else -values[n]))  # type: ignore[operator]
    of_number = dict(said)
    order = [next(worst) if one.kind == PROCUREMENT else n for n, one in said]
    return [(n, of_number[n]) for n in order]


def _sums_up(one: Decision, decisions: Sequence[Decision]) -> bool:
    """Whether a decision has no input of its own and its first figure is another one's."""

    def value(figure: Figure) -> tuple[object, ...]:
        return figure.value, figure.low, figure.high, figure.unit, figure.method

    first = value(one.figures[0])
    others = [other for other in decisions if other is not one and other.figures and other.inputs]
    return not one.inputs and any(value(other.figures[0]) == first for other in others)


def headline_cost(decisions: Sequence[Decision]) -> Headline | None:
    """What a run to quality costs by the first decision that knows it; None where none does."""
    for number, one in enumerate(decisions, start=1):
        if one.kind == COST and one.figures[0].value is not None:
            return _headline(one, one.figures[0], number)
    return None


def _headline(one: Decision, figure: Figure, number: int, shown: bool = False) -> Headline:
    """`shown`: whether the page shows it though it is none of the first."""
    sources: tuple[Link, ...] = (Link(FILE, file=FILE),)
    if shown or number <= MOST_SHOWN:
        inputs = (Link("Inputs and sources", f"table-{_inputs_name(number)}"),) if one.inputs else ()
        sources = (Link("Decision", anchor(number)), *inputs)
    n = inputs_counted(one.inputs)
    if figure.value is None:
        return replace(missing(figure.name, figure.method, sources), n=n)
    scale, unit = scale_of(figure.value, figure.unit)
    spread = f"{interval(figure)} ({figure.method})" if interval(figure) else figure.method
    value = rounded(figure.value / scale)
    return Headline(figure.name, value, f"{spread}; {one.where}", unit=unit, n=n, sources=sources)


def anchor(number: int) -> str:
    """Where the page shows a decision."""
    return f"decision-{number}"


def _inputs_name(number: int) -> str:
    return f"decision-{number}-inputs"


def _shown(number: int, one: Decision, tornado: str, *, answered_above: bool) -> Shown:
    facts = [("Rests on", one.evidence), ("Not known, or not in it", one.missing)]
    return Shown(
        anchor=anchor(number),
        title=one.title,
        where=one.where,
        answer="" if answered_above else one.answer,
        moved=one.moved or in_words(one),
        rests_on="" if answered_above else rests_on(one),
        tornado=tornado,
        swings=swing_rows(one) if tornado else [],
        dates=False,
        asked=None,
        figures=_figures(number, one),
        inputs=_inputs(number, one),
        inputs_in_words=inputs_counted(one.inputs).capitalize(),
        facts=[(name, said) for name, said in facts if said],
    )


def _figures(number: int, one: Decision) -> Table:
    """How most intervals are made is said once, in the caption."""
    ((usual, times),) = Counter(figure.method for figure in one.figures).most_common(1) or [("", 0)]
    said = times > 2
    columns = [("Figure", TEXT), ("Value", NUMBER), ("Interval", NUMBER), ("How", PROSE)]
    rows = [
        [
            Cell(f.name),
            Cell(_value(f)),
            Cell(interval(f) or "-"),
            Cell("" if said and f.method == usual else f.method),
        ]
        for f in one.figures
    ]
    if said and times == len(rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    caption = f"{one.title}: figures with their intervals"
    caption += f" ({usual}{'' if times == len(one.figures) else ', where nothing else is said'})" if said else ""
    return table(f"decision-{number}-figures", caption, columns, rows, FILE)


def _value(figure: Figure) -> str:
    return "not known" if figure.value is None else amount(figure.value, figure.unit)


def _inputs(number: int, one: Decision) -> Table:
    columns = [("Input", TEXT), ("Value", NUMBER), ("Range", NUMBER), ("Of", TEXT), ("Source", PROSE)]
    rows = [
        [
            Cell(given.name, "measured here" if given.measured else ""),
            Cell(format_figure(given.value), given.unit),
            Cell(_range(given)),
            Cell(given.as_of or "-"),
            Cell(given.source),
        ]
        for given in one.inputs
    ]
    return table(_inputs_name(number), f"{one.title}: inputs with date and source", columns, rows, FILE)


def _range(given: Input) -> str:
    if given.is_exact:
        return "none"
    low, high = given.ends
    return f"{format_figure(low)} to {format_figure(high)}"
