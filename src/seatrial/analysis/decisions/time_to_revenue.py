"""Time to revenue: runs per week -> time per decision -> decisions per year -> months earlier, and their worth.

Decisions follow one another; each waits for its runs, then for people. With m runs side by side the r runs of a
decision take r / m runs' time one after the other, but never less than one run takes (a lower bound where r is no
multiple of m). What is earlier is worth the revenue of that many days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from seatrial.analysis.decisions.basis import Basis
from seatrial.analysis.decisions.decision import Decision, Figure, Input, Swing, assumed, priced
from seatrial.analysis.decisions.months_earlier import DAYS_PER_YEAR, days_per_decision, months_earlier, worth
from seatrial.analysis.decisions.pace import LONGER, Pace, other_pace, pace_of
from seatrial.analysis.decisions.propagation import Draws, Model, propagate
from seatrial.analysis.decisions.sensitivity import tornado
from seatrial.analysis.decisions.words import SHARE, with_interval
from seatrial.analysis.inputs import is_training
from seatrial.case import Case
from seatrial.config.time_to_revenue import TimeToRevenue
from seatrial.units import format_figure

KIND = "time_to_revenue"
TITLE = "Time to revenue"
DAYS_PER_WEEK = 7.0
MOST_RUNS = 1e6
DECISIONS, RUNS, PEOPLE = "decisions", "runs per decision", "people's days per decision"
CRITICAL, REVENUE = "share of the time saved that counts", "revenue"
SAVED, PATH = "Time saved, whether it counts or not", "product's critical path"
NO_PEOPLE = "people's time between runs: none is reckoned (people_days_per_decision states it)"
AT_VALUES = "at the inputs' values; no interval"


def time_to_revenue(basis: Basis) -> list[Decision]:
    """A decision for each training that the study's economics ask about; one where all is stated; else none.

    Raises UnreadableFile where a table of this or of the other study is not there.
    """
    asked = basis.economics.time_to_revenue
    if asked is None:
        return []
    if asked.system.is_stated and asked.system.experiment is None and not asked.needs_measurements:
        return [_decision(basis, asked, None)]
    cases = [case for case in basis.cases.values() if is_training(case)]
    chosen = [c for c in cases if asked.system.experiment in (None, c.experiment)]
    if not chosen:
        what = f"experiment {asked.system.experiment}" if asked.system.experiment else "the study"
        return [_unknown(f"{what} has no training to a quality")]
    return [_decision(basis, asked, case) for case in chosen]


@dataclass(frozen=True)
class _Model:
    """The figures of one decision as functions of its inputs."""

    pace: Pace
    other: Pace | None
    inputs: tuple[Input, ...]
    seed: int

    def days(self, pace: Pace) -> Model:
        """Days of one decision on a system."""

        def model(of: Mapping[str, Draws]) -> Draws:
            people = of.get(PEOPLE, np.zeros(1))
            return days_per_decision(of[RUNS], pace.at_once(of), pace.completed(of), pace.hours(of), people)

        return model

    def weeks_in_all(self, pace: Pace) -> Model:
        """Weeks until all decisions are through."""
        return lambda of: of[DECISIONS] * self.days(pace)(of) / DAYS_PER_WEEK

    def months(self, of: Mapping[str, Draws]) -> Draws:
        """Months earlier than on the other system."""
        assert self.other is not None
        share = of.get(CRITICAL, np.ones(1))
        return months_earlier(of[DECISIONS], self.days(self.pace)(of), self.days(self.other)(of), share)

    def worth(self, of: Mapping[str, Draws]) -> Draws:
        """What those months are worth."""
        return worth(self.months(of), of[REVENUE])

    def taken(self, *paces: Pace | None, but: tuple[str, ...] = ()) -> list[Input]:
        """The inputs that stand for no system, and those of `paces`; none of the names in `but`."""
        others = {one.name for pace in (self.pace, self.other) if pace is not None for one in pace.inputs}
        own = {one.name for pace in paces if pace is not None for one in pace.inputs}
        return [one for one in self.inputs if one.name not in but and (one.name in own or one.name not in others)]


def _decision(basis: Basis, asked: TimeToRevenue, case: Case | None) -> Decision:
    runs = asked.decisions.value * asked.runs_per_decision.value
    pace = pace_of(basis, asked.system, case, runs)
    other = None if asked.against is None else other_pace(basis, asked.against, case, runs, than=pace)
    systems = [one for one in (pace, other) if one is not None]
    longer = [one for one in systems if one.measured]
    inputs = [*_stated(asked, bool(longer)), *(one for system in systems for one in system.inputs)]
    of = _Model(pace, other, tuple(inputs), basis.seed)
    figures = _figures(of, asked)
    compared = other is not None and pace.is_known and other.is_known
    lacking = [why for system in systems for why in system.missing]
    lacking += [NO_PEOPLE] if asked.people_days_per_decision is None else []
    if compared and asked.revenue_per_day is None:
        lacking.append("what a day earlier is worth (revenue_per_day states it)")
    return Decision(
        kind=KIND,
        title=TITLE if other is None else f"{TITLE}: {pace.name} against {other.name}",
        where=" against ".join(dict.fromkeys(one.where or "stated figures" for one in systems)),
        answer=_answer(of, figures),
        figures=tuple(figures),
        inputs=tuple(inputs),
        swings=tuple(_swings(of, asked, compared)),
        evidence=tuple(dict.fromkeys(words for system in systems for words in system.evidence)),
        missing=tuple(dict.fromkeys(lacking)),
    )


def _swings(of: _Model, asked: TimeToRevenue, compared: bool) -> list[Swing]:
    """The tornado of the first figure."""
    if compared:
        worth_known = asked.revenue_per_day is not None
        return tornado(of.worth if worth_known else of.months, of.taken(of.pace, of.other))
    if of.other is None and of.pace.is_known:
        return tornado(of.weeks_in_all(of.pace), of.taken(of.pace))
    return []


def _stated(asked: TimeToRevenue, longer: bool) -> list[Input]:
    """The inputs that are no system's own."""
    found = [assumed(DECISIONS, asked.decisions, ""), assumed(RUNS, asked.runs_per_decision, "")]
    if asked.people_days_per_decision is not None:
        found.append(assumed(PEOPLE, asked.people_days_per_decision, "days"))
    if asked.times_longer is not None and longer:
        found.append(assumed(LONGER, asked.times_longer, ""))
    if asked.against is not None and asked.critical_share is not None:
        found.append(assumed(CRITICAL, asked.critical_share, SHARE))
    if asked.against is not None and asked.revenue_per_day is not None:
        found.append(priced(REVENUE, asked.revenue_per_day, "day"))
    return found


