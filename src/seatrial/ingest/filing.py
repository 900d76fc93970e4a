"""Records of results that were handed over, and the results themselves, into a study's folder."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial.config.ingested import HandedOver
from seatrial.ingest.refusals import log_digest, refuse_other_logs, refuse_other_records
from seatrial.paths import StudyPaths, written_aside
from seatrial.planned import Plan
from seatrial.record import Record


@dataclass(frozen=True)
class Filed:
    """A record and the file that it was made from."""

    record: Record
    source: Path


def write_filed(paths: StudyPaths, plan: Plan, filed: Sequence[Filed], named: str) -> None:
    """Write plan, records and, beside each record, a copy of its file. Filing the same again changes nothing.

    `named` is what was handed over. Raises ConfigError, before anything is written, where the study's folder holds
    records of other work or of other files.
    """
    refuse_other_records(paths, plan)
    digests: dict[str, dict[int, str | None]] = defaultdict(dict)
    for one in filed:
        digests[one.record.case_id][one.record.repeat] = log_digest(one.record)
    for case in plan.cases:
        if case.case_id in digests:
            refuse_other_logs(paths, case, digests[case.case_id], named)
    plan.write(paths)
    for one in filed:
        path = paths.record(one.record.case_id, one.record.repeat)
        with written_aside(path.with_suffix(HandedOver.kept_as)) as aside:
            shutil.copyfile(one.source, aside)
        one.record.write(path)
