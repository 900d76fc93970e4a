"""Own against cloud: what an hour of use costs either way, and from which utilisation owning beats renting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from seatrial.analysis.decisions.basis import Basis
from seatrial.analysis.decisions.dates import apart
from seatrial.analysis.decisions.decision import Decision, Figure, Input, priced
from seatrial.analysis.decisions.ownership import (
    MONTHS_PER_YEAR,
    break_even_utilisation,
    months_of_rent,
    rented_for,
)
from seatrial.analysis.decisions.owning import AVAILABILITY, Owning, Values
from seatrial.analysis.decisions.propagation import Draws, Model, propagate
from seatrial.analysis.decisions.sensitivity import tornado
from seatrial.analysis.decisions.words import SHARE, listed, with_interval
from seatrial.config.economics import Cloud, Offer
from seatrial.units import format_figure

KIND = "own_or_cloud"
CLOUD, MONTHS = "price of the cloud", "term of renting"
NO_RECORD = "no record: every input is stated in the study's configuration, with its source"
NO_CLOUD = "economics.cloud: what renting costs is not stated, so nothing is compared"
NO_EARLY = (
    "economics.own.residual_at_cloud_end: what the machine is sold for after {} is not stated, so what owning "
    "costs if the need ends then is not known"
)
RENT_ALONE = "economics.cloud: no staff, storage or egress is in the cost of renting beyond what an hour holds"
WORDS = {
    "own": "less than {}",
    "cloud": "more than {}",
    "open": "not told apart from {}",
}
"""How owning stands against offers at the planned use."""
NEVER = {
    "yes": "that is not enough against {}: owning never costs less",
    "open": "whether that is enough against {} is not told apart",
}
"""Where the break-even utilisation is above the largest use that can be reached, or may be."""


def own_or_cloud(basis: Basis) -> list[Decision]:
    """The comparison that the study states; nothing where it does not say what owning costs."""
    economics = basis.economics
    if economics.own is None:
        return []
    owning = Owning(economics.own, economics.accelerators or basis.study.target.accelerators)
    if economics.cloud is None:
        return [_own_alone(owning, basis.seed)]
    return [_compared(owning, economics.cloud, basis.seed)]


def _own_alone(owning: Owning, seed: int) -> Decision:
    figures = owning.figures(seed)
    return Decision(
        kind=KIND,
        title="What owning costs",
        where=_owned(owning),
        answer=f"Owning costs {with_interval(figures[0])} per used accelerator-hour; no cloud is stated beside it.",
        figures=figures,
        inputs=owning.inputs,
        swings=tuple(tornado(owning.per_hour, owning.inputs)),
        evidence=(NO_RECORD,),
        missing=(*owning.missing, NO_CLOUD),
    )


def _compared(owning: Owning, cloud: Cloud, seed: int) -> Decision:
    offers = [
        _Renting(owning, cloud.months, offer.paid_hours == "all", name.replace("_", " "), _price(name, offer), seed)
        for name, offer in cloud.offers.items()
    ]
    # which vendor is a choice and no uncertainty: the first figure is of one offer, with that offer's own range
    nearest = min(offers, key=lambda offer: offer.price.value)
    own = owning.figures(seed)
    case = nearest.case()
    months = Input(MONTHS, cloud.months, None, None, "months", "stated by the study", None, False)
    early = () if owning.early is None else (owning.early,)
    return Decision(
        kind=KIND,
        title="Own or cloud",
        where=f"{_owned(owning)}, or rented for {format_figure(cloud.months)} months",
        answer=f"{_case_in_words(nearest, case)}; {_at_planned_use(own, offers)}.",
        figures=(*case, *own, *(figure for offer in offers for figure in offer.figures(beside=nearest))),
        inputs=(*owning.inputs, *early, months, *(offer.price for offer in offers)),
        swings=tuple(tornado(nearest.alike, nearest.inputs)),
        evidence=(NO_RECORD,),
        missing=(*owning.missing, *nearest.missing, *_dates(owning, offers, nearest), RENT_ALONE),
    )


def _dates(owning: Owning, offers: Sequence[_Renting], nearest: _Renting) -> list[str]:
    """Which inputs are of another time than the rent that the first figure is of."""
    inputs = [*owning.inputs, *([owning.early] if owning.early else []), *(offer.price for offer in offers)]
    return apart(inputs, nearest.price, f"the rent of {nearest.name}")


def _price(name: str, offer: Offer) -> Input:
    return replace(priced(CLOUD, offer.price, "accelerator-hour"), name=f"{CLOUD}: {name.replace('_', ' ')}")


def _owned(owning: Owning) -> str:
    return f"{owning.n:,} accelerators, owned over {format_figure(owning.own.depreciation_years)} years"


@dataclass(frozen=True)
class _Renting:
    """Owning against one offer of the cloud; `reserved`: all hours of the term are paid, used or not."""

    owning: Owning
    months: float
    reserved: bool
    name: str
    price: Input
    seed: int

    @property
    def inputs(self) -> tuple[Input, ...]:
        return (*self.owning.inputs, self.price)

    @property
    def term(self) -> str:
        return f"{format_figure(self.months)} months"

    @property
    def ends_early(self) -> bool:
        """Whether renting ends before what is owned is paid off."""
        return self.months < MONTHS_PER_YEAR * self.owning.own.depreciation_years

    @property
    def missing(self) -> list[str]:
        """What the study does not state of this comparison, in words."""
        unknown = self.ends_early and self.owning.early is None
        return [NO_EARLY.format(self.term)] if unknown else []

    def saves(self, x: Values) -> Draws:
        """What an hour of use costs less where the accelerators are owned, at the same use of both."""
        price = x[self.price.name]
        return np.asarray((price / self.owning.use(x) if self.reserved else price) - self.owning.per_hour(x))

    def breaks_even(self, x: Values) -> Draws:
        """The share of all hours in use from which owning costs less, where used hours alone are paid."""
        return break_even_utilisation(self.owning.per_year(x), x[self.price.name])

    def out_of_reach(self, x: Values) -> Draws:
        """By how much the break-even utilisation is above what the availability allows."""
        return np.asarray(self.breaks_even(x) - x[AVAILABILITY])

    def alike(self, x: Values) -> Draws:
        """Months of rent, all hours paid, that cost what owning costs over its whole term."""
        return months_of_rent(self.owning.whole_term(x), x[self.price.name])

    @property
    def saving(self) -> Figure:
        return self._figure(f"Owning saves, per used accelerator-hour: {self.name}", self.saves)

    @property
    def break_even(self) -> Figure:
        return self._figure(f"Break-even utilisation, of all hours: {self.name}", self.breaks_even, SHARE)

    @property
    def months_alike(self) -> Figure:
        name = f"Renting, all hours paid, that costs what owning costs over its term: {self.name}"
        return self._figure(name, self.alike, "months")

    @property
    def rent(self) -> Figure:
        n, price = self.owning.n, self.price
        return propagate(
            lambda x: n * rented_for(self.months, x[price.name]),
            [price],
            self.seed,
            name=f"Renting for {self.term}, all hours paid: {self.name}",
            unit=self._money,
        )

    @property
    def never(self) -> str:
        """Whether owning costs more than this offer at every use that can be reached: yes, no, or open."""
        if self.reserved:
            return "no"
        return {"own": "yes", "cloud": "no"}.get(_standing(self._figure("", self.out_of_reach)), "open")

    def case(self) -> list[Figure]:
        """The months of rent that cost what owning costs; the rent of the term beside owning for as long."""
        n, owning = self.owning.n, self.owning
        found = [
            self.months_alike,
            self.rent,
            self._figure(f"Owning, for {self.term}", lambda x: n * owning.during(self.months, x)),
        ]
        if self.ends_early and owning.early is not None:
            name = f"Owning, sold after {self.term}"
            inputs = (*owning.inputs, owning.early)
            found.append(self._figure(name, lambda x: n * owning.ended_after(self.months, x), inputs=inputs))
        return found

    def figures(self, beside: _Renting) -> list[Figure]:
        """What owning saves, the break-even where used hours alone are paid, and what `case` has not given."""
        found = [self.saving] if self.reserved else [self.saving, self.break_even]
        return found if self is beside else [*found, self.rent, self.months_alike]

    def _figure(self, name: str, model: Model, unit: str = "", inputs: Sequence[Input] = ()) -> Figure:
        return propagate(model, inputs or self.inputs, self.seed, name=name, unit=unit or self._money)

    @property
    def _money(self) -> str:
        return self.price.unit.partition("/")[0]


def _standing(saving: Figure) -> str:
    """Whether the interval of the saving lies above 0, below, or holds it."""
    low = saving.value if saving.low is None else saving.low
    high = saving.value if saving.high is None else saving.high
    if low is not None and low > 0:
        return "own"
    return "cloud" if high is not None and high < 0 else "open"


def _case_in_words(nearest: _Renting, case: Sequence[Figure]) -> str:
    alike, rent, during, *sold = case
    n, years = nearest.owning.n, format_figure(nearest.owning.own.depreciation_years)
    whole = propagate(
        lambda x: n * nearest.owning.whole_term(x), nearest.owning.inputs, nearest.seed, name="", unit=rent.unit
    )
    words = (
        f"Renting {n:,} accelerators for {nearest.term} with all hours paid costs {with_interval(rent)} at the "
        f"cheapest offer ({nearest.name}); owning costs {with_interval(during)} over those {nearest.term} and "
        f"{with_interval(whole)} over its {years} years, as much as {with_interval(alike)} of that rent"
    )
    if not nearest.ends_early:
        return words
    if not sold:
        return f"{words}; what it costs if the need ends after {nearest.term} is not known"
    return f"{words}, and {with_interval(sold[0])} if the need ends after {nearest.term} and it is sold then"


def _at_planned_use(own: Sequence[Figure], offers: Sequence[_Renting]) -> str:
    """How owning stands against each offer, and from which use on it costs less than the cheapest by the hour."""
    standings = {offer.name: _standing(offer.saving) for offer in offers}
    of = {word: [name for name, found in standings.items() if found == word] for word in WORDS}
    stands = "; ".join(WORDS[word].format(listed(names)) for word, names in of.items() if names)
    per_hour, planned, reachable = own[:3]
    words = (
        f"per used accelerator-hour, at the planned use of {with_interval(planned)} of all hours, owning costs "
        f"{with_interval(per_hour)}: {stands}"
    )
    by_the_hour = [offer for offer in offers if not offer.reserved]
    if not by_the_hour:
        return words
    cheapest = min(by_the_hour, key=lambda offer: offer.price.value)
    words += (
        f"; against paying by the hour ({cheapest.name}) it breaks even at {with_interval(cheapest.break_even)} of "
        f"all hours in use, and {with_interval(reachable)} of all hours can be reached"
    )
    for verdict, said in NEVER.items():
        names = [offer.name for offer in by_the_hour if offer.never == verdict]
        words += f"; {said.format(listed(names))}" if names else ""
    return words
