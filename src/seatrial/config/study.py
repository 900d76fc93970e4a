"""A study: target, experiments, references, criteria, economics."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from seatrial.config.base import Closed, PositiveInt, Slug, Threshold
from seatrial.config.criterion import Criterion, Noise
from seatrial.config.differences import Differences, HostList
from seatrial.config.economics import Economics
from seatrial.config.findings import FindingRules
from seatrial.config.noise_bands import NoiseBands
from seatrial.config.survey import Survey
from seatrial.config.target import Price, Target
from seatrial.config.workload import AnyWorkload
from seatrial.errors import FieldMistake


class Sweep(Closed):
    """Named axes: dotted keys below `workload` or `target`, each a list or a sweep in Hydra's grammar."""

    axes: dict[str, Any] = {}
    zip: list[Annotated[list[str], Field(min_length=2)]] = []
    """Groups of axes that advance together; all other axes form a product."""
    exclude: list[Annotated[dict[str, Any], Field(min_length=1)]] = []
    """Points to leave out: every named axis equal to the value (or in the list) given."""


class Experiment(Closed):
    """A workload, its sweep and how often every case is repeated."""

    workload: AnyWorkload
    sweep: Sweep = Sweep()
    repeats: PositiveInt = 1


class PublishedSubject(Closed):
    """A published system that the study compares with the median of the other submitters."""

    round: str = Field(pattern=r"^v\d+\.\d+$")
    submitter: str = Field(min_length=1)
    system: str = Field(min_length=1)
    benchmarks: list[str] | None = None
    """None: all benchmarks that the system was submitted to."""


class References(Closed):
    """What measurements are held against."""

    round: str = Field(default="v5.1", pattern=r"^v\d+\.\d+$")
    slower_than_median: Threshold = Threshold(
        value=1.3, source="30 % slower than the median: the usual point at which to look for a cause"
    )
    subjects: list[PublishedSubject] = []
    tables: list[str] = []
    """More result files beside the shipped one, as `seatrial reference import` writes them."""
    survey: Survey | None = None
    """What the published results say by themselves; needs no experiment."""


class Study(Closed):
    """The user's unit of work, fully composed."""

    name: Slug
    title: str
    description: str = ""
    target: Target
    experiments: dict[Slug, Experiment] = {}
    references: References = References()
    criteria: list[Criterion] = []
    noise: Noise = Noise()
    economics: Economics = Economics()
    findings: FindingRules = FindingRules()
    """The rules of thumb by which a cause is named."""
    differences: Differences = Differences()
    noise_bands: NoiseBands = NoiseBands()
    fleet: list[HostList] = []
    """All nodes under test, where they are known: one that no repeat ran on is `not tested`, never fine."""
    base_seed: PositiveInt = 1
    """Repeat r of every case uses seed base_seed + r."""
    max_parallel: PositiveInt | None = None
    """At most so many repeats measure at a time; None: as many as Snakemake's `jobs` allows."""
    max_accelerator_hours: Annotated[float, Field(ge=0)] | None = None
    max_node_hours: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _something_to_do(self) -> Study:
        published = self.references.subjects or self.references.survey is not None
        if not self.experiments and not published and not self.economics.decides_without_experiments:
            raise ValueError(
                "a study needs at least one experiment, one published subject (references.subjects), "
                "a survey of the published results (references.survey) or a decision that needs neither "
                "(economics.own, procurement, time_to_revenue or finish_date)"
            )
        names = [c.name for c in self.criteria]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"criteria must have different names; twice: {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _size_of_what_is_owned(self) -> Study:
        if self.economics.own is not None and not (self.economics.accelerators or self.target.accelerators):
            raise FieldMistake(
                f"how many accelerators are owned is not stated, and target {self.target.name} has none",
                field="economics.accelerators",
                allowed="a value >= 1, or a target with accelerators",
            )
        return self

    @model_validator(mode="after")
    def _one_currency(self) -> Study:
        """What a run costs beside its hours is added to them."""
        beside, prices = self.economics.currencies_beside_hours, self.target.prices
        for name, price in (("accelerator_hour", self.accelerator_hour), ("node_hour", prices.node_hour)):
            if price is not None and beside and price.currency not in beside:
                raise FieldMistake(
                    f"the price of the {name.replace('_', '-')} is in {price.currency}, economics in "
                    f"{' and '.join(sorted(beside))}; no rate of exchange is known",
                    field="economics",
                    value=price.currency,
                    allowed=sorted(beside),
                )
        return self

    @property
    def accelerator_hour(self) -> Price | None:
        """The price that the study reckons with: its own, else the target's."""
        return self.economics.accelerator_hour or self.target.prices.accelerator_hour
