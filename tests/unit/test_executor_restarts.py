"""Snakemake killed and started again: what ended meanwhile, what was counted, and what was given up."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from snakemake_executor_plugin_submitit import slurm
from snakemake_executor_plugin_submitit.ends import Ends
from snakemake_executor_plugin_submitit.executor import Executor
from snakemake_executor_plugin_submitit.failed_nodes import FailedNodes
from snakemake_executor_plugin_submitit.jobs import Label, Prepared
from snakemake_executor_plugin_submitit.ledger import ENDED, Entry, Ledger, job_key
from snakemake_executor_plugin_submitit.live import Live
from snakemake_executor_plugin_submitit.outcomes import Outcome
from snakemake_executor_plugin_submitit.restarts import AGAIN, NEVER, GivenUp, Restarts
from snakemake_executor_plugin_submitit.resuming import EarlierRuns
from snakemake_executor_plugin_submitit.status import Node
from snakemake_executor_plugin_submitit.stopping import note_stopping
from snakemake_executor_plugin_submitit.submission import Request

CANCELLED = Outcome("CANCELLED", reason="it was cancelled by root (uid 0)")


def job_of(name: str, retries: int = 1) -> Any:
    return SimpleNamespace(name=name, restart_times=retries, attempt=1)


def prepared(name: str, minutes: int = 5, retries: int = 1, command: str = "true") -> Prepared:
    label = Label(name, {}, (), None)
    request = Request(minutes=minutes)
    return Prepared(job_of(name, retries), label, job_key(name, [], ""), request, True, command, ("sh", "-c"))


def restarts(base: Path, again: bool = False, told: list[str] | None = None) -> Restarts:
    return Restarts(base, 1, 2, again, (lambda _: None) if told is None else told.append)


class TestWhatIsCounted:
    def test_holds_when_snakemake_is_started_again(self, tmp_path: Path) -> None:
        member = prepared("a")
        hows = []
        for _ in range(2):
            counts = restarts(tmp_path)  # a Snakemake of its own each time
            counts.ask(member, forced=False)
            hows.append(counts.decide(member.key, Outcome("TIMEOUT", reason="it took long"), True, 1).how)
        assert hows == [AGAIN, NEVER]
        with pytest.raises(GivenUp, match=r"ended as TIMEOUT: it took long; this has happened 2 times, 1 are all"):
            restarts(tmp_path).ask(member, forced=False)
        assert restarts(tmp_path).timeouts_left(member.key, 1) == 0

    @pytest.mark.parametrize("retries", [0, 3])
    def test_no_retries_of_snakemake_bring_back_what_somebody_cancelled(self, tmp_path: Path, retries: int) -> None:
        member = prepared("a")
        first = restarts(tmp_path)
        first.ask(member, forced=False)
        decision = first.decide(member.key, CANCELLED, True, retries)
        assert decision.how == NEVER
        assert decision.words.startswith("It is not submitted again.")
        assert "--submitit-again" in decision.words
        with pytest.raises(GivenUp, match=r"cancelled by root.*the same command with --submitit-again"):
            restarts(tmp_path).ask(member, forced=False)
        restarts(tmp_path).ask(prepared("b"), forced=False)

    @pytest.mark.parametrize("how", ["option", "forced", "longer", "command"])
    def test_is_forgotten_when_the_user_asks_for_the_job_again(self, tmp_path: Path, how: str) -> None:
        member = prepared("a")
        told: list[str] = []
        first = restarts(tmp_path)
        first.ask(member, forced=False)
        first.decide(member.key, CANCELLED, True, 1)
        first.decide(member.key, Outcome("TIMEOUT"), True, 1)
        changed = {"longer": {"minutes": 6}, "command": {"command": "false"}}.get(how, {})
        second = restarts(tmp_path, again=how == "option", told=told)
        second.ask(prepared("a", **changed), forced=how == "forced")  # type: ignore[arg-type]
        assert "earlier runs is forgotten" in told[0]
        assert second.timeouts_left(member.key, 1) == 1
        restarts(tmp_path).ask(member, forced=False)

    def test_is_forgotten_when_the_job_has_completed(self, tmp_path: Path) -> None:
        member = prepared("a")
        counts = restarts(tmp_path)
        counts.ask(member, forced=False)
        counts.decide(member.key, Outcome("NODE_FAIL"), True, 1)
        assert list((tmp_path / "restarts").iterdir())
        counts.forget(member.key)
        assert not list((tmp_path / "restarts").iterdir())

    def test_an_end_that_is_decided_again_after_a_kill_counts_once(self, tmp_path: Path) -> None:
        member, hows = prepared("a"), []
        for submission in [("7", "12:00"), ("7", "12:00"), ("8", "13:00")]:
            counts = restarts(tmp_path)
            counts.ask(member, forced=False)
            hows.append(counts.decide(member.key, Outcome("TIMEOUT"), True, 3, submission).how)
        assert hows == [AGAIN, AGAIN, NEVER]

    def test_a_later_attempt_that_asks_for_more_changes_nothing(self, tmp_path: Path) -> None:
        member = prepared("a")
        first = restarts(tmp_path)
        first.ask(member, forced=False)
        first.ask(prepared("a", minutes=50), forced=False)
        first.decide(member.key, CANCELLED, True, 1)
        with pytest.raises(GivenUp):
            restarts(tmp_path).ask(member, forced=False)

    @pytest.mark.parametrize(
        "content", ["", "[]", "{}", '{"asked": 3}', '{"asked": "x", "seen": {"TIMEOUT": "y"}}']
    )
    def test_that_cannot_be_read_is_one_clear_error(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "restarts").mkdir()
        (tmp_path / "restarts" / "k.json").write_text(content)
        with pytest.raises(WorkflowError, match=r"k\.json does not say what happened"):
            restarts(tmp_path)


class Restarted(Executor):
    """The executor of a Snakemake that is started again, beside no workflow; what it says is written down."""

    def __init__(self, base: Path, outcome: Outcome | None) -> None:
        self.said: list[str] = []
        self.again: list[str] = []
        self.base, self.cluster = base, "slurm"
        self.ledger = Ledger(base, "cccccccccccc")
        watcher: Any = SimpleNamespace(look=self._look)
        self.outcome = outcome
        self.failed_nodes = FailedNodes(base, 5, self.said.append)
        self.restarts = Restarts(base, 1, 20, False, self.said.append)
        self.ends = Ends(base, self.ledger, self.failed_nodes, self.restarts, self.said.append)
        self.earlier = EarlierRuns("slurm", self.ends, self.ledger, watcher, 5, 5, 5, self.said.append)
        say = self.said.append
        self.logger: Any = SimpleNamespace(info=say, warning=say, error=say)
        self._guard = threading.Lock()
        self._live = {}
        self.workflow: Any = SimpleNamespace(scheduler=SimpleNamespace(error_callback=self._errored))

    def _look(self, jobs: Sequence[Live], ask: bool = False) -> list[Live]:
        for job in jobs:
            job.outcome, job.judged_by = self.outcome, []
        return [job for job in jobs if job.outcome is not None]

    def _errored(self, job: Any) -> None:
        """As Snakemake's scheduler does."""
        if job.restart_times > job.attempt - 1:
            job.attempt += 1
            self.again.append(f"{job.name} at attempt {job.attempt}")

    def print_job_error(self, job_info: Any, msg: Any = None, **_: Any) -> None:
        self.said.append(msg)

    def take_up(self, member: Prepared) -> list[Prepared]:
        """Hand over one job and let every look at it be reported; the jobs that are to be submitted."""
        self.restarts.ask(member, forced=False)
        persistence = SimpleNamespace(external_jobids=lambda _: [])
        taken, fresh, unclear = self.earlier.take_up([member], persistence)
        assert not unclear
        for one, live in taken:
            if live.outcome is not None:
                self._report([(SubmittedJobInfo(one.job, aux={"live": live}), live.outcome)])
        return fresh


