"""The medians of what completed repeats measured: of a million measurements no objects are made."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from seatrial.analysis.collect import read_columns, read_record
from seatrial.analysis.columns import NONE, Columns, Ints
from seatrial.case import Case
from seatrial.paths import StudyPaths
from seatrial.record import Measurement, Record


class Middle(NamedTuple):
    """The median of one measurement; `code`: within the same columns equal codes are equal labels."""

    metric: str
    code: int
    labels: Mapping[str, Any]
    median: float
    ceiling: float | None
    ceiling_basis: str | None


class Rows(NamedTuple):
    """Some measurements of a completed repeat, as rows of columns; `record` is without any."""

    record: Record
    columns: Columns
    rows: Ints

    @property
    def hosts(self) -> tuple[str, ...]:
        """The host of every rank; empty where the record does not say."""
        hosts = self.record.provenance.get("hosts")
        return tuple(map(str, hosts)) if isinstance(hosts, list) else ()

    def only(self, metrics: Collection[str]) -> Ints:
        """Those of the rows that are of these metrics."""
        kept = [self.columns.texts[code] in metrics for code in self.columns.metric[self.rows].tolist()]
        return self.rows[np.array(kept, dtype=bool)]

    def of(self, metrics: Collection[str]) -> list[Measurement]:
        """The measurements of these metrics, as they were read."""
        return self.columns.measurements(self.only(metrics))

    def medians(self) -> list[Middle]:
        """The median of each, with what it is of."""
        of, rows = self.columns, self.rows
        found = zip(
            of.metric[rows].tolist(),
            of.labels[rows].tolist(),
            of.medians(rows).tolist(),
            of.ceiling[rows].tolist(),
            of.basis[rows].tolist(),
            strict=True,
        )
        return [
            Middle(
                of.texts[metric],
                labels,
                of.labels_of(labels),
                middle,
                None if basis == NONE else ceiling,
                None if basis == NONE else of.texts[basis],
            )
            for metric, labels, middle, ceiling, basis in found
        ]


def completed_rows(paths: StudyPaths, case: Case, metrics: Collection[str]) -> list[Rows]:
    """What a case's completed repeats measured of `metrics`, in order of repeat.

    A measurement with a sample that is not finite is left out: it has no median and no interval.
    """
    found: list[Rows] = []
    for number in range(case.repeats):
        record = read_record(paths, case, number, ())
        if record is not None and record.outcome == "completed":
            columns, place = read_columns(paths, case, number)
            found.append(Rows(record, columns, columns.finite(columns.rows_of(place, metrics))))
    return found
