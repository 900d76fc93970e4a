"""Own against cloud: which is cheaper for how long a need, and by the hour of use, and what that turns on."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.analysis.decisions.basis import Basis
from seatrial.analysis.decisions.dates import apart
from seatrial.analysis.decisions.decision import Decision, Figure, Input, Swing
from seatrial.analysis.decisions.owning import Owning
from seatrial.analysis.decisions.renting import Renting, rentings, standing
from seatrial.analysis.decisions.sensitivity import moves_most, tornado
from seatrial.analysis.decisions.words import amount, listed, with_interval
from seatrial.units import format_figure

KIND = "own_or_cloud"
TITLE = "Own or cloud"
MONTHS = "term of renting"
NO_RECORD = "no record: every input is stated in the study's configuration, with its source"
NO_CLOUD = "economics.cloud: what renting costs is not stated, so nothing is compared"
NO_EARLY = (
    "economics.own.residual_at_cloud_end: what the machine is sold for after {} is not stated, so of what owning "
    "costs if the need ends then only the bounds are known"
)
NO_CHANGE = "economics.cloud.rent_change_per_year: {} are reckoned at today's rent throughout"
NO_AVAILABILITY = "economics.cloud.offers.*.availability: of {} the owner's availability is taken"
NO_RANGE = (
    "economics.cloud.offers.*.price: of {} no range is stated: it counts as exact, and how owning stands there "
    "rests on that"
)
RENT_ALONE = "economics.cloud: no staff, storage or egress is in the cost of renting beyond what an hour holds"
SEE_FIRST = f"all that '{TITLE}' names as not known is not in these figures either"
VERDICTS = {"own": "Owning is cheaper", "cloud": "Renting is cheaper", "open": "Not told apart"}
WORDS = {"own": "cheaper than {}", "cloud": "dearer than {}", "open": "not told apart from {}"}
"""How owning stands against offers at the planned use."""
NEVER = {
    "yes": "never enough against {}",
    "open": "whether that is ever enough against {} is not told apart",
}
"""Where the break-even utilisation is above the largest use that can be reached, or may be."""


def own_or_cloud(basis: Basis) -> list[Decision]:
    """The comparison that the study states, over both terms and by the used hour; none without `economics.own`."""
    economics = basis.economics
    if economics.own is None:
        return []
    owning = Owning(economics.own, economics.accelerators or basis.study.target.accelerators)
    if economics.cloud is None:
        return [_own_alone(owning, basis.seed)]
    offers = rentings(owning, economics.cloud, basis.seed)
    months = Input(MONTHS, economics.cloud.months, None, None, "months", "stated by the study", None, False)
    return [_over_term(owning, offers, months, basis.seed), _by_hour(owning, offers, months, basis.seed)]


def _own_alone(owning: Owning, seed: int) -> Decision:
    figures = (*owning.by_hour(seed), *owning.over_term(seed))
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


def _over_term(owning: Owning, offers: Sequence[Renting], months: Input, seed: int) -> Decision:
    """What renting for its term and owning for its own cost, of the cheapest offer first."""
    # which vendor is a choice and no uncertainty: the first figure is of one offer, with that offer's own range
    nearest = min(offers, key=lambda offer: offer.price.value)
    own = owning.over_term(seed)
    early = () if owning.early is None else (owning.early,)
    swings = tuple(tornado(nearest.alike, nearest.inputs))
    beside = [figure for one in offers if one is not nearest for figure in (one.rent, one.months_alike)]
    longer = (nearest.rent_while_owned,) if nearest.owned_months != nearest.months else ()
    figures = (nearest.months_alike, nearest.rent, *nearest.ended.values(), *longer, own[0])
    return Decision(
        kind=KIND,
        title=TITLE,
        where=f"{_owned(owning)}, or rented for {nearest.term}",
        answer=f"{_verdict(nearest, swings)} {_bills(nearest, own[0])}{_ended(nearest)} {_stands(offers)}.",
        figures=(*figures, nearest.saving_over_term, nearest.part_of_term, *own[1:], *beside),
        inputs=(*_inputs(owning, offers), *early, months),
        swings=swings,
        evidence=(NO_RECORD,),
        missing=(*owning.missing, *_missing(nearest), *_dates(owning, offers, nearest), RENT_ALONE),
    )


def _by_hour(owning: Owning, offers: Sequence[Renting], months: Input, seed: int) -> Decision:
    """What an hour of use costs either way."""
    own = owning.by_hour(seed)
    swings = tuple(tornado(owning.per_hour, owning.inputs))
    beside = [one for offer in offers for one in ([offer.saving] + ([] if offer.reserved else [offer.break_even]))]
    untold = [one.name for one in offers if one.reserved and one.availability is None]
    exact = [f"{one.name}{_firm(one)}" for one in offers if one.price.is_exact]
    missing = [NO_AVAILABILITY.format(listed(untold))] if untold else []
    missing += [NO_RANGE.format(listed(exact))] if exact else []
    return Decision(
        kind=KIND,
        title=f"{TITLE}, by the used hour",
        where=_owned(owning),
        answer=f"{_stands(offers)}{_depends(swings)}. {_at_planned_use(own, offers)}",
        figures=(*own, *beside),
        inputs=(*_inputs(owning, offers), months),
        swings=swings,
        evidence=(NO_RECORD,),
        missing=(*missing, SEE_FIRST),
    )


def _inputs(owning: Owning, offers: Sequence[Renting]) -> tuple[Input, ...]:
    """Those of owning and of every offer, each once."""
    return (*owning.inputs, *dict.fromkeys(one for offer in offers for one in offer.own_inputs))


def _dates(owning: Owning, offers: Sequence[Renting], nearest: Renting) -> list[str]:
    """Which inputs are of another time than the rent that the first figure is of."""
    inputs = [*_inputs(owning, offers), *([owning.early] if owning.early else [])]
    return apart(inputs, nearest.price, f"the rent of {nearest.name}")


def _missing(nearest: Renting) -> list[str]:
    """What the study does not state of the months, in words."""
    found = [NO_EARLY.format(nearest.term)] if nearest.ends_early and nearest.owning.early is None else []
    if nearest.change is None and nearest.ends_early:
        found.append(NO_CHANGE.format(f"{format_figure(nearest.owned_months)} months"))
    return found


def _owned(owning: Owning) -> str:
    return f"{owning.n:,} accelerators, owned over {format_figure(owning.own.depreciation_years)} years"


def _verdict(nearest: Renting, swings: Sequence[Swing]) -> str:
    """Which is cheaper for as long as the machine is paid off, and on what that depends, in one short sentence."""
    years = format_figure(nearest.owning.own.depreciation_years)
    return f"{VERDICTS[standing(nearest.saving_over_term)]} over {years} years{_depends(swings)}."


def _depends(swings: Sequence[Swing]) -> str:
    most = moves_most(swings)
    return f": it depends most on {listed(most)}" if most else ""


def _bills(nearest: Renting, owned: Figure) -> str:
    """The rent of its term and of owning's beside what owning costs."""
    n, years = nearest.owning.n, format_figure(nearest.owning.own.depreciation_years)
    words = (
        f"Renting {n:,} for all hours of {nearest.term} costs {with_interval(nearest.rent)} at the cheapest offer "
        f"({nearest.name})"
    )
    if nearest.owned_months != nearest.months:
        renewed = " at today's rent throughout" if nearest.change is None else " with the rent's change"
        renewed = renewed if nearest.ends_early else ""
        words += f", for {years} years {with_interval(nearest.rent_while_owned)}{renewed}"
    return f"{words}; owning costs {with_interval(owned)} over {years} years."


