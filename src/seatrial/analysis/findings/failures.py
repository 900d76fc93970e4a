"""Repeats and attempts of a study that ended badly, and the host that a dead node can be laid to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from seatrial.analysis.attempts import ERROR_OF_STATE, in_words, kind_of, node_names
from seatrial.analysis.collect import read_repeat
from seatrial.analysis.findings.observed import Failure
from seatrial.case import Case
from seatrial.errors import SeatrialError
from seatrial.measure.topology import expand_hosts
from seatrial.paths import StudyPaths
from seatrial.record import Record

NODE_FAIL = "node_fail"
Noted = tuple[Failure, tuple[str, ...]]
"""A failure, and the hosts that it was on."""


def noted_failures(paths: StudyPaths, cases: Iterable[Case]) -> tuple[Noted, ...]:
    """All failures of the cases, attempts that were repeated with success included."""
    return tuple(noted for case in cases for noted in _of_case(paths, case))


def laid_to_hosts(noted: Sequence[Noted]) -> tuple[Failure, ...]:
    """The failures, each with the host that it can be laid to.

    A node failure is laid to a host where it was the only one, or the only one that all node failures share.
    """
    shared = [set(hosts) for failure, hosts in noted if failure.kind == NODE_FAIL and hosts]
    common = set.intersection(*shared) if shared else set()
    host = next(iter(common)) if len(common) == 1 else None
    return tuple(
        replace(failure, host=host if failure.kind == NODE_FAIL and host in hosts else _only(hosts))
        for failure, hosts in noted
    )


def hosts_of(record: Record) -> tuple[str, ...]:
    """The host of every rank; empty where the record does not say."""
    hosts = record.provenance.get("hosts")
    return tuple(str(host) for host in hosts) if isinstance(hosts, list) else ()


def _of_case(paths: StudyPaths, case: Case) -> Iterator[Noted]:
    for number in range(case.repeats):
        where = f"{case.experiment} {case.case_id} repeat {number}"
        repeat = read_repeat(paths, case, number, ())
        entries = repeat.attempts.entries if repeat.attempts is not None else []
        for attempt in entries:
            state = str(attempt.get("state", "")).split(" ")[0]
            kind = kind_of(attempt) if state in ERROR_OF_STATE else None
            if kind is not None:
                # the executor knows which of a job's nodes has failed, a crash it lays to no node
                failed = attempt.get("failing_node") if kind == NODE_FAIL else None
                nodes = _hosts(failed or attempt.get("nodes"))
                yield Failure(kind, in_words(attempt), where=where), nodes
        record = repeat.record
        if record is not None and record.error is not None:
            hosts = tuple(dict.fromkeys(hosts_of(record)))
            yield Failure(record.error.kind, record.error.message, where=where), hosts


def _hosts(nodes: object) -> tuple[str, ...]:
    try:
        return tuple(expand_hosts(node_names(nodes)))
    except (SeatrialError, ValueError):
        return ()  # what was noted is no list of nodes: the host stays unknown


def _only(hosts: Sequence[str]) -> str | None:
    return hosts[0] if len(hosts) == 1 else None
