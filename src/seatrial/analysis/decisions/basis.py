"""What decisions are made from: the study as it was planned, and the tables that `analyse` has written before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from seatrial.analysis import step_time, time_to_quality
from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.analysis.measurements import read_measurements, read_repeats
from seatrial.analysis.tables import read_csv, rows_by_case, rows_of
from seatrial.case import Case
from seatrial.config.economics import Economics
from seatrial.config.study import Study
from seatrial.paths import StudyPaths

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Basis:
    """A planned study and its tables; a table is read when a decision first asks for it."""

    paths: StudyPaths
    study: Study
    cases: Mapping[str, Case]

    @property
    def economics(self) -> Economics:
        return self.study.economics

    @property
    def seed(self) -> int:
        """The seed of every decision's draws."""
        return self.study.base_seed

    @cached_property
    def measurements(self) -> pd.DataFrame:
        """tables/measurements.parquet."""
        return read_measurements(self.paths)

    @cached_property
    def repeats(self) -> list[Row]:
        """The rows of tables/repeats.csv."""
        return list(rows_of(read_repeats(self.paths)))

    @cached_property
    def repeats_of(self) -> dict[str, list[Row]]:
        """The rows of tables/repeats.csv by case, in the order of the plan."""
        return rows_by_case(self.repeats)

    @cached_property
    def time_to_quality(self) -> list[Row]:
        """The rows of tables/time_to_quality.csv."""
        return list(rows_of(read_csv(self.paths.time_to_quality, time_to_quality.COLUMNS)))

    @cached_property
    def step_time(self) -> list[Row]:
        """The rows of tables/step_time.csv; none where nothing trains here."""
        if not self.paths.step_time.exists():
            return []
        return list(rows_of(read_csv(self.paths.step_time, step_time.COLUMNS)))

    @cached_property
    def energy_notes(self) -> dict[str, str]:
        """Why there is no energy, by case, where tables/step_time.csv says so."""
        return {row["case_id"]: row["energy_note"] for row in self.step_time if row["energy_note"]}


def read_basis(paths: StudyPaths) -> Basis:
    """The study and its cases; tables are read later.

    Raises UnreadableFile where the study or a case cannot be read.
    """
    plan = read_plan(paths)
    return Basis(paths, plan.study, {case.case_id: case for case in read_cases(paths, plan)})