def _ended(nearest: Renting) -> str:
    """What owning costs where the need ends with renting; nothing where it does not end early."""
    if not nearest.ends_early:
        return ""
    found = nearest.ended
    share = found["alike"].value
    assert share is not None
    low, high = (found[word].value for word in ("all of its price", "nothing"))
    assert low is not None and high is not None
    unit = found["nothing"].unit
    bounds = f"{amount(high, unit)} sold for nothing, {amount(low, unit)} for all of it"
    if "stated" in found:
        bounds += f", {with_interval(found['stated'])} as stated"
    if share > 1:
        verdict = "renting is cheaper whatever part of its price the machine is sold for"
    elif share < 0:
        verdict = "owning is cheaper whatever part of its price the machine is sold for"
    else:
        least = with_interval(found["alike"])
        verdict = f"renting is cheaper unless the machine is sold for {least} or more of its price"
    return f" If the need ends after {nearest.term}, {verdict}: owning costs {bounds}."


def _stands(offers: Sequence[Renting]) -> str:
    """How owning stands against each offer at the planned use, in one sentence."""
    standings = {offer.name: standing(offer.saving) for offer in offers}
    of = {word: [name for name, found in standings.items() if found == word] for word in WORDS}
    said = listed([WORDS[word].format(listed(names)) for word, names in of.items() if names])
    return f"By the used hour, owning is {said}"


def _firm(offer: Renting) -> str:
    """By how much the price of an offer may be another before owning is no longer told apart from it, in words.

    Where used hours are paid at one price the saving moves with it one to one, and so do both ends of its interval.
    """
    saving = offer.saving
    end = {"own": saving.low, "cloud": saving.high}.get(standing(saving))
    if offer.reserved or offer.change is not None or end is None:
        return ""
    return f" (told apart unless it is {amount(abs(end), saving.unit)} {'lower' if end > 0 else 'higher'})"


def _at_planned_use(own: Sequence[Figure], offers: Sequence[Renting]) -> str:
    """What an owned hour costs, and from which use on it is less than at the cheapest offer by the hour."""
    per_hour, planned, reachable = own
    words = f"In use {with_interval(planned)} of all hours, an owned one costs {with_interval(per_hour)} an hour."
    by_the_hour = [offer for offer in offers if not offer.reserved]
    if not by_the_hour:
        return words
    cheapest = min(by_the_hour, key=lambda offer: offer.price.value)
    words += (
        f" Against {cheapest.name} it breaks even in use {with_interval(cheapest.break_even)} of all hours, and "
        f"{with_interval(reachable)} can be reached"
    )
    for verdict, said in NEVER.items():
        names = [offer.name for offer in by_the_hour if offer.never == verdict]
        words += f"; {said.format(listed(names))}" if names else ""
    return f"{words}."
