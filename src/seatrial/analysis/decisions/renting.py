"""Owning against one offer of the cloud: both costs as functions of the same inputs, and the figures of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from seatrial.analysis.decisions.decision import Figure, Input, assumed, priced
from seatrial.analysis.decisions.ownership import (
    MONTHS_PER_YEAR,
    break_even_utilisation,
    months_of_rent,
    rent_with_renewals,
    rented_for,
    sale_that_costs_the_rent,
)
from seatrial.analysis.decisions.owning import AVAILABILITY, UTILISATION, Owning, Values
from seatrial.analysis.decisions.propagation import Draws, Model, propagate
from seatrial.analysis.decisions.words import SHARE
from seatrial.config.economics import Cloud
from seatrial.units import format_figure

PRICE, RENT_CHANGE = "price", "change of the rent per year"
CLOUD_AVAILABILITY = "availability of the cloud"
PARTS = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth"}


def rentings(owning: Owning, cloud: Cloud, seed: int) -> list[Renting]:
    """Every offer of the cloud, in the order of the configuration."""
    stated = cloud.rent_change_per_year
    change = None if stated is None else assumed(RENT_CHANGE, stated, "share per year")
    found = []
    for key, offer in cloud.offers.items():
        name = cloud.names[key]
        price = replace(priced(PRICE, offer.price, "accelerator-hour"), name=f"{PRICE} of {name}")
        usable = None
        if offer.availability is not None:
            usable = assumed(f"{CLOUD_AVAILABILITY}: {name}", offer.availability, "share of the paid hours")
        found.append(Renting(owning, cloud.months, offer.paid_hours == "all", name, price, usable, change, seed))
    return found


@dataclass(frozen=True)
class Renting:
    """Owning against one offer; `reserved`: all hours of the term are paid, used or not.

    `availability` and `change` are None where the study does not state them: the owner's availability is taken, and
    today's rent throughout.
    """

    owning: Owning
    months: float
    reserved: bool
    name: str
    price: Input
    availability: Input | None
    change: Input | None
    seed: int

    @property
    def own_inputs(self) -> tuple[Input, ...]:
        """The inputs of renting alone."""
        return tuple(one for one in (self.price, self.availability, self.change) if one is not None)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The inputs of both sides."""
        return (*self.owning.inputs, *self.own_inputs)

    @property
    def term(self) -> str:
        """For how long it is rented, in words."""
        return f"{format_figure(self.months)} months"

    @property
    def owned_months(self) -> float:
        """Over how many months what is owned is paid off."""
        return MONTHS_PER_YEAR * self.owning.own.depreciation_years

    @property
    def ends_early(self) -> bool:
        """Whether renting ends before what is owned is paid off."""
        return self.months < self.owned_months

    def saves(self, x: Values) -> Draws:
        """What an hour of use costs less where the accelerators are owned, at the same utilisation of both."""
        price = self._mean_price(x)
        return np.asarray((price / self._use(x) if self.reserved else price) - self.owning.per_hour(x))

    def breaks_even(self, x: Values) -> Draws:
        """The share of all hours in use from which owning costs less, where used hours alone are paid."""
        return break_even_utilisation(self.owning.per_year(x), self._mean_price(x))

    def out_of_reach(self, x: Values) -> Draws:
        """By how much the break-even utilisation is above what the availability allows."""
        return np.asarray(self.breaks_even(x) - x[AVAILABILITY])

    def alike(self, x: Values) -> Draws:
        """Months of rent, all hours paid, that cost what owning costs over its whole term."""
        return months_of_rent(self.owning.whole_term(x), x[self.price.name], self._changes(x), self.months)

    def while_owned(self, x: Values) -> Draws:
        """The rent of one accelerator, all hours paid, for as long as owning pays it off."""
        return rent_with_renewals(self.owned_months, x[self.price.name], self._changes(x), self.months)

    def saves_over_term(self, x: Values) -> Draws:
        """What one owned accelerator costs less than that rent."""
        return np.asarray(self.while_owned(x) - self.owning.whole_term(x))

    def resale_alike(self, x: Values) -> Draws:
        """The share it must be sold for when renting ends so that owning until then costs the rent."""
        nothing, whole = (self.owning.ended_after(self.months, x, share) for share in (0.0, 1.0))
        return sale_that_costs_the_rent(nothing, whole, rented_for(self.months, x[self.price.name]))

    def _changes(self, x: Values) -> Draws | float:
        return 0.0 if self.change is None else x[self.change.name]

    def _mean_price(self, x: Values) -> Draws:
        """The price of an hour over the term of owning."""
        return np.asarray(self.while_owned(x) / rented_for(self.owned_months, 1.0))

    def _use(self, x: Values) -> Draws:
        """The share of the paid hours in which an accelerator is meant to be used."""
        if self.availability is None:
            return self.owning.use(x)
        return np.asarray(x[self.availability.name] * x[UTILISATION])

    @property
    def saving(self) -> Figure:
        """`saves` as a figure."""
        return self._figure(f"Owning saves, per used accelerator-hour: {self.name}", self.saves)

    @property
    def break_even(self) -> Figure:
        """`breaks_even` as a figure."""
        return self._figure(f"Break-even utilisation, of all hours: {self.name}", self.breaks_even, SHARE)

    @property
    def months_alike(self) -> Figure:
        """`alike` as a figure."""
        name = f"Renting, all hours paid, that costs what owning costs over its term: {self.name}"
        return self._figure(name, self.alike, "months")

    @property
    def rent(self) -> Figure:
        """The bill of the term of renting."""
        n, price = self.owning.n, self.price
        return self._figure(
            f"Renting for {self.term}, all hours paid: {self.name}",
            lambda x: n * rented_for(self.months, x[price.name]),
            inputs=[price],
        )

    @cached_property
    def rent_while_owned(self) -> Figure:
        """The bill for as long as owning pays the machine off."""
        name = f"Renting for {format_figure(self.owned_months)} months, all hours paid: {self.name}"
        n, inputs = self.owning.n, [self.price, *([self.change] if self.change else [])]
        years = self.owned_months
        return self._figure(
            name,
            lambda x: n * rent_with_renewals(years, x[self.price.name], self._changes(x), self.months),
            inputs=inputs,
        )

    @cached_property
    def saving_over_term(self) -> Figure:
        """What the owned machine costs less than the rent for as long as it is paid off."""
        years = format_figure(self.owning.own.depreciation_years)
        name = f"Owning saves over its {years} years, all hours paid: {self.name}"
        return self._figure(name, lambda x: self.owning.n * self.saves_over_term(x))

    @property
    def part_of_term(self) -> Figure:
        """The part of owning's cost that falls on the months of renting, for who keeps the machine beyond them."""
        n, owning, part = self.owning.n, self.owning, self.owned_months / self.months
        years = f"its {format_figure(owning.own.depreciation_years)} years"
        said = f"{PARTS[round(part)]} of" if round(part, 6) in PARTS else f"{self.term} of"
        return self._figure(f"Owning, {said} {years}", lambda x: n * owning.during(self.months, x))

    @cached_property
    def ended(self) -> dict[str, Figure]:
        """Where the need ends with renting: break-even resale; cost sold for nothing, for all, as stated."""
        if not self.ends_early:
            return {}
        n, owning = self.owning.n, self.owning
        alike = f"Resale at which owning, sold after {self.term}, costs the rent: {self.name}"
        found = {"alike": self._figure(alike, self.resale_alike, SHARE)}
        for word, share in (("nothing", 0.0), ("all of its price", 1.0)):
            model: Model = lambda x, share=share: n * owning.ended_after(self.months, x, share)  # type: ignore[misc]  # noqa: E731
            found[word] = self._figure(f"Owning, sold after {self.term} for {word}", model, inputs=owning.inputs)
        if owning.early is not None:
            found["stated"] = self._figure(
                f"Owning, sold after {self.term} as stated",
                lambda x: n * owning.ended_after(self.months, x),
                inputs=(*owning.inputs, owning.early),
            )
        return found

    @property
    def never(self) -> str:
        """Whether owning costs more than this offer at every use that can be reached: yes, no, or open."""
        if self.reserved:
            return "no"
        return {"own": "yes", "cloud": "no"}.get(standing(self._figure("", self.out_of_reach)), "open")

    def _figure(self, name: str, model: Model, unit: str = "", inputs: Sequence[Input] = ()) -> Figure:
        money = self.price.unit.partition("/")[0]
        return propagate(model, inputs or self.inputs, self.seed, name=name, unit=unit or money)


def standing(saving: Figure) -> str:
    """Whether the interval of the saving lies above 0 (own), below (cloud), or holds it (open)."""
    low = saving.value if saving.low is None else saving.low
    high = saving.value if saving.high is None else saving.high
    if low is not None and low > 0:
        return "own"
    return "cloud" if high is not None and high < 0 else "open"
