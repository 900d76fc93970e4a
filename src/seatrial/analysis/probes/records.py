"""The records of probes, without what was not measured."""

from __future__ import annotations

import math

from seatrial.analysis.collect import read_repeat
from seatrial.case import Case
from seatrial.paths import StudyPaths
from seatrial.record import Record


def completed(paths: StudyPaths, case: Case) -> list[Record]:
    """The records of a case's completed repeats, in order of repeat.

    A measurement with a sample that is not finite is left out: it has no median and no interval.
    """
    found = [read_repeat(paths, case, number).record for number in range(case.repeats)]
    return [_finite(record) for record in found if record is not None and record.outcome == "completed"]


def _finite(record: Record) -> Record:
    kept = [m for m in record.measurements if all(map(math.isfinite, m.samples))]
    return record if len(kept) == len(record.measurements) else record.model_copy(update={"measurements": kept})
