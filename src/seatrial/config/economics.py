"""Money: prices with their dates and sources, what a run costs beside its hours, own against cloud, a budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from seatrial.config.assumption import Assumption
from seatrial.config.base import AsOf, Closed, PositiveFloat, PositiveInt, Slug
from seatrial.config.finish_date import FinishDate
from seatrial.config.procurement import Procurement
from seatrial.config.target import Price
from seatrial.config.time_to_revenue import TimeToRevenue
from seatrial.errors import FieldMistake

SHARES = ("residual", "residual_at_cloud_end", "support", "spares", "availability", "utilisation", "interest")


class RunCosts(Closed):
    """What a run costs beside its hours. Quantities are of one run that reached its quality."""

    kept_gb: Assumption | None = None
    """GB (1e9 bytes) that stay in storage: checkpoints, logs, data."""
    kept_months: Assumption | None = None
    storage_gb_month: Price | None = None
    """The price of one GB kept for one month."""
    egress_gb: Assumption | None = None
    """GB carried out of the cloud."""
    egress_price_gb: Price | None = None


class Energy(Closed):
    """What a facility pays for power."""

    price_kwh: Price
    pue: Assumption
    """Power usage effectiveness: the facility's energy over that of its computers, 1 or more."""

    @model_validator(mode="after")
    def _possible(self) -> Energy:
        self.pue.within(1.0, None, "pue")
        return self


class Own(Closed):
    """Owning the accelerators. Prices and powers are per accelerator with its share of node, fabric and storage."""

    depreciation_years: PositiveFloat
    """The term over which the purchase is paid off, and over which own and cloud are compared."""
    purchase: Price
    """Of one accelerator with its share of node, network and storage."""
    residual: Assumption
    """Share of the purchase that the machine is sold for at the end of the term."""
    residual_at_cloud_end: Assumption | None = None
    """The same where the need ends with the cloud's term (`cloud.months`), before the machine is paid off."""
    interest: Assumption
    """Interest of the capital per year, a share: 0.08 for 8 %."""
    power_kw: Assumption
    """Mean electrical power of one accelerator with its share of node, network and storage, for the energy."""
    contracted_kw: Assumption | None = None
    """Power that the colocation bills for one accelerator with its share; None bills `power_kw`, a mean."""
    energy: Energy
    colocation_kw_month: Price | None = None
    """Space, cooling and supply: the price of one contracted kW for one month, without the energy itself."""
    staff_year: Price | None = None
    """Of all staff for the whole machine, for one year."""
    support: Assumption | None = None
    """Maintenance contract per year, a share of the purchase."""
    spares: Assumption | None = None
    """Parts and cards in stock or replaced per year, a share of the purchase."""
    availability: Assumption
    """Share of all hours in which an accelerator can be used."""
    utilisation: Assumption
    """Share of the available hours in which an accelerator is used."""

    @model_validator(mode="after")
    def _possible(self) -> Own:
        for name in SHARES:
            share = getattr(self, name)
            if share is not None:
                share.within(0.0, 1.0, name)
        for name in ("availability", "utilisation"):
            if getattr(self, name).value == 0 or getattr(self, name).low == 0:
                raise FieldMistake("nothing would ever be used", field=name, value=0, allowed="more than 0 up to 1")
        self.power_kw.within(0.0, None, "power_kw")
        if self.contracted_kw is not None:
            self.contracted_kw.within(0.0, None, "contracted_kw")
            if self.colocation_kw_month is None:
                raise FieldMistake(
                    "contracted power costs nothing without the price of a kW",
                    field="contracted_kw",
                    value=self.contracted_kw.value,
                    allowed="contracted_kw beside colocation_kw_month, or neither",
                )
        return self


class Offer(Closed):
    """What renting an accelerator costs."""

    name: str | None = Field(default=None, min_length=1)
    """What answers and tables call it; None takes its key, with spaces for underscores."""
    price: Price
    """Of an accelerator-hour."""
    paid_hours: Literal["used", "all"]
    """Which hours are paid: those in which an accelerator is used (on demand), or all of the term (reserved)."""
    availability: Assumption | None = None
    """Share of all hours in which an accelerator can be used, where all are paid; None takes `own.availability`."""

    @model_validator(mode="after")
    def _possible(self) -> Offer:
        if self.availability is None:
            return self
        if self.paid_hours == "used":
            raise FieldMistake(
                "hours in which it cannot be used are not paid here",
                field="availability",
                value=self.availability.value,
                allowed="availability beside paid_hours: all, or none",
            )
        self.availability.within(0.0, 1.0, "availability")
        if 0 in (self.availability.value, self.availability.low):
            raise FieldMistake("nothing would ever be used", field="availability", value=0, allowed="more than 0")
        return self


