"""Repeats and attempts of a study that ended badly, and the host that a dead node can be laid to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from seatrial.analysis.attempts import ERROR_OF_STATE, WORDS_OF_KIND, node_names
from seatrial.analysis.collect import read_repeat
from seatrial.analysis.findings.observed import Failure
from seatrial.case import Case
from seatrial.errors import SeatrialError
from seatrial.measure.topology import expand_hosts
from seatrial.paths import StudyPaths

OF_A_NODE = "node_fail"


def failures_of(paths: StudyPaths, cases: Sequence[Case]) -> tuple[Failure, ...]:
    """All failures of the cases, attempts that were repeated with success included.

    A node failure is laid to a host where it was the only one, or the only one that all node failures share.
    """
    found = [failure for case in cases for failure in _of_case(paths, case)]
    shared = [set(hosts) for failure, hosts in found if failure.kind == OF_A_NODE and hosts]
    common = set.intersection(*shared) if shared else set()
    host = next(iter(common)) if len(common) == 1 else None
    return tuple(
        Failure(f.kind, f.message, host if f.kind == OF_A_NODE and host in hosts else _only(hosts), f.where)
        for f, hosts in found
    )


def _of_case(paths: StudyPaths, case: Case) -> Iterator[tuple[Failure, tuple[str, ...]]]:
    for number in range(case.repeats):
        where = f"{case.experiment} {case.case_id} repeat {number}"
        repeat = read_repeat(paths, case, number)
        entries = repeat.attempts.entries if repeat.attempts is not None else []
        for attempt in entries:
            state = str(attempt.get("state", "")).split(" ")[0]
            kind = ERROR_OF_STATE.get(state)
            if kind is not None:
                yield Failure(kind, f"{WORDS_OF_KIND[kind]} ({state})", where=where), _hosts(attempt.get("nodes"))
        record = repeat.record
        if record is not None and record.error is not None:
            hosts = record.provenance.get("hosts")
            named = tuple(dict.fromkeys(str(h) for h in hosts)) if isinstance(hosts, list) else ()
            yield Failure(record.error.kind, record.error.message, where=where), named


def _hosts(nodes: object) -> tuple[str, ...]:
    try:
        return tuple(expand_hosts(node_names(nodes)))
    except (SeatrialError, ValueError):
        return ()  # what was noted is no list of nodes: the host stays unknown


def _only(hosts: Sequence[str]) -> str | None:
    return hosts[0] if len(hosts) == 1 else None
