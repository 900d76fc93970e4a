"""What could never start, what Slurm would not take, what somebody cancelled and what crashed are told apart."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.analysis.attempts import Attempts, cause

NEVER = {"state": "CANCELLED", "started_at": None, "ended_at": None, "nodes": None, "external_jobid": "7"}
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
    found = cause(Attempts([NEVER | attempt]), log_exists=False)
    assert (found.kind, found.message) == (kind, message)


def test_an_attempt_that_does_not_say_when_it_began_is_not_taken_for_one_that_never_did() -> None:
    assert cause(Attempts([{"state": "CANCELLED"}]), False).message == "it was cancelled (CANCELLED)"