def _figures(of: _Model, asked: TimeToRevenue) -> list[Figure]:
    """What is earlier and its worth first, then each system by itself."""
    found: list[Figure] = []
    if of.other is not None:
        name = f"Earlier than on {of.other.name}"
        if not (of.pace.is_known and of.other.is_known):
            found.append(Figure(name, None, None, None, "months", f"not known: {_why(of)}"))
        else:
            both = of.taken(of.pace, of.other, but=(REVENUE,))
            months = _counted(of, propagate(of.months, both, of.seed, name=name, unit="months"))
            if asked.revenue_per_day is not None:
                all_of_it, unit = of.taken(of.pace, of.other), asked.revenue_per_day.currency
                earned = propagate(of.worth, all_of_it, of.seed, name="Worth of what is earlier", unit=unit)
                found.append(_counted(of, earned))
            found += [months, *_saved(of), *_claim(of, asked)]
            if asked.revenue_per_day is not None:
                found.append(_worth_of_a_month(of, asked.revenue_per_day.currency))
    for pace in (of.pace, of.other):
        if pace is not None and pace.is_known:
            found += _of_system(of, pace)
    return found or [Figure("Until all decisions are through", None, None, None, "weeks", f"not known: {_why(of)}")]


def _share(of: _Model) -> Figure | None:
    """The share of the time saved that counts, where it is stated."""
    given = [one for one in of.inputs if one.name == CRITICAL]
    return None if not given else Figure(CRITICAL, given[0].value, given[0].low, given[0].high, SHARE, "stated")


def _counted(of: _Model, figure: Figure) -> Figure:
    """A figure whose method says which share of the time saved it counts."""
    share = _share(of)
    if share is None:
        return figure
    return replace(
        figure, method=f"{with_interval(share)} of the time saved, what is on the {PATH}; {figure.method}"
    )


def _saved(of: _Model) -> list[Figure]:
    """The time saved before the share that counts is taken of it; nothing where all of it counts."""
    if _share(of) is None:
        return []
    taken = of.taken(of.pace, of.other, but=(REVENUE, CRITICAL))
    return [
        propagate(lambda x: of.months(dict(x) | {CRITICAL: np.ones(1)}), taken, of.seed, name=SAVED, unit="months")
    ]


def _worth_of_a_month(of: _Model, currency: str) -> Figure:
    revenue = [one for one in of.inputs if one.name == REVENUE]
    words = "Worth of one month earlier"
    return propagate(lambda x: worth(np.ones(1), x[REVENUE]), revenue, of.seed, name=words, unit=currency)


