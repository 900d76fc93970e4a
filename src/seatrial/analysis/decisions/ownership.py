"""What owning accelerators costs per year, and when renting costs as much. Plain formulas, element by element.

Per accelerator with its share of node, network and storage, so that a machine of n of them costs n times as much.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

HOURS_PER_YEAR = 8760.0
MONTHS_PER_YEAR = 12.0
HOURS_PER_MONTH = HOURS_PER_YEAR / MONTHS_PER_YEAR

Amount = npt.NDArray[np.float64] | float
Found = npt.NDArray[np.float64]


def annuity(rate: Amount, periods: Amount) -> Found:
    """The equal payment per period that pays 1 back with interest: rate / (1 - (1 + rate)^-periods).

    The capital recovery factor A/P of engineering economics; 1 / periods where the rate is 0.
    """
    rate, periods = np.asarray(rate, dtype=float), np.asarray(periods, dtype=float)
    charged = np.where(rate > 0, rate, 1.0)
    return np.where(rate > 0, -charged / np.expm1(-periods * np.log1p(charged)), 1 / periods)


def capital_per_year(purchase: Amount, residual: Amount, interest: Amount, years: Amount) -> Found:
    """What a purchase P costs per year of its term, paid monthly: (P - S) (A/P, i, n) + S i, where S is its resale.

    `residual` and `interest` (per year) are shares. The part that is sold at the end bears interest until then.
    """
    monthly = np.asarray(interest, dtype=float) / MONTHS_PER_YEAR
    periods = MONTHS_PER_YEAR * np.asarray(years, dtype=float)
    share = (1 - np.asarray(residual)) * annuity(monthly, periods) + residual * monthly
    return np.asarray(MONTHS_PER_YEAR * np.asarray(purchase) * share)


def power_per_year(power_kw: Amount, pue: Amount, price_kwh: Amount) -> Found:
    """Energy of one accelerator in a year at the meter: kW x PUE x price of a kWh x 8760."""
    return np.asarray(np.asarray(power_kw) * pue * price_kwh * HOURS_PER_YEAR)


def per_used_hour(per_year: Amount, availability: Amount, utilisation: Amount) -> Found:
    """A year's cost of one accelerator over the hours in which it is used."""
    return np.asarray(np.asarray(per_year) / (HOURS_PER_YEAR * np.asarray(availability) * utilisation))


def break_even_utilisation(own_per_year: Amount, cloud_hour: Amount) -> Found:
    """u*: the share of all hours from which owning costs less than renting by the hour.

    Own cost of one accelerator per year over the price of renting it for all of the year. Above the
    availability, which no use can exceed: owning never costs less.
    """
    return np.asarray(np.asarray(own_per_year) / (np.asarray(cloud_hour) * HOURS_PER_YEAR))


def rented_for(months: Amount, cloud_hour: Amount) -> Found:
    """What renting one accelerator for all hours of `months` costs."""
    return np.asarray(HOURS_PER_MONTH * np.asarray(months) * cloud_hour)


def rent_with_renewals(months: Amount, cloud_hour: Amount, change: Amount, term: float) -> Found:
    """What renting one accelerator for all hours of `months` costs, the rent being agreed anew every `term` months.

    `change` per year is a share: the k-th renewal pays (1 + change)^(k term / 12) of today's rent. A geometric sum.
    """
    growth = _growth(change, term)
    whole = np.floor(np.asarray(months, dtype=float) / term)
    rest = np.asarray(months) / term - whole
    return np.asarray(rented_for(term, cloud_hour) * (_terms_paid(growth, whole) + rest * growth**whole))


def months_of_rent(own_whole_term: Amount, cloud_hour: Amount, change: Amount = 0.0, term: float = 12.0) -> Found:
    """How many months of renting, with all hours paid, cost what owning costs over its whole term.

    `change` and `term` as in `rent_with_renewals`, of which this is the inverse. Infinite where a rent that falls
    never adds up to that.
    """
    terms = np.asarray(own_whole_term, dtype=float) / rented_for(term, cloud_hour)
    growth = _growth(change, term)
    terms, growth = np.broadcast_arrays(terms, growth)
    steady = growth == 1
    left = 1 + terms * (growth - 1)
    never = left <= 0
    counted = steady | never
    ratio = np.where(counted, 2.0, growth)
    whole = np.floor(np.log(np.where(counted, 1.0, left)) / np.log(ratio))
    rest = (terms - _terms_paid(ratio, whole)) / ratio**whole
    return np.asarray(term * np.where(never, np.inf, np.where(steady, terms, whole + rest)))


def sale_that_costs_the_rent(for_nothing: Amount, for_all: Amount, rent: Amount) -> Found:
    """The share of the purchase that the machine must be sold for so that owning costs as much as `rent`.

    Owning's cost falls in a straight line from `for_nothing` (share 0) to `for_all` (share 1). Above 1: owning
    costs more even where all of the price comes back; below 0: less even where nothing does.
    """
    nothing = np.asarray(for_nothing, dtype=float)
    return np.asarray((nothing - rent) / (nothing - for_all))


def _growth(change: Amount, term: float) -> Found:
    """What the rent of the next term is of that of the one before."""
    return np.asarray((1 + np.asarray(change, dtype=float)) ** (term / MONTHS_PER_YEAR))


def _terms_paid(growth: Found, whole: Found) -> Found:
    """1 + growth + growth^2 ...: what `whole` terms cost, in rents of the first."""
    steady = growth == 1
    ratio = np.where(steady, 2.0, growth)
    return np.where(steady, whole, (ratio**whole - 1) / (ratio - 1))
