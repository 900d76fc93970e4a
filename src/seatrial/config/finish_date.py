"""The finish date of a run of weeks: how much work it is, when it starts, and how often something breaks."""

from __future__ import annotations

import datetime as dt
from typing import Self

from pydantic import Field, model_validator

from seatrial.config.assumption import Assumption
from seatrial.config.base import Closed, PositiveInt, Slug
from seatrial.config.time_to_revenue import positive
from seatrial.errors import FieldMistake


class FinishDate(Closed):
    """A planned run. What is not stated is measured in this study, or a fact of the target; else it is missing."""

    name: str = Field(min_length=1)
    """What the run is."""
    starts: dt.date
    must_finish: dt.date | None = None
    """The date of which the decision says how likely it is made."""
    experiment: Slug | None = None
    """The training whose steps were measured; None: every one of the study, a decision for each case."""
    steps: Assumption | None = None
    tokens: Assumption | None = None
    """In place of `steps`: over the measured tokens per second."""
    step_seconds: Assumption | None = None
    """Of an ordinary step, without hiccups; None: the mean of the measured ones. With `experiment` the noise is the
    measured one all the same."""
    run_spread: Assumption | None = None
    """Coefficient of variation of the step time from run to run, common to all steps of one; None: of the measured
    repeats."""
    times_longer: Assumption | None = None
    """How many times as long as a measured step a step of this run takes; None: as long."""
    accelerators: PositiveInt | None = None
    """Of the run, any of which stops it; None: those of the target."""
    accelerator_hours_between_failures: Assumption | None = None
    """None: as the target states them (`reliability`)."""
    checkpoint_seconds: Assumption | None = None
    """How long the run stands still for a checkpoint; None: measured."""
    checkpoint_spread: Assumption | None = None
    """Coefficient of variation of that from run to run, common to all checkpoints of one: storage that others use
    too. None: of the measured repeats; with `checkpoint_seconds` its range says all that is known."""
    checkpoint_interval_minutes: Assumption | None = None
    """Minutes of work between checkpoints; None: the interval that loses least (Daly 2006)."""
    restart_minutes: Assumption
    """From a failure until the run goes on from its last checkpoint."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if (self.steps is None) == (self.tokens is None):
            raise FieldMistake("how much work it is", field="steps", allowed="either steps or tokens")
        if self.tokens is not None and self.step_seconds is not None:
            raise FieldMistake(
                "tokens are over the measured tokens per second: nothing is left for it to say",
                field="step_seconds",
                value=self.step_seconds.value,
                allowed="null with tokens; a number with steps",
            )
        for field in (
            "steps",
            "tokens",
            "step_seconds",
            "times_longer",
            "accelerator_hours_between_failures",
            "checkpoint_seconds",
            "checkpoint_interval_minutes",
        ):
            stated = getattr(self, field)
            if stated is not None:
                positive(stated, field)
        if self.run_spread is not None:
            self.run_spread.within(0, 1, "run_spread")
        if self.checkpoint_spread is not None:
            self.checkpoint_spread.within(0, 1, "checkpoint_spread")
        self.restart_minutes.within(0, None, "restart_minutes")
        if self.must_finish is not None and self.must_finish <= self.starts:
            raise FieldMistake(
                "before it starts", field="must_finish", value=str(self.must_finish), allowed=f"after {self.starts}"
            )
        return self

    @property
    def needs_measurements(self) -> bool:
        """Whether a training has to be measured for it."""
        return self.step_seconds is None or self.run_spread is None