class Cloud(Closed):
    """Renting the same number of accelerators."""

    months: PositiveFloat
    """For how long they are rented; at its end the rent is agreed anew."""
    rent_change_per_year: Assumption | None = None
    """By what share the rent is higher for every year that has passed when it is agreed anew: -0.1 for 10 % less.
    None keeps today's rent throughout."""
    offers: Annotated[dict[Slug, Offer], Field(min_length=1)]
    """Each is compared with owning by itself."""

    @property
    def names(self) -> dict[str, str]:
        """What each offer is called in words, by its key."""
        return {key: offer.name or key.replace("_", " ") for key, offer in self.offers.items()}

    @model_validator(mode="after")
    def _possible(self) -> Cloud:
        if self.rent_change_per_year is not None:
            self.rent_change_per_year.within(-0.99, None, "rent_change_per_year")
        times = Counter(self.names.values())
        for key, name in self.names.items():
            if times[name] > 1:
                raise FieldMistake(
                    "two offers have one name", field=f"offers.{key}.name", value=name, allowed="a name of its own"
                )
        return self


class Budget(Closed):
    """Money for runs."""

    amount: PositiveFloat
    currency: str = "USD"
    source: str = Field(min_length=1)
    """Who set it."""
    as_of: AsOf


class Economics(Closed):
    """What things cost. What is not given is left out of the decisions, and they say so."""

    accelerator_hour: Price | None = None
    """None takes the target's own price."""
    accelerators: PositiveInt | None = None
    """How many own and cloud are compared for; None: those of the target."""
    own: Own | None = None
    cloud: Cloud | None = None
    budget: Budget | None = None
    run: RunCosts | None = None
    """What a run costs beside its hours."""
    energy: Energy | None = None
    """What energy costs where the study ran, for the cost of the energy that was measured."""
    time_to_revenue: TimeToRevenue | None = None
    """From runs per week to the months that a product earns earlier."""
    finish_date: FinishDate | None = None
    """When a run of weeks is done, under the measured noise and failures."""
    procurement: Procurement | None = None
    """What the clusters proposed for the model that comes next would do."""

    @model_validator(mode="after")
    def _one_currency(self) -> Economics:
        found = list(_currency_keys(self))
        times = Counter(currency for _, currency in found)
        if len(times) > 1:
            rest = times.most_common(1)[0][0]
            key, other = next((key, currency) for key, currency in found if currency != rest)
            raise FieldMistake(
                "all prices of a study must be in one currency (no rate of exchange is known)",
                field=key,
                value=other,
                allowed=f"{rest}, as {times[rest]} of {len(found)} prices of the study",
            )
        return self

    @model_validator(mode="after")
    def _both_sides(self) -> Economics:
        if self.cloud is not None and self.own is None:
            raise FieldMistake(
                "renting is compared with owning, and nothing says what owning costs",
                field="own",
                allowed="what owning costs (economics.own), or no cloud",
            )
        return self

    @property
    def currencies_beside_hours(self) -> set[str]:
        """Of what is reckoned together with the price of an hour."""
        parts = (self.budget, self.run, self.energy)
        return {currency for part in parts if part is not None for currency in _currencies(part)}

    @property
    def decides_without_experiments(self) -> bool:
        """Whether a decision follows from these figures alone."""
        without = self.time_to_revenue is not None and not self.time_to_revenue.needs_measurements
        dated = self.finish_date is not None and not self.finish_date.needs_measurements
        return self.own is not None or self.procurement is not None or without or dated


def _currencies(part: BaseModel) -> Iterator[str]:
    """The currency of every price below `part`."""
    return (currency for _, currency in _currency_keys(part))


def _currency_keys(part: BaseModel, place: str = "") -> Iterator[tuple[str, str]]:
    """The key below `part` and the currency of every price ('own.purchase.currency', 'USD')."""
    if isinstance(part, Procurement):
        return  # what it proposes are whole targets, of which it takes no price
    if isinstance(part, Price | Budget):
        yield f"{place}currency", part.currency
        return
    for name in type(part).model_fields:
        value = getattr(part, name)
        below = value if isinstance(value, dict) else {"": value}
        for key, one in below.items():
            if isinstance(one, BaseModel):
                yield from _currency_keys(one, f"{place}{name}.{key}." if key else f"{place}{name}.")
