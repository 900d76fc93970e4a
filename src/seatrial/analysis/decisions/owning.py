"""The inputs of owning accelerators, and its cost as a function of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from seatrial.analysis.decisions.decision import Figure, Input, assumed, priced
from seatrial.analysis.decisions.ownership import (
    MONTHS_PER_YEAR,
    capital_per_year,
    per_used_hour,
    power_per_year,
)
from seatrial.analysis.decisions.propagation import Draws, Model, propagate
from seatrial.analysis.decisions.words import SHARE
from seatrial.config.economics import Own
from seatrial.units import format_figure

PURCHASE, RESIDUAL, INTEREST, TERM = "purchase price", "residual value", "interest", "term of owning"
POWER, PUE, ELECTRICITY = "power", "PUE", "price of electricity"
CONTRACTED = "contracted power"
COLOCATION, STAFF, SUPPORT, SPARES = "colocation", "staff", "support", "spares"
AVAILABILITY, UTILISATION = "availability", "utilisation"
CAPITAL = "capital"
RESIDUAL_EARLY = "residual value where the need ends with the term of renting"
LEFT_OUT = {
    COLOCATION: "economics.own.colocation_kw_month: space, cooling and supply are not in the cost of owning",
    STAFF: "economics.own.staff_year: no staff is in the cost of owning",
    SUPPORT: "economics.own.support: no maintenance contract is in the cost of owning",
    SPARES: "economics.own.spares: no spares are in the cost of owning",
}
"""Parts of the cost that a study may leave out, and what is said then."""
BILLED_ON_MEAN = "economics.own.contracted_kw: colocation is billed on the mean power, not on what is contracted"
Values = Mapping[str, Draws]


class Owning:
    """What owning `n` accelerators costs; its functions take draws of its inputs by name."""

    def __init__(self, own: Own, n: int) -> None:
        self.own, self.n = own, n
        self.inputs = tuple(_inputs(own, n))
        self._stated = {one.name for one in self.inputs}
        early = own.residual_at_cloud_end
        self.early = None if early is None else assumed(RESIDUAL_EARLY, early, "share of the purchase")
        """What it is sold for where the need ends early; not an input of any other figure."""

    @property
    def missing(self) -> list[str]:
        """What is not in the cost because the study does not state it, in words."""
        left_out = [words for name, words in LEFT_OUT.items() if name not in self._stated]
        on_mean = COLOCATION in self._stated and CONTRACTED not in self._stated
        return [*left_out, BILLED_ON_MEAN] if on_mean else left_out

    def parts(self, x: Values) -> dict[str, Draws]:
        """The cost of one accelerator per year, by what is paid for."""
        found = {
            CAPITAL: capital_per_year(x[PURCHASE], x[RESIDUAL], x[INTEREST], x[TERM]),
            POWER: power_per_year(x[POWER], x[PUE], x[ELECTRICITY]),
        }
        if COLOCATION in self._stated:
            billed = CONTRACTED if CONTRACTED in self._stated else POWER
            found[COLOCATION] = MONTHS_PER_YEAR * x[COLOCATION] * x[billed]
        if STAFF in self._stated:
            found[STAFF] = x[STAFF] / self.n
        for name in (SUPPORT, SPARES):
            if name in self._stated:
                found[name] = x[name] * x[PURCHASE]
        return found

    def per_year(self, x: Values) -> Draws:
        """The cost of one accelerator per year."""
        return np.sum(list(self.parts(x).values()), axis=0, dtype=float)

    def whole_term(self, x: Values) -> Draws:
        """The cost of one accelerator over the whole term."""
        return np.asarray(x[TERM] * self.per_year(x))

    def during(self, months: float, x: Values) -> Draws:
        """The cost of one accelerator for `months`, at the cost per year of its whole term."""
        return np.asarray(months / MONTHS_PER_YEAR * self.per_year(x))

    def ended_after(self, months: float, x: Values, resale: Draws | float | None = None) -> Draws:
        """The cost of one accelerator that is sold after `months`: its whole loss is in them.

        `resale` is the share of the purchase that it is sold for; None takes RESIDUAL_EARLY.
        """
        share = x[RESIDUAL_EARLY] if resale is None else np.full_like(x[TERM], resale)
        years = np.full_like(x[TERM], months / MONTHS_PER_YEAR)
        return self.during(months, {**x, RESIDUAL: share, TERM: years})

    def per_hour(self, x: Values) -> Draws:
        """The cost of an hour in which an accelerator is used."""
        return per_used_hour(self.per_year(x), x[AVAILABILITY], x[UTILISATION])

    def use(self, x: Values) -> Draws:
        """The share of all hours in which an accelerator is meant to be used."""
        return np.asarray(x[AVAILABILITY] * x[UTILISATION])

    def by_hour(self, seed: int) -> tuple[Figure, ...]:
        """Per used hour, planned use, largest reachable use."""
        money = self.own.purchase.currency
        return self._propagated(
            seed,
            [
                ("Owning, per used accelerator-hour", money, self.per_hour),
                ("Planned use, of all hours", SHARE, self.use),
                ("Largest reachable use, of all hours", SHARE, lambda x: x[AVAILABILITY]),
            ],
        )

    def over_term(self, seed: int) -> tuple[Figure, ...]:
        """Over the term, per year, by part, at the start."""
        money, years = self.own.purchase.currency, format_figure(self.own.depreciation_years)
        models: list[tuple[str, str, Model]] = [
            (f"Owning, {years} years", money, lambda x: self.n * self.whole_term(x)),
            ("Owning, per year", money, lambda x: self.n * self.per_year(x)),
        ]
        at_values = {one.name: np.array([one.value]) for one in self.inputs}
        models += [(f"Owning, per year: {part}", money, self._part(part)) for part in self.parts(at_values)]
        models.append(("Owning, paid at the start", money, lambda x: self.n * x[PURCHASE]))
        return self._propagated(seed, models)

    def _propagated(self, seed: int, models: Sequence[tuple[str, str, Model]]) -> tuple[Figure, ...]:
        return tuple(propagate(model, self.inputs, seed, name=name, unit=unit) for name, unit, model in models)

    def _part(self, name: str) -> Model:
        return lambda x: self.n * self.parts(x)[name]


def _inputs(own: Own, n: int) -> list[Input]:
    """Every input of owning; those that are not stated are absent."""
    found = [
        priced(PURCHASE, own.purchase, "accelerator"),
        assumed(RESIDUAL, own.residual, "share of the purchase"),
        assumed(INTEREST, own.interest, "share per year"),
        Input(TERM, own.depreciation_years, None, None, "years", "stated by the study", None, False),
        assumed(POWER, own.power_kw, "kW/accelerator"),
        assumed(PUE, own.energy.pue, ""),
        priced(ELECTRICITY, own.energy.price_kwh, "kWh"),
    ]
    if own.colocation_kw_month is not None:
        found.append(priced(COLOCATION, own.colocation_kw_month, "kW and month"))
    if own.contracted_kw is not None:
        found.append(assumed(CONTRACTED, own.contracted_kw, "kW/accelerator"))
    if own.staff_year is not None:
        found.append(priced(STAFF, own.staff_year, f"year for {n:,} accelerators"))
    for name, share in ((SUPPORT, own.support), (SPARES, own.spares)):
        if share is not None:
            found.append(assumed(name, share, "share of the purchase per year"))
    found.append(assumed(AVAILABILITY, own.availability, "share of all hours"))
    found.append(assumed(UTILISATION, own.utilisation, "share of the available hours"))
    return found
