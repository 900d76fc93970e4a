"""Reads what fio writes with --output-format=json or json+, of versions 2 and 3, alone or among its text.

Figures are computed from bytes and milliseconds: of version 2 `io_bytes` counts KiB (stat.c: `io_bytes >> 10`), and
there is no `bw_bytes`. Jobs of one group ran at the same time, those of different groups one after the other.
Source: https://github.com/axboe/fio, stat.c and client.c.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seatrial.ingest.files import HandedFile, Remark
from seatrial.ingest.storage.past_cache import Passage, counted_bytes, is_direct, passage
from seatrial.ingest.storage.result import Direction, Label, Reading, StorageResult
from seatrial.record import Error
from seatrial.units import GB

VERSION = '"fio version"'
SUM_OF_CLIENTS = "All clients"
BEGIN = re.compile(r"^\{", re.MULTILINE)
"""fio puts the brace of its document into the first column, those inside further in."""
MOST_ATTEMPTS = 100
"""Braces from which no document could be read, before the rest is taken for something else."""
BARE = re.compile(r"(:\s*)-?(?:nan|inf)\b")
DIRECTIONS: tuple[Direction, ...] = ("write", "read")
KIB = 1024
PROVEN = ("page_cache", "stated", "storage")
"""How far bytes went, the least proven first."""
LABELLED = {"rw": "pattern", "bs": "block_size", "ioengine": "ioengine", "iodepth": "iodepth"}
"""Options of a job that stand in a reading's labels, and as what."""
TOLERANCE = 0.001
"""fio rounds its bandwidths down to whole bytes or KiB per second."""


@dataclass(frozen=True)
class Job:
    """What one entry of fio's result says of one direction."""

    name: str
    group: int
    host: str | None
    bytes: int
    milliseconds: int
    started: int | None
    stated: float | None
    """Bytes per second as fio states them."""
    options: Mapping[str, str]


def read_fio(content: bytes, file: HandedFile, sha256: str) -> tuple[StorageResult | None, list[Remark]]:
    """The result in a file's bytes (None: it is none of fio's) and what was not read. Any bytes can be read."""
    text = content.decode("utf-8", errors="replace")
    if VERSION not in text:
        return None, [Remark(file.shown, 'no JSON of fio (no "fio version")')]
    documents = list(_documents(text))
    if not documents:
        error = Error(kind="crashed", message="the JSON ends before the document does, or is damaged")
        return StorageResult(file.shown, file.path, sha256, outcome="failed", error=error), []
    remarks = []
    if len(documents) > 1:
        remarks.append(
            Remark(file.shown, f"{len(documents)} documents; the last counts, the others are intermediate states")
        )
    result, more = _result(documents[-1], file, sha256)
    return result, [*remarks, *more]


def _documents(text: str) -> Iterator[dict[str, Any]]:
    """The JSON documents of fio among other text, in order."""
    text = BARE.sub(r"\1null", text).lstrip()
    decoder = json.JSONDecoder()
    at = failed = 0
    while failed < MOST_ATTEMPTS and (begin := BEGIN.search(text, at)) is not None:
        try:
            document, at = decoder.raw_decode(text, begin.start())
        except (ValueError, RecursionError):
            at, failed = begin.end(), failed + 1
            continue
        if isinstance(document, dict) and "fio version" in document:
            yield document


def _result(document: Mapping[str, Any], file: HandedFile, sha256: str) -> tuple[StorageResult, list[Remark]]:
    shared = _options(document.get("global options"))
    entries = [
        entry
        for name in ("jobs", "client_stats")
        for entry in _list(document.get(name))
        if isinstance(entry, dict) and entry.get("jobname") != SUM_OF_CLIENTS
    ]
    hosts = tuple(dict.fromkeys(host for e in entries if (host := _text(e.get("hostname")))))
    errors = [words for entry in entries if (words := _problem(entry)) is not None]
    disks = [_scalars(disk) for disk in _list(document.get("disk_util"))]
    readings, remarks, contradictions = _readings(entries, shared, disks, file.shown)
    error = None
    if errors or contradictions:
        kind = "crashed" if errors else "wrong_result"
        error = Error(kind=kind, message="; ".join([*errors, *contradictions][:3]))
    elif not readings:
        error = Error(kind="unsupported", message="no job moved data to or from storage")
    version = _text(document.get("fio version"))
    result = StorageResult(
        file.shown,
        file.path,
        sha256,
        readings=tuple(readings),
        outcome="completed" if error is None else "unsupported" if error.kind == "unsupported" else "failed",
        error=error,
        hosts=hosts,
        host_count=len(hosts) or None,
        jobs=tuple(dict.fromkeys(_text(entry.get("jobname")) for entry in entries)),
        facts={
            "global_options": shared,
            "options_of_groups": "with group_reporting fio states those of a group's last job (axboe/fio#2132)",
            "jobs": [
                {"name": _text(entry.get("jobname")), "options": _options(entry.get("job options"))}
                for entry in entries
            ],
            "disk_util": disks,
        },
        versions={"fio": version.removeprefix("fio-")},
    )
    return result, remarks


