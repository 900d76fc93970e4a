"""The cost of a run to quality as a sum of products of inputs, and what is not in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from seatrial.analysis.decisions.basis import Basis
from seatrial.analysis.decisions.decision import MEASURED, Input, assumed, priced
from seatrial.analysis.decisions.held import (
    Held,
    bootstrap_ratio,
    failures_unseen,
    held,
    hours_per_completed,
)
from seatrial.analysis.decisions.propagation import Draws
from seatrial.case import Case
from seatrial.config.economics import Economics, RunCosts
from seatrial.config.target import Price

HOURS, PRICE = "hours held per run to quality", "price of an hour"
KEPT, MONTHS, STORAGE = "data kept", "months kept", "price of storage"
OUT, EGRESS = "data carried out", "price of egress"
Values = Mapping[str, Draws]


@dataclass(frozen=True)
class Rate:
    """The price of an hour of one thing, and how many of it a run holds."""

    price: Price
    per: str
    count: int


def rate_of(economics: Economics, case: Case) -> Rate | None:
    """Of an accelerator-hour where there are accelerators and a price, else of a node-hour; None without either."""
    target = case.target
    of_accelerator = economics.accelerator_hour or target.prices.accelerator_hour
    if of_accelerator is not None and target.accelerators:
        return Rate(of_accelerator, "accelerator-hour", target.accelerators)
    of_node = target.prices.node_hour
    return None if of_node is None else Rate(of_node, "node-hour", target.nodes)


@dataclass
class RunCost:
    """Inputs of a run's cost by what they are multiplied to, and in words what it rests on and what is missing."""

    rate: Rate | None
    repeats: list[Held]
    hours: Input | None = None
    beside: list[tuple[Input, ...]] = field(default_factory=list)
    """What costs money beside the hours: each a product."""
    resampled: dict[str, Draws] = field(default_factory=dict)
    evidence: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def is_known(self) -> bool:
        return self.hours is not None and self.rate is not None

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Of the whole cost: hours and price first."""
        first = [] if self.hours is None else [self.hours]
        first += [] if self.rate is None else [priced(PRICE, self.rate.price, self.rate.per)]
        return (*first, *(one for product in self.beside for one in product))

    def held(self, x: Values) -> Draws:
        """What the hours cost. What is free stays free, however long it is held."""
        assert self.rate is not None
        free = x[PRICE] == 0
        return np.where(free, 0.0, self.rate.count * np.where(free, 1.0, x[PRICE]) * x[HOURS])

    def besides(self, x: Values) -> Draws:
        """What storage and egress cost."""
        return np.asarray(sum(np.prod([x[one.name] for one in product], axis=0) for product in self.beside))

    def whole(self, x: Values) -> Draws:
        """The cost of a run to its quality."""
        return np.asarray(self.held(x) + self.besides(x))


def run_cost(basis: Basis, case: Case) -> RunCost:
    """What is known of the cost of one case's runs."""
    found = RunCost(rate_of(basis.economics, case), held(basis, case))
    _hours(found, case, basis.seed)
    if found.rate is None:
        found.missing.append(
            "price of an hour: neither economics.accelerator_hour nor the target's prices state it"
        )
    _beside(found, basis.economics.run)
    if basis.study.references.survey is not None:
        found.evidence.append("what published results cost: tables/survey_costs.csv")
    return found


def _hours(found: RunCost, case: Case, seed: int) -> None:
    """The hours of a run to quality, failed ones in it, or in words why they are not known."""
    value = hours_per_completed(found.repeats)
    if not value:
        found.missing.append(f"hours of a run: {_why_no_hours(found.repeats, case)}, so there is no cost")
        return
    hours = [one.hours or 0.0 for one in found.repeats]
    draws = bootstrap_ratio(hours, [float(one.completed) for one in found.repeats], seed)
    low = high = None
    if draws is None:
        found.missing.append("spread of the hours: one repeat says nothing of the next")
    else:
        found.resampled[HOURS] = draws
        ends = np.quantile(draws, [0.025, 0.975], method="inverted_cdf")
        if np.isfinite(ends).all():
            low, high = min(float(ends[0]), value), max(float(ends[1]), value)
        else:
            found.missing.append("upper end of the hours: with so few repeats that completed there is none")
    n = len(found.repeats)
    how = f"bootstrap over {n} repeats, widened to Student's t" if draws is not None else "one repeat"
    source = f"{MEASURED}: {_where_from(found.repeats, case)}; {how}"
    found.hours = Input(HOURS, value, low, high, "h", source, None, True, n)
    found.evidence.append(_reached(found.repeats, case))


def _where_from(repeats: list[Held], case: Case) -> str:
    """Where the hours were read."""
    notes, table = f"logs/measure/{case.case_id}/*.attempts.json, of every attempt", "tables/repeats.csv"
    read = [words for words, noted in ((notes, True), (table, False)) if any(r.noted == noted for r in repeats)]
    return f"{' and '.join(read)}, case {case.case_id}"


def _why_no_hours(repeats: list[Held], case: Case) -> str:
    if not any(one.completed for one in repeats):
        return f"none of {case.repeats} repeats reached its quality"
    unknown = [one.repeat for one in repeats if one.hours is None]
    return f"how long repeat {unknown[0]} held its nodes is not known" if unknown else "its repeats took no time"


def _reached(repeats: list[Held], case: Case) -> str:
    n, done = len(repeats), sum(one.completed for one in repeats)
    words = f"{done} of {n} repeats that were started reached the quality"
    if done == n:
        words += f"; so few leave it open that up to {100 * failures_unseen(n):.2g} % of runs fail (95 %)"
    return f"tables/repeats.csv and tables/time_to_quality.csv, case {case.case_id}: {words}"


def _beside(found: RunCost, run: RunCosts | None) -> None:
    if run is None:
        found.missing.append("economics.run: storage and egress are not in the cost")
        return
    if run.kept_gb and run.kept_months and run.storage_gb_month:
        kept, months = assumed(KEPT, run.kept_gb, "GB"), assumed(MONTHS, run.kept_months, "months")
        found.beside.append((kept, months, priced(STORAGE, run.storage_gb_month, "GB and month")))
    else:
        found.missing.append("storage: kept_gb, kept_months and storage_gb_month of economics.run belong together")
    if run.egress_gb and run.egress_price_gb:
        carried = assumed(OUT, run.egress_gb, "GB")
        found.beside.append((carried, priced(EGRESS, run.egress_price_gb, "GB")))
    else:
        found.missing.append("egress: egress_gb and egress_price_gb of economics.run belong together")
