"""A job of which nothing is submitted leaves the reason beside its log; no retry is spent on what none mends."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_interface_common.exceptions import WorkflowError

from seatrial.analysis.attempts import cause, read_attempts
from snakemake_executor_plugin_submitit import executor as executors
from snakemake_executor_plugin_submitit.executor import Executor
from snakemake_executor_plugin_submitit.jobs import Label, Prepared, key_of
from snakemake_executor_plugin_submitit.mistakes import WrongResource
from snakemake_executor_plugin_submitit.submission import Request

WRONG = WrongResource("rule r: resource nodes=2: the local executor has one node")
FULL = OSError(errno.ENOSPC, "No space left on device")


class Refusing(Executor):
    """An executor of which only what refuses jobs is there."""

    def __init__(self, base: Path) -> None:
        self.base, self.cluster = base, "local"
        self.workflow: Any = None
        self.failed: list[str] = []

    def report_job_error(self, job_info: Any, msg: Any = None, **_: Any) -> None:
        self.failed.append(msg)


def job(log: Path | None) -> Any:
    return SimpleNamespace(
        name="r", is_group=lambda: False, wildcards_dict={"case": "c"}, log=[log] if log else [], output=["done"],
        attempt=1, restart_times=3,
    )  # fmt: skip


def prepared(one: Any, log: Path | None) -> Prepared:
    label = Label("r", {"case": "c"}, ("done",), str(log) if log else None)
    return Prepared(one, label, key_of(label), Request(), True, "true", ("sh", "-c"))


@pytest.fixture
def refusing(tmp_path: Path) -> Refusing:
    return Refusing(tmp_path / "submitit")


@pytest.mark.parametrize(("problem", "is_over"), [(WRONG, True), (FULL, False), (WorkflowError("disk"), False)])
@pytest.mark.parametrize("where", ["describing", "preparing", "submitting"])
def test_why_nothing_was_submitted_is_noted_wherever_it_is_found(
    refusing: Refusing,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    problem: Exception,
    is_over: bool,
) -> None:
    log = tmp_path / "logs" / "0.log"
    one = job(log)
    if where == "describing":

        def describe(*_: Any) -> Prepared:
            raise problem

        monkeypatch.setattr(refusing, "_describe", describe)
        assert refusing._described(one) is None
    elif where == "preparing":
        monkeypatch.setattr(executors, "make_ready", lambda *_: {0: problem})
        assert refusing._made_ready([prepared(one, log)]) == []
    else:
        refusing._refuse([prepared(one, log)], problem)
    assert len(refusing.failed) == 1 and str(problem) in refusing.failed[0]
    assert (one.attempt > one.restart_times) is is_over
    assert str(problem) in log.read_text()
    attempts = read_attempts(log.with_suffix(".attempts.json"))
    assert attempts is not None
    found = cause(attempts, log)
    assert (found.kind, found.message) == (None, f"it never started (FAILED); {problem}")


def test_a_log_that_holds_something_stays_as_it_is(refusing: Refusing, tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    log.write_text("of an earlier attempt\n")
    refusing._refuse([prepared(job(log), log)], WRONG)
    assert log.read_text() == "of an earlier attempt\n"
    assert len(json.loads((tmp_path / "0.attempts.json").read_text())) == 1


def test_a_job_without_a_log_is_noted_in_the_submitit_folder(refusing: Refusing) -> None:
    member = prepared(job(None), None)
    refusing._refuse([member], WRONG)
    path = refusing.base / "attempts" / f"{member.key}.attempts.json"
    assert "one node" in json.loads(path.read_text())[0]["reason"]


def test_a_reason_that_cannot_be_written_is_said_and_the_job_fails_all_the_same(
    refusing: Refusing, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    log = tmp_path / "file" / "0.log"
    refusing._refuse([prepared(job(log), log)], WRONG)
    assert len(refusing.failed) == 1
    assert "why it was not submitted cannot be written" in capsys.readouterr().err