def _of_system(of: _Model, pace: Pace) -> list[Figure]:
    only = (REVENUE, CRITICAL)
    one = of.taken(pace, but=(*only, DECISIONS))
    runs = of.taken(pace, but=(*only, DECISIONS, RUNS, PEOPLE))

    def per_year(x: Mapping[str, Draws]) -> Draws:
        return DAYS_PER_YEAR / of.days(pace)(x)

    on = f"on {pace.name}"
    every = of.taken(pace, but=only)
    return [
        propagate(of.weeks_in_all(pace), every, of.seed, name=f"All decisions {on}", unit="weeks"),
        propagate(pace.runs_per_week, runs, of.seed, name=f"Runs per week {on}", unit="runs/week"),
        propagate(of.days(pace), one, of.seed, name=f"One decision {on}", unit="days"),
        propagate(per_year, one, of.seed, name=f"Decisions per year {on}", unit="decisions/year"),
    ]


def _claim(of: _Model, asked: TimeToRevenue) -> list[Figure]:
    """How many decisions, or runs per decision, it would take for what is claimed; all else as stated."""
    if asked.claimed_months_earlier is None:
        return []
    claimed = asked.claimed_months_earlier.value
    words = f"for the {format_figure(claimed)} months that are claimed"
    return [
        Figure(f"Decisions {words}", _reaches(of, DECISIONS, claimed), None, None, "", AT_VALUES),
        Figure(f"Runs per decision {words}", _reaches(of, RUNS, claimed), None, None, "", AT_VALUES),
    ]


def _reaches(of: _Model, name: str, months: float) -> float | None:
    """The value of one input at which the months are `months`; None where no value from 1 on gives them."""
    values = {one.name: np.array([one.value]) for one in of.inputs}

    def beyond(value: float) -> float:
        return float(of.months(values | {name: np.array([value])})[0]) - months

    if beyond(1.0) * beyond(MOST_RUNS) > 0:
        return None
    from scipy.optimize import brentq  # rarely needed, and slow to import

    return float(brentq(beyond, 1.0, MOST_RUNS))


def _answer(of: _Model, figures: list[Figure]) -> str:
    values = {one.name: one.value for one in of.inputs}
    decisions = f"{format_figure(values[DECISIONS])} decisions"
    named = {figure.name: figure for figure in figures}
    here = named.get(f"All decisions on {of.pace.name}")
    if here is None:
        return f"Not known: {_why(of)}."
    words = f"{decisions} take {with_interval(here)} on {of.pace.name}"
    if of.other is None:
        return f"{words}."
    there = named.get(f"All decisions on {of.other.name}")
    if there is None:
        return f"{words}; how long on {of.other.name} is not known: {_why(of)}."
    months = named[f"Earlier than on {of.other.name}"]
    words += f" and {with_interval(there)} on {of.other.name}: "
    earlier = (months.value or 0.0) >= 0
    share, saved = _share(of), named.get(SAVED)
    if share is not None and saved is not None:
        between = with_interval(saved if earlier else _negative(saved))
        words += f"of the {between} between them {with_interval(share)} are on the {PATH}, which makes "
    words += f"{with_interval(months if earlier else _negative(months))} {'earlier' if earlier else 'later'}"
    if months.low is not None and months.high is not None and months.low < 0 < months.high:
        words += ", so the two are not told apart"
    worth_of = named.get("Worth of what is earlier")
    if worth_of is not None:
        words += f", {with_interval(worth_of)} of revenue"
    claim = [figure for figure in figures if " that are claimed" in figure.name]
    if claim:
        needed = " or ".join(
            f"{format_figure(one.value)} {one.name.partition(' for the')[0].lower()}" for one in claim
        )
        words += f"; {claim[0].name.partition(' for ')[2]} would take {needed}"
    return f"{words}."


def _negative(figure: Figure) -> Figure:
    low, value, high = (None if end is None else -end for end in (figure.high, figure.value, figure.low))
    return replace(figure, low=low, value=value, high=high)


def _why(of: _Model) -> str:
    """Why a pace is not known."""
    systems = [one for one in (of.pace, of.other) if one is not None and not one.is_known]
    return "; ".join(why for one in systems for why in one.missing) or "an input is missing"


def _unknown(why: str) -> Decision:
    figure = Figure("Until all decisions are through", None, None, None, "weeks", f"not known: {why}")
    return Decision(KIND, TITLE, "no case", f"Not known: {why}.", (figure,), (), (), (), (why,))