def left_behind(base: Path, member: Prepared, run: str = "aaaaaaaaaaaa") -> Entry:
    folder = base / "batches" / f"{run}-1"
    folder.mkdir(parents=True, mode=0o700)
    ledger = Ledger(base, run)
    at = "2026-01-01T00:00:00.000Z"
    entry = Entry(member.key, run, "slurm", str(folder), "n", 0, 1, 1, member.fingerprint, at, job_id="7")
    ledger.write(entry)
    ledger.close()
    return entry


@pytest.mark.parametrize(
    ("state", "retries", "again", "words"),
    [
        ("CANCELLED", 2, [], "It is not submitted again."),
        ("TIMEOUT", 1, ["a at attempt 1"], "It is submitted again (1 of 1 times for this)."),
        ("PREEMPTED", 1, ["a at attempt 1"], "It is submitted again (1 of 20 times for this)."),
        ("NODE_FAIL", 1, ["a at attempt 1"], "n2 failed under job 7"),
        ("OUT_OF_MEMORY", 1, ["a at attempt 2"], "ended as OUT_OF_MEMORY"),
        ("FAILED", 0, [], "ended as FAILED"),
    ],
)
def test_what_ended_while_snakemake_was_dead_is_decided_as_if_it_lived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, retries: int, again: list[str], words: str
) -> None:
    listed = [Node("n1", "m", True, True, frozenset()), Node("n2", "m", True, False, frozenset(), down=True)]
    monkeypatch.setattr(slurm, "nodes", lambda *_: listed)
    member = prepared("a", retries=retries)
    left_behind(tmp_path, member)
    reason = CANCELLED.reason if state == "CANCELLED" else "as Slurm says"
    executor = Restarted(tmp_path, Outcome(state, reason=reason, nodes=("n1", "n2")))
    assert executor.take_up(member) == []
    assert f"job 7 of an earlier run has ended meanwhile as {state}" in executor.said[0]
    assert executor.again == again
    assert words in "\n".join(executor.said)
    if state == "CANCELLED":
        assert "it was cancelled by root (uid 0)" in "\n".join(executor.said)
    (attempt,) = json.loads((tmp_path / "attempts" / f"{member.key}.attempts.json").read_text())
    assert (attempt["state"], attempt["failing_node"]) == (state, "n2" if state == "NODE_FAIL" else None)
    assert (tmp_path / "failed_nodes.json").exists() == (state == "NODE_FAIL")
    entry = executor.ledger.read(member.key)
    assert entry is not None
    assert entry.status == ENDED
    executor.ledger.close()


