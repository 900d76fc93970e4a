"""Acceptance criteria, and what is expected of their noise before anything runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from seatrial.config.base import Closed, PositiveInt, Slug, Threshold
from seatrial.config.metrics import METRICS
from seatrial.errors import FieldMistake

RATIO = "comparison.ratio"
"""The ratio to the published median, as tables/comparison.csv has it."""
COMPARED = ("train.mlperf_minutes", "mlperf.scaled_time_to_train")
"""Times that tables/comparison.csv holds against a published median: of trainings that ran here, of logs."""


class Criterion(Closed):
    """An acceptance criterion: one metric, where it is measured, and what it must be."""

    name: Slug
    metric: str
    where: dict[str, Any] = {}
    """Equalities that select rows: experiment, workload, case_id, an axis name, a label, benchmark, submitter."""
    at_least: float | None = None
    at_most: float | None = None
    unit_of: Literal["value", "ceiling", "reference"] = "value"
    """`value`: the bound is in the metric's unit; `ceiling`: it is a fraction of the measurement's ceiling;
    `reference`: it is a multiple of the agreed `reference`, or else of the published median."""
    reference: Threshold | None = None
    """An agreed value in the metric's unit, with its source; only with `unit_of: reference`."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    minimum_repeats: PositiveInt = 1
    """One repeat is judged only where its samples are enough to show how much they depend on each other."""
    noise: Threshold | None = None
    """The expected run-to-run coefficient of variation with its source; None: what the study or the published
    results say of it."""
    source: str | None = None

    @field_validator("metric")
    @classmethod
    def _known(cls, name: str) -> str:
        allowed = [*METRICS, RATIO]
        if name not in allowed:
            raise FieldMistake("no such metric", value=name, allowed=allowed)
        return name

    @model_validator(mode="after")
    def _one_bound(self) -> Criterion:
        if (self.at_least is None) == (self.at_most is None):
            both = self.at_least is not None
            raise FieldMistake(
                "a criterion has one bound, this has two" if both else "a criterion has one bound, this has none",
                field="at_most" if both else "at_least",
                value=self.at_most,
                allowed="exactly one of at_least: NUMBER and at_most: NUMBER",
            )
        if self.reference is not None and (self.unit_of != "reference" or self.metric == RATIO):
            raise FieldMistake(
                f"an agreed reference means nothing to a criterion of {self.metric} with unit_of {self.unit_of}",
                field="reference",
                value=f"{{value: {self.reference.value:g}}}",
                allowed=f"no reference, or unit_of: reference with another metric than {RATIO}",
            )
        if self.unit_of == "reference" and self.reference is None and self.metric not in (*COMPARED, RATIO):
            raise FieldMistake(
                f"nothing is published of {self.metric}, to be a multiple of",
                field="unit_of",
                value=self.unit_of,
                allowed="value, ceiling, or reference with an agreed reference: {value, source}; or the metric "
                f"{' or '.join(COMPARED)}, which are held against the published median",
            )
        return self

    @property
    def required(self) -> float:
        """The bound."""
        bound = self.at_least if self.at_least is not None else self.at_most
        assert bound is not None
        return bound

    @property
    def is_of_published(self) -> bool:
        """Whether the criterion rests on a row of tables/comparison.csv."""
        return self.metric == RATIO or (self.unit_of == "reference" and self.reference is None)


class Noise(Closed):
    """What `seatrial plan` reckons with: how much equal runs differ, and what shall be told apart."""

    metrics: dict[str, Threshold] = {}
    """The expected run-to-run coefficient of variation by metric, with its source."""
    earlier: str | None = None
    """The folder of an earlier study of one's own, whose repeats tell the noise of the metrics that it has."""
    difference: Threshold = Threshold(
        value=0.05, source="Hoefler and Belli (SC'15) measure until the interval is within 5 % of the median"
    )
    """How far beyond a bound, as a fraction of it, a criterion shall settle."""
    power: Annotated[float, Field(gt=0.5, lt=1)] = 0.8
    """In what share of studies it shall settle (0.8 is Cohen's convention, 1988)."""

    @field_validator("metrics")
    @classmethod
    def _known(cls, found: dict[str, Threshold]) -> dict[str, Threshold]:
        for name in found:
            if name not in METRICS and name != RATIO:
                raise FieldMistake("no such metric", value=name, allowed=[*METRICS, RATIO])
        return found
