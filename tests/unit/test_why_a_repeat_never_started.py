"""What could never start, what Slurm would not take, what somebody cancelled and what crashed are told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seatrial.analysis.attempts import Attempts, cause

NEVER = {"state": "CANCELLED", "started_at": None, "ended_at": None, "nodes": None, "external_jobid": "7"}
NO_LOG = Path("/nowhere/0.log")
NO_JOB = {"external_jobid": None}
ENDED = "2026-01-02T03:04:05Z"


@pytest.mark.parametrize(
    ("attempt", "kind", "message"),
    [
        ({"reason": "it can never start"}, "cancelled", "it never started (CANCELLED); it can never start; job 7"),
        ({"ended_at": ENDED, "reason": "by root"}, "cancelled", "it was cancelled (CANCELLED); by root; job 7"),
        ({"started_at": ENDED, "nodes": ["n1"]}, "cancelled", "it was cancelled (CANCELLED); job 7 on n1"),
        ({"state": "FAILED", "reason": "not taken", **NO_JOB}, None, "it never started (FAILED); not taken"),
        ({"state": "FAILED", "started_at": ENDED}, "crashed", "the process died (FAILED); job 7"),
        ({"state": "NODE_FAIL", "nodes": ["n1"]}, "node_fail", "a node failed (NODE_FAIL); job 7 on n1"),
    ],
)
def test_what_has_neither_begin_nor_end_nor_nodes_never_started(
    attempt: dict[str, Any], kind: str | None, message: str
) -> None:
    found = cause(Attempts([NEVER | attempt]), NO_LOG)
    assert (found.kind, found.message) == (kind, message)


def test_an_attempt_that_does_not_say_when_it_began_is_not_taken_for_one_that_never_did() -> None:
    assert cause(Attempts([{"state": "CANCELLED"}]), NO_LOG).message == "it was cancelled (CANCELLED)"


@pytest.mark.parametrize("attempts", [None, Attempts([])])
@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (None, None, "not started"),
        ("", None, "not started: no attempt was noted, and its log is empty"),
        ("it began", "crashed", "no record, and no attempt was noted; its log says how far it came"),
    ],
)
def test_without_an_attempt_only_a_log_that_holds_something_is_of_a_crash(
    tmp_path: Path, attempts: Attempts | None, content: str | None, kind: str | None, message: str
) -> None:
    log = tmp_path / "0.log"
    if content is not None:
        log.write_text(content)
    found = cause(attempts, log)
    assert (found.kind, found.message) == (kind, message)


def test_a_log_that_cannot_be_looked_at_is_no_crash_either(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = cause(None, tmp_path / "file" / "0.log")
    assert found.kind is None and "cannot be read" in found.message