@pytest.mark.parametrize("alive", [False, True])
def test_what_the_interrupt_of_a_killed_run_cancelled_was_cancelled_by_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alive: bool
) -> None:
    member = prepared("a")
    entry = left_behind(tmp_path, member)
    note_stopping(tmp_path, entry.run)
    if not alive:
        executor = Restarted(tmp_path, CANCELLED)
    else:
        executor = Restarted(tmp_path, None)
        monkeypatch.setattr(slurm, "cancel", lambda ids, _: setattr(executor, "outcome", CANCELLED))
    assert executor.take_up(member) == [member]
    assert "by the interrupt of that run" in executor.said[0]
    restarts(tmp_path).ask(member, forced=False)
    executor.ledger.close()


def test_a_job_that_failed_meanwhile_and_is_another_one_now_is_submitted_as_that(tmp_path: Path) -> None:
    left_behind(tmp_path, prepared("a"))
    executor = Restarted(tmp_path, CANCELLED)
    other = prepared("a", command="false")
    assert executor.take_up(other) == [other]
    executor.ledger.close()


def test_a_list_of_failed_nodes_that_cannot_be_read_or_written_is_said_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(slurm, "nodes", lambda *_: [Node("n2", "m", True, False, frozenset(), down=True)])
    (tmp_path / "failed_nodes.json").mkdir()
    told: list[str] = []
    failed = FailedNodes(tmp_path, 5, told.append)
    assert failed.note(Outcome("NODE_FAIL", nodes=("n2",))) == ("n2",)
    assert "that n2 failed cannot be written" in capsys.readouterr().err
    assert "cannot be read (Is a directory); no node that failed is excluded" in told[0]