def _readings(
    entries: Sequence[Mapping[str, Any]], shared: Mapping[str, str], disks: Sequence[Any], shown: str
) -> tuple[list[Reading], list[Remark], list[str]]:
    """Figures by group and direction; what yields none; what contradicts itself."""
    readings: list[Reading] = []
    remarks: list[Remark] = []
    contradictions: list[str] = []
    for entry in entries:
        if _moved(entry.get("mixed")):
            words = "reads and writes are reported as one (unified_rw_reporting): no number for either"
            remarks.append(Remark(shown, f"job {_text(entry.get('jobname'))}: {words}"))
    for direction in DIRECTIONS:
        groups: dict[int, list[Job]] = defaultdict(list)
        for entry in entries:
            job = _job(entry, direction, shared)
            if job is not None:
                groups[job.group].append(job)
        counted = counted_bytes(disks, direction) if len(groups) == 1 else None
        for group, jobs in sorted(groups.items()):
            contradictions += [why for job in jobs if (why := _contradiction(job, direction)) is not None]
            reading = _reading(direction, group, jobs, counted)
            if reading is None:
                names = ", ".join(dict.fromkeys(job.name for job in jobs))
                remarks.append(Remark(shown, f"{direction} of {names} moved no data of files: no number"))
            else:
                readings.append(reading)
    return readings, remarks, contradictions


def _reading(direction: Direction, group: int, jobs: Sequence[Job], counted: float | None) -> Reading | None:
    """All bytes of a group over the time from its first start to its last end; None where no data moved."""
    seconds = _elapsed(jobs)
    moved = sum(job.bytes for job in jobs)
    found = [passage(job.options, direction, moved, seconds, counted) for job in jobs]
    if any(one.reached == "nothing" for one in found):
        return None
    weakest = min(found, key=lambda one: PROVEN.index(one.reached))
    labels = _labels(direction, group, jobs, weakest)
    if weakest.reached == "page_cache":
        return Reading("storage.page_cache_bandwidth", (moved / seconds / GB,), labels)
    stated = "stated_" if weakest.reached == "stated" else ""
    return Reading(f"storage.{stated}{direction}_bandwidth", (moved / seconds / GB,), labels, direction)


def _labels(direction: Direction, group: int, jobs: Sequence[Job], how: Passage) -> dict[str, Label]:
    labels: dict[str, Label] = {
        "tool": "fio",
        "direction": direction,
        "group": group,
        "job": ", ".join(dict.fromkeys(job.name for job in jobs)),
        "evidence": how.evidence,
    }
    direct = {is_direct(job.options) for job in jobs}
    if len(direct) == 1:
        labels["direct"] = direct.pop()
    for option, label in LABELLED.items():
        values = {job.options[option] for job in jobs if option in job.options}
        if len(values) == 1:
            labels[label] = values.pop()
    return labels


def _elapsed(jobs: Sequence[Job]) -> float:
    """Seconds from the first start to the last end, where fio says when jobs started; else the longest job."""
    longest = max(job.milliseconds for job in jobs)
    starts = [job.started for job in jobs if job.started is not None]
    if len(starts) < len(jobs) or len({job.host for job in jobs}) > 1:
        return longest / 1e3
    span = max(start + job.milliseconds for start, job in zip(starts, jobs, strict=True)) - min(starts)
    return max(longest, span) / 1e3


def _job(entry: Mapping[str, Any], direction: Direction, shared: Mapping[str, str]) -> Job | None:
    """What an entry says of a direction; None where it moved nothing."""
    facts = entry.get(direction)
    if not isinstance(facts, dict) or not _moved(facts):
        return None
    old = "io_kbytes" not in facts
    stated, factor = (facts.get("bw"), KIB) if facts.get("bw_bytes") is None else (facts.get("bw_bytes"), 1)
    group, started = entry.get("groupid"), entry.get("job_start")
    return Job(
        name=_text(entry.get("jobname")),
        group=group if isinstance(group, int) else 0,
        host=_text(entry.get("hostname")) or None,
        bytes=int(facts["io_bytes"]) * (KIB if old else 1),
        milliseconds=int(facts["runtime"]),
        started=started if isinstance(started, int) and started > 0 else None,
        stated=float(stated) * factor if isinstance(stated, int | float) and abs(stated) < 1e18 else None,
        options={**shared, **_options(entry.get("job options"))},
    )


def _moved(facts: object) -> bool:
    if not isinstance(facts, dict):
        return False
    numbers = facts.get("io_bytes"), facts.get("runtime")
    return all(isinstance(n, int) and not isinstance(n, bool) and 0 < n < 10**18 for n in numbers)


def _contradiction(job: Job, direction: Direction) -> str | None:
    """Where the stated bandwidth does not follow from bytes and time."""
    gives = job.bytes / job.milliseconds * 1e3
    if job.stated is None or abs(job.stated - gives) <= TOLERANCE * gives + 2 * KIB:
        return None
    words = f"states {job.stated / GB:.4g} GB/s, its bytes and time give {gives / GB:.4g}"
    return f"job {job.name} ({direction}) {words}"


def _problem(entry: Mapping[str, Any]) -> str | None:
    """What went wrong in a job: it ended with an error, or passed over some."""
    name, number = _text(entry.get("jobname")), entry.get("error", 0)
    if isinstance(number, int) and number:
        return f"job {name} ended with error {number} ({os.strerror(abs(number) % 4096)})"
    passed = entry.get("total_err", 0)
    if isinstance(passed, int) and passed > 0:
        return f"job {name} passed over {passed} errors"
    return None


def _options(found: object) -> dict[str, str]:
    """Options by name; of several hosts they are listed, the first says them."""
    options: dict[str, str] = {}
    for entry in found if isinstance(found, list) else [found]:
        if isinstance(entry, dict):
            plain = {key: str(value) for key, value in entry.items() if isinstance(value, str | int | float)}
            options = plain | options
    return options


def _list(found: object) -> list[Any]:
    return found if isinstance(found, list) else []


def _text(found: object) -> str:
    return found if isinstance(found, str) else ""


def _scalars(found: object) -> dict[str, str | int | float]:
    """What of an object is text or numbers: whatever else lies in it is none of fio's."""
    entries = found.items() if isinstance(found, dict) else ()
    return {key: value for key, value in entries if isinstance(value, str | int | float)}
