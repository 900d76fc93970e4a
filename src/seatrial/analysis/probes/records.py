"""The records of probes, without what was not measured."""

from __future__ import annotations

import math
from collections.abc import Collection

from seatrial.analysis.collect import read_record
from seatrial.case import Case
from seatrial.paths import StudyPaths
from seatrial.record import Record


def completed(paths: StudyPaths, case: Case, metrics: Collection[str] | None = None) -> list[Record]:
    """The records of a case's completed repeats, in order of repeat; with the measurements of `metrics` alone,
    where these are named.

    A measurement with a sample that is not finite is left out: it has no median and no interval.
    """
    found = [read_record(paths, case, number, metrics) for number in range(case.repeats)]
    return [_finite(record) for record in found if record is not None and record.outcome == "completed"]


def _finite(record: Record) -> Record:
    kept = [m for m in record.measurements if all(map(math.isfinite, m.samples))]
    return record if len(kept) == len(record.measurements) else record.model_copy(update={"measurements": kept})
