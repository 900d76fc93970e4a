"""A survey: what the published results say by themselves, with no hardware in play."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field, model_validator

from seatrial.config.base import Closed, PositiveFloat, Slug, Threshold
from seatrial.config.target import Price

Round = Annotated[str, Field(pattern=r"^v\d+\.\d+$")]
Text = Annotated[str, Field(min_length=1)]

MOST = Threshold(value=0.5, source="most: more cases than not")


class FamilyPrice(Closed):
    """The price of an accelerator-hour of one family, and whose price it is."""

    family: Text
    names: Annotated[list[Text], Field(min_length=1)]
    """The targets and accelerators of the catalogue that state it."""
    price: Price


class _Claim(Closed):
    """A claim as it was made, where it was made, and (in the kinds) what the data would have to show."""

    name: Slug
    stated: Text
    source: Text


class _CountedClaim(_Claim):
    """A claim that is looked for case by case: borne out where at least `share` of the cases hold it."""

    share: Threshold = MOST

    @model_validator(mode="after")
    def _a_share(self) -> _CountedClaim:
        if self.share.value > 1:
            raise ValueError(f"share is a fraction of the cases, at most 1, not {self.share.value:g}")
        return self


class SpreadClaim(_CountedClaim):
    """The slowest result of a benchmark takes at least so many times the fastest one's figure."""

    kind: Literal["spread"]
    figure: Literal["minutes", "chip_minutes", "minutes_like_for_like"]
    """Time; accelerators times time; or time within one family and count."""
    at_least: PositiveFloat


class FormFactorPair(Closed):
    """Two families of one chip: on NVLink, and as PCIe cards."""

    linked: Text
    card: Text


class FormFactorClaim(_CountedClaim):
    """Cards on PCIe take so many times the time of the same chips on NVLink."""

    kind: Literal["form_factor"]
    pairs: Annotated[list[FormFactorPair], Field(min_length=1)]
    low: PositiveFloat
    high: PositiveFloat

    @model_validator(mode="after")
    def _ordered(self) -> FormFactorClaim:
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) is above high ({self.high})")
        return self


class PublishedClaim(_Claim):
    """A round was published between two days."""

    kind: Literal["published"]
    round: Round
    first: dt.date
    last: dt.date

    @model_validator(mode="after")
    def _ordered(self) -> PublishedClaim:
        if self.first > self.last:
            raise ValueError(f"first ({self.first}) is after last ({self.last})")
        return self


class IntroducedClaim(_Claim):
    """A round was the first one with these benchmarks."""

    kind: Literal["introduced"]
    round: Round
    benchmarks: Annotated[list[Text], Field(min_length=1)]


class SlowerClaim(_Claim):
    """Being slower than the like-for-like median by the study's threshold is out of the ordinary."""

    kind: Literal["slower_than_median"]
    at_most: Threshold
    """The greatest share of results beyond the threshold at which it still marks something unusual."""


class CloudClaim(_Claim):
    """Clouds train models only up to a size."""

    kind: Literal["cloud_ceiling"]
    billion_parameters: PositiveFloat
    sizes: Annotated[dict[str, PositiveFloat], Field(min_length=1)]
    """Parameters of the benchmarks' models in billions."""


class UnaddressedClaim(_Claim):
    """A claim that results of this kind cannot speak to, and why."""

    kind: Literal["not_addressed"]
    why: Text


Claim = Annotated[
    SpreadClaim | FormFactorClaim | PublishedClaim | IntroducedClaim | SlowerClaim | CloudClaim | UnaddressedClaim,
    Field(discriminator="kind"),
]


class Survey(Closed):
    """Which rounds are surveyed, what an hour of each family costs, and which claims are held against the data."""

    rounds: Annotated[list[Round], Field(min_length=1)]
    prices: list[FamilyPrice] = []
    """In a study's file `auto`: taken from the targets and accelerators of the configuration when planned."""
    claims: list[Claim] = []

    @model_validator(mode="after")
    def _once(self) -> Survey:
        for what, names in (("rounds", self.rounds), ("claims", [claim.name for claim in self.claims])):
            twice = sorted({n for n in names if names.count(n) > 1})
            if twice:
                raise ValueError(f"{what} must be different; twice: {', '.join(twice)}")
        return self
