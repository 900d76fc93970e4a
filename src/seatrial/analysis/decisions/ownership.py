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


def months_of_rent(own_whole_term: Amount, cloud_hour: Amount) -> Found:
    """How many months of renting, with all hours paid, cost what owning costs over its whole term."""
    return np.asarray(np.asarray(own_whole_term) / (HOURS_PER_MONTH * np.asarray(cloud_hour)))
