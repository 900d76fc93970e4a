"""Time to revenue: what stands between runs to a quality and a product that earns; every assumption is an input."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from seatrial.config.assumption import Assumption
from seatrial.config.base import Closed, Slug
from seatrial.config.target import Price
from seatrial.errors import FieldMistake


class System(Closed):
    """How fast a system gives runs. What is not stated is measured: in this study, or where `OtherSystem` says."""

    name: str | None = Field(default=None, min_length=1)
    """None: the name of the target that was measured."""
    experiment: Slug | None = None
    """Whose time to quality and queue time count; None: every training of the study, a decision for each case."""
    runs_per_week: Assumption | None = None
    """Stated outright; then nothing below is."""
    run_hours: Assumption | None = None
    """Hours of one run to its quality, from its start; None: the measured time to quality."""
    queue_hours: Assumption | None = None
    """Hours that a run waits before it starts; None: measured, where Slurm noted when runs were submitted and
    started."""
    runs_at_once: Assumption | None = None
    """How many runs the system does side by side, each as fast as alone."""
    completed_share: Assumption | None = None
    """The share of runs that end with a result, the others being run again; None: measured where a repeat failed,
    and where none did no run is reckoned to fail."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        parts = ("run_hours", "queue_hours", "runs_at_once", "completed_share")
        if self.runs_per_week is not None:
            both = [name for name in parts if getattr(self, name) is not None]
            if both:
                raise FieldMistake(
                    "runs_per_week says it all: this would say it again",
                    field=both[0],
                    value=getattr(self, both[0]).value,
                    allowed="runs_per_week or its parts",
                )
            positive(self.runs_per_week, "runs_per_week")
            return self
        if self.runs_at_once is None:
            raise FieldMistake(
                "nothing says how many runs go side by side", field="runs_at_once", allowed="1 or more"
            )
        self.runs_at_once.within(1, None, "runs_at_once")
        if self.run_hours is not None:
            positive(self.run_hours, "run_hours")
        if self.queue_hours is not None:
            self.queue_hours.within(0, None, "queue_hours")
        if self.completed_share is not None:
            positive(self.completed_share, "completed_share")
            self.completed_share.within(0, 1, "completed_share")
        return self

    @property
    def is_stated(self) -> bool:
        """Whether nothing has to be measured for it."""
        return self.runs_per_week is not None or (self.run_hours is not None and self.queue_hours is not None)


class OtherSystem(System):
    """What the system is compared with: stated, measured by another study, or a published median."""

    results: str | None = None
    """The folder of another study's results; its case of the same experiment and axes is taken."""
    published_median: bool = False
    """The published median that stands beside the case in tables/comparison.csv."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        said = {
            "runs_per_week": self.runs_per_week is not None,
            "run_hours": self.run_hours is not None,
            "results": self.results is not None,
            "published_median": self.published_median,
        }
        named = [name for name, given in said.items() if given]
        if len(named) != 1:
            raise FieldMistake(
                "nothing says how fast it is" if not named else f"{' and '.join(named)} both say how fast it is",
                value=", ".join(named) or None,
                allowed=f"one of {', '.join(said)}",
            )
        if named[0] in ("run_hours", "published_median") and self.queue_hours is None:
            raise FieldMistake("nothing measures its queue", field="queue_hours", allowed="hours, 0 or more")
        if self.name is None and self.results is None:
            raise FieldMistake("nothing else names it", field="name", allowed="text")
        return self


class TimeToRevenue(Closed):
    """From runs per week to months earlier and what they are worth."""

    decisions: Assumption
    """Decisions that wait for runs, one after the other, until the product earns."""
    runs_per_decision: Assumption
    people_days_per_decision: Assumption | None = None
    """Days that people take between the last run of a decision and the first of the next; None: none."""
    times_longer: Assumption | None = None
    """How many times as long as the measured run a run of these decisions takes; None: as long."""
    critical_share: Assumption | None = None
    """The share of the time saved by which the product earns earlier; None: all of it."""
    revenue_per_day: Price | None = None
    """What a day of the product brings in; None: what a month is worth is not reckoned."""
    system: System
    against: OtherSystem | None = None
    claimed_months_earlier: Assumption | None = None
    """What somebody says that `system` brings over `against`; the decision says what it would take."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        self.decisions.within(1, None, "decisions")
        self.runs_per_decision.within(1, None, "runs_per_decision")
        if self.people_days_per_decision is not None:
            self.people_days_per_decision.within(0, None, "people_days_per_decision")
        if self.times_longer is not None:
            positive(self.times_longer, "times_longer")
        if self.critical_share is not None:
            self.critical_share.within(0, 1, "critical_share")
        if self.claimed_months_earlier is not None:
            positive(self.claimed_months_earlier, "claimed_months_earlier")
            if self.against is None:
                raise FieldMistake("earlier than what?", field="against", allowed="a system to compare with")
        if self.system.is_stated and self.system.name is None and self.system.experiment is None:
            raise FieldMistake("nothing is measured of it that would name it", field="system.name", allowed="text")
        return self

    @property
    def needs_measurements(self) -> bool:
        """Whether a training has to be measured for it."""
        return not self.system.is_stated or (self.against is not None and self.against.published_median)


def positive(assumption: Assumption, field: str) -> None:
    """Raise FieldMistake where the figure or its range reaches 0 or below."""
    least = min(assumption.value, assumption.value if assumption.low is None else assumption.low)
    if least <= 0:
        raise FieldMistake("outside what it can be", field=field, value=least, allowed="a value > 0")
