"""Own against cloud: what an hour of use costs either way, and from which utilisation owning beats renting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from seatrial.analysis.decisions.basis import Basis
from seatrial.analysis.decisions.decision import Decision, Figure, Input, priced
from seatrial.analysis.decisions.ownership import break_even_utilisation, months_of_rent, rented_for
from seatrial.analysis.decisions.owning import Owning, Values
from seatrial.analysis.decisions.propagation import Draws, propagate
from seatrial.analysis.decisions.sensitivity import tornado
from seatrial.analysis.decisions.words import SHARE, listed, with_interval
from seatrial.config.economics import Cloud
from seatrial.units import format_figure

KIND = "own_or_cloud"
CLOUD, MONTHS = "price of the cloud", "term of renting"
NO_RECORD = "no record: every input is stated in the study's configuration, with its source"
NO_CLOUD = "economics.cloud: what renting costs is not stated, so nothing is compared"
WORDS = {
    "own": "less than {}",
    "cloud": "more than {}",
    "open": "not told apart from {}",
}
"""How owning stands against offers at the planned use."""


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
    offers = {
        name.replace("_", " "): _Renting(
            owning, cloud.months, offer.paid_hours == "all", priced(CLOUD, offer.price, "accelerator-hour"), seed
        )
        for name, offer in cloud.offers.items()
    }
    whole = _over_all(offers)
    all_ = "over all offers" if whole.reserved else "over all offers paid by the hour"
    first, *break_even = whole.against_owning(all_)
    own = owning.figures(seed)
    of_offers = {name: renting.figures(name) for name, renting in offers.items()}
    months = Input(MONTHS, cloud.months, None, None, "months", "stated by the study", None, False)
    return Decision(
        kind=KIND,
        title="Own or cloud",
        where=f"{_owned(owning)}, or rented for {format_figure(cloud.months)} months",
        answer=_answer(own, break_even, {name: _standing(saving) for name, (saving, *_) in of_offers.items()}),
        figures=(first, *break_even, *own, *(figure for found in of_offers.values() for figure in found)),
        inputs=(*owning.inputs, months, *(replace(o.price, name=f"{CLOUD}: {n}") for n, o in offers.items())),
        swings=tuple(tornado(whole.saves, whole.inputs)),
        evidence=(NO_RECORD,),
        missing=tuple(owning.missing),
    )


def _owned(owning: Owning) -> str:
    return f"{owning.n:,} accelerators, owned over {format_figure(owning.own.depreciation_years)} years"


@dataclass(frozen=True)
class _Renting:
    """Owning against one price of the cloud; `reserved`: all hours of the term are paid, used or not."""

    owning: Owning
    months: float
    reserved: bool
    price: Input
    seed: int

    @property
    def inputs(self) -> tuple[Input, ...]:
        return (*self.owning.inputs, self.price)

    @property
    def _money(self) -> str:
        return self.price.unit.partition("/")[0]

    def saves(self, x: Values) -> Draws:
        """What an hour of use costs less where the accelerators are owned, at the same use of both."""
        rented = x[CLOUD] / self.owning.use(x) if self.reserved else x[CLOUD]
        return np.asarray(rented - self.owning.per_hour(x))

    def breaks_even(self, x: Values) -> Draws:
        """The share of all hours in use from which owning costs less, where used hours alone are paid."""
        return break_even_utilisation(self.owning.per_year(x), x[CLOUD])

    def against_owning(self, name: str) -> list[Figure]:
        """What owning saves, and the break-even utilisation where there is one: not where all hours are paid."""
        saving = f"Owning saves, per used accelerator-hour: {name}"
        found = [propagate(self.saves, self.inputs, self.seed, name=saving, unit=self._money)]
        if not self.reserved:
            share = f"Break-even utilisation, of all hours: {name}"
            found.append(propagate(self.breaks_even, self.inputs, self.seed, name=share, unit=SHARE))
        return found

    def figures(self, name: str) -> list[Figure]:
        """Those against owning, the rent of the whole term, and how much rent pays for owning."""
        n, months, owning = self.owning.n, self.months, self.owning
        rent = f"Renting for {format_figure(months)} months, all hours paid: {name}"
        alike = f"Renting, all hours paid, that costs what owning costs over its term: {name}"
        return [
            *self.against_owning(name),
            propagate(
                lambda x: n * rented_for(months, x[CLOUD]), [self.price], self.seed, name=rent, unit=self._money
            ),
            propagate(
                lambda x: months_of_rent(owning.whole_term(x), x[CLOUD]),
                self.inputs,
                self.seed,
                name=alike,
                unit="months",
            ),
        ]


def _over_all(offers: Mapping[str, _Renting]) -> _Renting:
    """One price that spans those paid by the hour, or all where none is: lowest to highest, around the middle."""
    spanned = {name: offer for name, offer in offers.items() if not offer.reserved} or offers
    prices = [offer.price for offer in spanned.values()]
    ends = [end for price in prices for end in price.ends]
    price = replace(
        prices[0],
        value=median(price.value for price in prices),
        low=min(ends),
        high=max(ends),
        source=f"from the lowest to the highest of {listed(list(spanned))}",
        as_of=max(price.as_of or "" for price in prices),
    )
    return replace(next(iter(spanned.values())), price=price)


def _standing(saving: Figure) -> str:
    """Whether the interval of the saving lies above 0, below, or holds it."""
    low = saving.value if saving.low is None else saving.low
    high = saving.value if saving.high is None else saving.high
    if low is not None and low > 0:
        return "own"
    return "cloud" if high is not None and high < 0 else "open"


def _answer(own: Sequence[Figure], break_even: Sequence[Figure], standings: Mapping[str, str]) -> str:
    of = {word: [name for name, found in standings.items() if found == word] for word in WORDS}
    stands = "; ".join(WORDS[word].format(listed(names)) for word, names in of.items() if names)
    per_hour, planned = own[:2]
    found = "".join(
        f"; against offers paid by the hour it breaks even at {with_interval(one)} of all hours in use"
        for one in break_even
    )
    return (
        f"Owning costs {with_interval(per_hour)} per used accelerator-hour at the planned use of "
        f"{with_interval(planned)} of all hours: {stands}{found}."
    )
