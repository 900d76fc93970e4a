"""Ingested records and the logs they were made from, into a study's folder. The input is never written to."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial.errors import UnreadableFile
from seatrial.ingest.mlperf.handed_over import Match
from seatrial.ingest.mlperf.records import Factor, record_of
from seatrial.ingest.mlperf.result import ResultFolder
from seatrial.ingest.mlperf.tree import Tree
from seatrial.ingest.refusals import log_digest, refuse_other_logs, refuse_other_records
from seatrial.paths import StudyPaths
from seatrial.planned import Plan
from seatrial.record import Record

CHUNK = 1 << 20


@dataclass(frozen=True)
class Filed:
    """A match and the records that were made of its logs, one each, in the folder's order."""

    match: Match
    records: tuple[Record, ...]


def file_records(
    paths: StudyPaths,
    plan: Plan,
    matches: Sequence[Match],
    source: Path,
    factor_of: Callable[[ResultFolder], Factor],
) -> list[Filed]:
    """Write plan, records and logs below `paths`; log n of a folder becomes repeat n, its bytes `<n>.mllog`.

    `source` is what was read. Filing the same logs again changes nothing. Raises ConfigError, before anything is
    written, where the study's folder holds records of other work or of other logs; UnreadableFile where a log is
    not there any more.
    """
    refuse_other_records(paths, plan)
    paths.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=paths.root, prefix=".ingest-") as aside:
        logs = _copied(source, [run.path for match in matches for run in match.folder.runs], Path(aside))
        filed = [Filed(match, _records(match, logs, factor_of(match.folder))) for match in matches]
        for one in filed:
            digests = {record.repeat: log_digest(record) for record in one.records}
            refuse_other_logs(paths, one.match.case, digests, one.match.folder.path)
        plan.write(paths)
        for one in filed:
            for run, record in zip(one.match.folder.runs, one.records, strict=True):
                path = paths.record(record.case_id, record.repeat)
                path.parent.mkdir(parents=True, exist_ok=True)
                logs[run.path].file.replace(path.with_suffix(".mllog"))
                record.write(path)
    return filed


@dataclass(frozen=True)
class _Copy:
    file: Path
    sha256: str


def _copied(source: Path, wanted: Sequence[str], aside: Path) -> dict[str, _Copy]:
    """Copies of the wanted logs with their digests, in one walk through what was read."""
    names = {path: aside / f"{number}.mllog" for number, path in enumerate(wanted)}
    copies = {}
    for found in Tree(source).files():
        if found.shown not in names:
            continue
        digest = hashlib.sha256()
        with found.opened() as stream, names[found.shown].open("wb") as copy:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
                copy.write(chunk)
        copies[found.shown] = _Copy(names[found.shown], digest.hexdigest())
    lost = [path for path in wanted if path not in copies]
    if lost:
        raise UnreadableFile(source / lost[0], "the log was there a moment ago and is not any more")
    return copies


def _records(match: Match, logs: dict[str, _Copy], factor: Factor) -> tuple[Record, ...]:
    return tuple(
        record_of(match.case, repeat, match.folder, run, logs[run.path].sha256, factor)
        for repeat, run in enumerate(match.folder.runs)
    )
