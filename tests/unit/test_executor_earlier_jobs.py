"""Which job of an earlier run a job is: put together differently, on another machine, completed at an interrupt."""

from __future__ import annotations

import json
import os
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_interface_common.exceptions import WorkflowError

from snakemake_executor_plugin_submitit import batches, processes, resuming, slurm
from snakemake_executor_plugin_submitit.cleaning import clean_up
from snakemake_executor_plugin_submitit.ends import Ends, note_interrupted
from snakemake_executor_plugin_submitit.failed_nodes import FailedNodes
from snakemake_executor_plugin_submitit.jobs import Label, Prepared, key_of, label_of
from snakemake_executor_plugin_submitit.ledger import ENDED, STOPPING, SUBMITTED, SUCCEEDED, Entry, Ledger
from snakemake_executor_plugin_submitit.live import Live, Watcher
from snakemake_executor_plugin_submitit.orphans import Orphans
from snakemake_executor_plugin_submitit.outcomes import Outcome
from snakemake_executor_plugin_submitit.ranks import RankReport, write_report
from snakemake_executor_plugin_submitit.restarts import Restarts
from snakemake_executor_plugin_submitit.resuming import EarlierRuns
from snakemake_executor_plugin_submitit.settings import ExecutorSettings
from snakemake_executor_plugin_submitit.status import Accounting, Queued
from snakemake_executor_plugin_submitit.stopping import note_stopping
from snakemake_executor_plugin_submitit.submission import Request
from snakemake_executor_plugin_submitit.submitter import Submitter

FIRST, SECOND = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
PERSISTENCE = SimpleNamespace(external_jobids=lambda _: ["7"])


class Restarted:
    """A Snakemake that is started again on a Slurm whose answers are given."""

    def __init__(self, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.base, self.said, self.cancelled = base, list[str](), list[str]()
        self.accounting: dict[str, Accounting] = {}
        self.names: dict[str, str] = {}
        self.ledger = Ledger(base, SECOND)
        say = self.said.append
        restarts = Restarts(base, 1, 20, False, say)
        ends = Ends(base, self.ledger, FailedNodes(base, 5, say), restarts, say)
        watcher = Watcher(0, 5, say)
        self.earlier = EarlierRuns("slurm", ends, self.ledger, watcher, 5, 0, 5, say)
        self.orphans = Orphans("slurm", self.ledger, self.earlier, 5, say)
        monkeypatch.setattr(slurm, "accounting", lambda *_: self.accounting)
        monkeypatch.setattr(slurm, "queue", lambda *_: self._queue())
        monkeypatch.setattr(slurm, "cancel", self._cancel)

    def _queue(self) -> dict[str, Queued]:
        return self.shown(**{job: each.state for job, each in self.accounting.items() if each.active})

    def shown(self, **states: str) -> dict[str, Queued]:
        """What the queue shows, by id: each job with its name."""
        return {job: Queued(job, state, "None", self.names.get(job, "n")) for job, state in states.items()}

    def _cancel(self, ids: Any, _: float) -> None:
        for job in ids:
            self.cancelled.append(job)
            self.accounting[job] = Accounting("CANCELLED")

    def leave(self, label: Label, **changed: Any) -> Entry:
        """Let the earlier run have submitted a job."""
        folder = self.base / "batches" / f"{FIRST}-1"
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        name = f"root-study-{FIRST}-1-a"
        given: dict[str, Any] = {"cluster": "slurm", "folder": str(folder), "name": name, "job_id": "7"}
        at = "2026-01-01T00:00:00.000Z"
        given |= {"key": key_of(label), "run": FIRST, "index": 0, "size": 1, "ranks": 1, "fingerprint": None}
        given |= {"submitted_at": at, "outputs": label.makes(), **changed}
        entry = Entry(**given)
        self.names[str(entry.job_id)] = entry.name
        earlier = Ledger(self.base, FIRST)
        earlier.write(entry)
        earlier.close()
        self.accounting[str(entry.job_id)] = Accounting("RUNNING")
        return entry

    def succeeded(self, entry: Entry) -> None:
        result = Path(entry.folder) / f"{entry.job_id}_0_result.pkl"
        result.write_bytes(pickle.dumps(("success", {"returncode": 0})))


@pytest.fixture
def again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Restarted]:
    monkeypatch.chdir(tmp_path)
    restarted = Restarted(tmp_path, monkeypatch)
    yield restarted
    restarted.ledger.close()


def wanted(*outputs: str) -> Prepared:
    label = Label("work", {}, outputs, None)
    return Prepared(SimpleNamespace(), label, key_of(label), Request(), False, "", ("sh", "-c"))


class TestAJobThatIsPutTogetherDifferently:
    def test_is_submitted_once_its_earlier_submission_is_cancelled_and_gone(self, again: Restarted) -> None:
        group = again.leave(Label("g", {}, ("out/0", "out/1"), None, within=("out/part",)))
        first, second, other = wanted("out/0"), wanted("out/part"), wanted("out/9")
        taken, fresh, unclear = again.earlier.take_up([first, second, other], PERSISTENCE)
        assert (taken, fresh, unclear) == ([], [first, second, other], [])
        assert again.cancelled == ["7"]
        (words,) = again.said
        assert "makes out/0 too, as part of a job that is put together differently now; it is cancelled" in words
        entry = again.ledger.read(group.key)
        assert entry is not None
        assert entry.status == ENDED

    def test_is_not_submitted_while_the_earlier_one_cannot_be_ended(
        self, again: Restarted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def silent(*_: Any) -> None:
            raise slurm.SlurmUnavailable("no answer")

        again.leave(Label("g", {}, ("out/0", "out/1"), None))
        monkeypatch.setattr(slurm, "cancel", silent)
        monkeypatch.setattr("snakemake_executor_plugin_submitit.stopping._TRIES", 1)
        member = wanted("out/0")
        taken, fresh, ((unclear, why),) = again.earlier.take_up([member], PERSISTENCE)
        assert (taken, fresh, unclear, str(why)) == ([], [], member, "no answer")

    def test_of_another_snakemake_that_lives_is_left_alone(self, again: Restarted) -> None:
        again.leave(Label("g", {}, ("out/0", "out/1"), None))
        living = Ledger(again.base, FIRST)
        taken, fresh, ((_, why),) = again.earlier.take_up([wanted("out/0")], PERSISTENCE)
        assert (taken, fresh, again.cancelled) == ([], [], [])
        assert "belongs to another Snakemake" in str(why)
        living.close()

    def test_has_an_earlier_one_that_comes_first_and_is_cancelled_by_an_interrupt(
        self, again: Restarted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("snakemake_executor_plugin_submitit.orphans.named_alike", lambda *_: True)
        group = again.leave(Label("g", {}, ("out/0", "out/1"), None))
        job = SimpleNamespace(name="work", log=(), output=("out/0",), wildcards_dict={}, is_local=False)
        job.is_group = lambda: False
        dag = _Dag(job)
        again.orphans.find("study", dag)
        assert dag.bumped
        assert [entry.key for entry in again.orphans.asked_for()] == [group.key]
        assert [live.job_id for live in again.orphans.to_be_cancelled()] == ["7"]
        again.orphans.handed_over([wanted("out/0").key])
        assert again.orphans.asked_for() == []


class TestJobsThatDoNotEnd:
    """Their node hangs: whoever waits for them holds up the whole workflow."""

    @pytest.fixture
    def seconds(self, again: Restarted, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        seconds = [1000.0]
        monkeypatch.setattr(time, "monotonic", lambda: seconds[0])
        monkeypatch.setattr(time, "sleep", lambda s: seconds.append(seconds.pop() + s))
        monkeypatch.setattr(slurm, "queue", lambda *_: again.shown(**dict.fromkeys("0127", "COMPLETING")))
        return seconds

    def test_are_waited_for_once_whatever_number_of_jobs_they_hold_up(
        self, again: Restarted, seconds: list[float]
    ) -> None:
        outputs = [f"out/{number}" for number in range(20)]
        again.leave(Label("g", {}, tuple(outputs), None))
        taken, fresh, unclear = again.earlier.take_up([wanted(output) for output in outputs], PERSISTENCE)
        assert (taken, fresh, len(unclear), again.cancelled) == ([], [], 20, ["7"])
        assert "job 7 (work) was cancelled but does not end" in str(unclear[0][1])
        assert 1300 < seconds[0] < 1310
        again.accounting.clear()
        assert again.earlier.take_up([wanted(outputs[0])], PERSISTENCE)[2], "a later attempt waits anew"
        assert 1600 < seconds[0] < 1620

    def test_are_cancelled_in_one_call_and_waited_for_once_whatever_they_are_in_the_way_of(
        self, again: Restarted, seconds: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[list[str]] = []
        monkeypatch.setattr(slurm, "cancel", lambda ids, _: calls.append(sorted(ids)))
        for number in range(3):  # groups that are put together differently now
            label = Label("g", {}, (f"out/{number}", f"out/more{number}"), None)
            again.leave(label, job_id=f"{number}", name=f"g{number}")
        changed, interrupted = wanted("out/changed"), wanted("out/interrupted")
        monkeypatch.setattr(Prepared, "fingerprint", "now")
        again.leave(changed.label, job_id="7", fingerprint="before", name="other command")
        again.leave(interrupted.label, job_id="8", status=STOPPING)
        queue = again.shown(**dict.fromkeys("01278", "COMPLETING"))
        monkeypatch.setattr(slurm, "queue", lambda *_: queue)
        again.accounting |= dict.fromkeys(queue, Accounting("CANCELLED"))
        members = [*(wanted(f"out/{number}") for number in range(3)), changed, interrupted]
        taken, fresh, unclear = again.earlier.take_up(members, PERSISTENCE)
        assert (taken, fresh, [member for member, _ in unclear]) == ([], [], members)
        assert {"was cancelled but does not end" in str(why) for _, why in unclear} == {True}
        assert calls == [["0", "1", "2", "7"]], "what an interrupt had cancelled is not told again"
        assert 1300 < seconds[0] < 1310

    def test_hold_up_none_of_those_that_have_ended_meanwhile(
        self, again: Restarted, seconds: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hangs, ends = wanted("out/0"), wanted("out/1")
        monkeypatch.setattr(Prepared, "fingerprint", "now")
        left = [
            again.leave(member.label, job_id=str(number), fingerprint="before", name=f"n{number}")
            for number, member in enumerate((hangs, ends))
        ]
        queue = again.shown(**{"0": "COMPLETING"})
        monkeypatch.setattr(slurm, "queue", lambda *_: queue)
        taken, fresh, ((unclear, _),) = again.earlier.take_up([hangs, ends], PERSISTENCE)
        assert (taken, fresh, unclear) == ([], [ends], hangs)
        assert [_status(again, entry) for entry in left] == [SUBMITTED, ENDED]

    def test_are_waited_for_together_where_an_interrupt_cancelled_them(
        self, again: Restarted, seconds: list[float]
    ) -> None:
        members = [wanted(f"out/{number}") for number in range(3)]
        for number, member in enumerate(members):
            again.leave(member.label, job_id=str(number), status=STOPPING)
            again.accounting[str(number)] = Accounting("CANCELLED")
        taken, fresh, unclear = again.earlier.take_up(members, PERSISTENCE)
        assert (taken, fresh, len(unclear), again.cancelled) == ([], [], 3, [])
        assert 1300 < seconds[0] < 1310


@pytest.mark.parametrize("state", ["PENDING", "RUNNING"])
def test_a_job_that_a_controller_has_forgotten_to_cancel_is_cancelled_again(
    again: Restarted, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """A controller that is started again goes back by seconds; nobody would end that job."""
    seconds = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])
    monkeypatch.setattr(time, "sleep", lambda s: seconds.append(seconds.pop() + s))
    entry = again.leave(wanted("out").label, status=STOPPING)
    again.accounting["7"] = Accounting(state)
    assert again.earlier.take_up([member := wanted("out")], PERSISTENCE) == ([], [member], [])
    assert again.cancelled == ["7"]
    assert _status(again, entry) == ENDED


class _Dag:
    def __init__(self, job: Any) -> None:
        self._job, self.bumped = job, False

    def needrun_jobs(self) -> list[Any]:
        return [_Hashed(self._job)]

    def get_job_group(self, _: Any) -> None:
        return None

    @property
    def _priority(self) -> Any:
        self.bumped = True
        return dict.fromkeys(self.needrun_jobs(), 0)


class _Hashed:
    """A job that is equal to itself, as Snakemake's are."""

    name: str

    def __init__(self, job: Any) -> None:
        self.__dict__.update(vars(job))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashed) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


def test_a_job_makes_what_its_members_make_for_one_another_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    members = [SimpleNamespace(output=["part"]), SimpleNamespace(output=[str(tmp_path / "out")])]
    group = SimpleNamespace(name="g", output=[str(tmp_path / "out")], log=[], jobs=members, is_group=lambda: True)
    label = label_of(group)
    assert label.outputs == (str(tmp_path / "out"),)
    assert sorted(label.makes()) == ["out", "part"]


class TestJobsOfWhichNoIdIsKnown:
    def test_are_asked_for_in_one_question_and_waited_for_once(
        self, again: Restarted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[int] = []

        def find(entries: Any, timeout: float) -> Any:
            asked.append(len(entries))
            raise slurm.SlurmUnavailable("no answer")

        monkeypatch.setattr(batches, "find_all_lost", find)
        members = [wanted(f"out/{number}") for number in range(3)]
        for number, member in enumerate(members):
            again.leave(member.label, index=number, size=3, job_id=None)
        again.leave(Label("g", {}, ("out/0", "out/1"), None), job_id=None)
        taken, fresh, unclear = again.earlier.take_up(members, PERSISTENCE)
        assert (taken, fresh) == ([], [])
        assert {member.key for member, _ in unclear} == {member.key for member in members}
        assert asked == [1, 1, 1], "the job that two of them share, for each, and the third"
        seconds = [0.0]
        clock = SimpleNamespace(monotonic=lambda: seconds[0], sleep=lambda s: seconds.append(seconds.pop() + s))
        monkeypatch.setattr(resuming, "time", clock)
        again.earlier._patience = 100
        again.earlier.take_up(members, PERSISTENCE)
        assert 100 <= seconds[0] <= 105, "waited for once"

    def test_are_found_or_submitted_by_what_slurm_says(
        self, again: Restarted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[int] = []

        def find(entries: Any, timeout: float) -> Any:
            asked.append(len(entries))
            return ["7", None]

        monkeypatch.setattr(batches, "find_all_lost", find)
        members = [wanted("out/0"), wanted("out/1")]
        for number, member in enumerate(members):
            again.leave(member.label, index=number, size=2, job_id=None)
        again.accounting["7"] = Accounting("RUNNING")
        taken, fresh, unclear = again.earlier.take_up(members, PERSISTENCE)
        assert [(member, live.job_id) for member, live in taken] == [(members[0], "7")]
        assert (fresh, unclear, asked) == ([members[1]], [], [2])

    def test_in_a_folder_that_is_not_safely_ours_are_unclear_and_those_of_others_are_not(
        self, again: Restarted
    ) -> None:
        members = [wanted("bad/0"), wanted("good/1")]
        again.leave(members[0].label, job_id=None)
        folder = again.base / "batches" / f"{FIRST}-1"
        (folder / "1.pkl").touch()
        folder.chmod(0o770)
        other = again.base / "batches" / f"{FIRST}-2"
        other.mkdir(mode=0o700)
        again.leave(members[1].label, job_id=None, folder=str(other), name=f"root-study-{FIRST}-2-a")
        taken, fresh, ((unclear, why),) = again.earlier.take_up(members, PERSISTENCE)
        assert (taken, fresh, unclear) == ([], [members[1]], members[0])
        assert "can be written by others" in str(why)


@pytest.mark.parametrize(("cluster", "host"), [("local", processes.this_host()), ("slurm", None)])
def test_what_is_submitted_is_written_down_with_what_it_makes_and_where_it_runs(
    again: Restarted, cluster: str, host: str | None
) -> None:
    nothing: Any = None
    submitter = Submitter(cluster, again.base, again.ledger, ExecutorSettings(), "l", nothing, again.said.append)
    member = wanted(str(again.base / "out" / "0"))
    entry = submitter._entry(member, Request(), 0, 1, again.base, "name", "2026-01-01T00:00:00.000Z")
    assert (entry.outputs, entry.host) == (["out/0"], host)


class TestAProcessOfAnotherMachine:
    def entry(self, again: Restarted, **changed: Any) -> Entry:
        label = Label("work", {}, ("out/0",), None)
        return again.leave(label, cluster="local", host="login1", job_id="4194000", **changed)

    def test_is_neither_dead_nor_submitted_again(self, again: Restarted) -> None:
        self.entry(again)
        taken, fresh, ((_, why),) = again.earlier.take_up([wanted("out/0")], PERSISTENCE)
        assert (taken, fresh) == ([], [])
        assert isinstance(why, WorkflowError)
        assert "is a process of login1 and can be seen from there only; start Snakemake on login1" in str(why)
        assert "start the same command with --submitit-again: then it is taken for gone" in str(why)

    @pytest.mark.parametrize("outputs", [("out/0",), ("out/0", "out/1")])
    @pytest.mark.parametrize("status", [SUBMITTED, STOPPING])
    def test_is_taken_for_gone_where_the_job_is_asked_for_again(
        self, again: Restarted, status: str, outputs: tuple[str, ...]
    ) -> None:
        left = again.leave(
            Label("work", {}, outputs, None), cluster="local", host="login1", job_id="9", status=status
        )
        member = wanted("out/0")
        again.earlier._ends._restarts.ask(member, forced=True)
        assert again.earlier.take_up([member], PERSISTENCE) == ([], [member], [])
        (words,) = again.said
        assert "on login1 cannot be seen from here; it is taken for gone, for this one was asked for again" in words
        assert "Should it run on login1 still, end it there" in words
        assert _status(again, left) == ENDED

    def test_that_succeeded_and_left_nothing_is_submitted_anew(self, again: Restarted) -> None:
        label = Label("work", {}, ("out/0",), None)
        again.leave(label, cluster="local", host="login1", status=SUCCEEDED)  # Snakemake has not heard of it
        member = wanted("out/0")
        assert again.earlier.take_up([member], PERSISTENCE) == ([], [member], [])

    def test_is_named_at_the_start_and_takes_nothing_of_this_one(self, again: Restarted) -> None:
        self.entry(again)
        again.orphans.find("study", SimpleNamespace())
        (words,) = again.said
        assert "1 job(s) were started on another machine (login1)" in words
        assert (again.orphans.asked_for(), again.orphans.not_asked_for()) == ([], [])

    def test_has_ended_where_its_results_are_there(self, again: Restarted) -> None:
        entry = self.entry(again)
        again.succeeded(entry)
        again.earlier._cluster = "local"
        ((_, live),), fresh, unclear = again.earlier.take_up([wanted("out/0")], PERSISTENCE)
        assert (fresh, unclear) == ([], [])
        assert live.outcome is not None
        assert live.outcome.success

    def test_is_the_same_machine_where_its_name_is(self, again: Restarted) -> None:
        self.entry(again)
        lines = (again.base / "ledger.jsonl").read_text()
        (again.base / "ledger.jsonl").write_text(
            lines.replace('"login1"', json.dumps(processes.this_host()))  # and no such process
        )
        again.earlier._cluster = "local"
        ((_, live),), fresh, unclear = again.earlier.take_up([wanted("out/0")], PERSISTENCE)
        assert (fresh, unclear) == ([], [])
        assert live.outcome is not None
        assert not live.outcome.success


@pytest.mark.parametrize("cluster", ["slurm", "local"])
def test_a_success_that_snakemake_has_not_heard_of_stays_one_at_an_inter(again: Restarted, cluster: str) -> None:
    label = Label("work", {}, ("out",), None)
    entry = again.leave(label, cluster=cluster, run=SECOND)
    live = Live(entry, label, Outcome("COMPLETED", exit_code=0) if cluster == "slurm" else None)
    again.succeeded(entry)
    note_interrupted(live, again.base, again.ledger)
    assert _status(again, entry) == SUCCEEDED
    assert live.outcome is not None
    assert live.outcome.success


class TestACommandThatSavesItsStateWhenItIsToldToStopAndExitsWithZero:
    """It leaves nothing but successes, and half of the work."""

    @pytest.fixture
    def stopped(self, again: Restarted) -> Live:
        label = Label("work", {}, ("out",), None)
        entry = again.leave(label)
        again.succeeded(entry)
        report = RankReport(0, "node1", 1, entry.submitted_at, told_to_stop=True)
        report.set_end(0)
        write_report(Path(entry.folder), str(entry.job_id), report)
        Path("out").touch()
        return Live(entry, label)

    @pytest.mark.parametrize("seen", [True, False])
    @pytest.mark.parametrize(("cluster", "status"), [("slurm", STOPPING), ("local", ENDED)])
    def test_is_written_down_as_cancelled(
        self, again: Restarted, stopped: Live, cluster: str, status: str, seen: bool
    ) -> None:
        stopped.entry.cluster, stopped.entry.run = cluster, SECOND
        if seen:
            Watcher(0, 5, again.said.append).look([stopped], ask=True)
            assert stopped.outcome is not None
        note_interrupted(stopped, again.base, again.ledger)
        assert stopped.outcome is not None
        assert (stopped.outcome.state, _status(again, stopped.entry)) == ("CANCELLED", status)

    @pytest.mark.parametrize("noted", [True, False])
    def test_is_submitted_anew(self, again: Restarted, stopped: Live, noted: bool) -> None:
        if noted:
            stopped.entry.status = STOPPING
            again.ledger.write(stopped.entry)
        else:  # killed before it could write that down
            note_stopping(again.base, FIRST)
        member = wanted("out")
        assert again.earlier.take_up([member], PERSISTENCE) == ([], [member], [])
        assert _status(again, stopped.entry) == ENDED


@pytest.mark.parametrize("signals", [["SIGUSR2"], ["SIGUSR2", "SIGTERM"]])
def test_what_a_command_has_completed_at_its_last_warning_before_the_time_limit_does_not_run_again(
    again: Restarted, signals: list[str]
) -> None:
    """Where the interrupt came first, or too, it may be half of the work."""
    label = Label("work", {}, ("out",), None)
    entry = again.leave(label, status=STOPPING)
    again.succeeded(entry)
    report = RankReport(0, "node1", 1, entry.submitted_at, told_to_stop=True, time_limit=True, signals=signals)
    report.set_end(0)
    write_report(Path(entry.folder), str(entry.job_id), report)
    Path("out").touch()
    taken, fresh, unclear = again.earlier.take_up([member := wanted("out")], PERSISTENCE)
    assert unclear == []
    assert ([one for one, _ in taken], fresh) == (([member], []) if len(signals) == 1 else ([], [member]))
    if taken:
        entry.status, entry.run = SUBMITTED, SECOND
        live = Live(entry, label, taken[0][1].outcome)
        note_interrupted(live, again.base, again.ledger)
        assert _status(again, entry) == SUCCEEDED


@pytest.mark.parametrize(("cluster", "status"), [("slurm", STOPPING), ("local", ENDED), ("debug", ENDED)])
def test_what_had_not_completed_is_cancelled(again: Restarted, cluster: str, status: str) -> None:
    label = Label("work", {}, ("out",), None)
    entry = again.leave(label, cluster=cluster, run=SECOND)
    live = Live(entry, label)
    note_interrupted(live, again.base, again.ledger)
    assert live.outcome is not None
    assert (live.outcome.state, _status(again, entry)) == ("CANCELLED", status)


def _status(again: Restarted, entry: Entry) -> str | None:
    found = again.ledger.read(entry.key)
    return None if found is None else found.status


@pytest.mark.parametrize(("status", "kept"), [(SUCCEEDED, True), (STOPPING, True), (ENDED, False)])
def test_cleaning_leaves_the_results_of_what_this_run_wants_however_old(
    again: Restarted, status: str, kept: bool
) -> None:
    entry = again.leave(Label("work", {}, ("out",), None), status=status)
    again.succeeded(entry)
    os.utime(entry.folder, (time.time() - 2 * 86400,) * 2)
    clean_up(again.base, again.ledger, lambda: {entry.key})
    assert Path(entry.folder).exists() == kept
    clean_up(again.base, again.ledger, lambda: {"another"})
    assert not Path(entry.folder).exists()


@pytest.mark.parametrize("made", [True, False])
def test_what_had_completed_when_it_was_to_be_cancelled_is_a_success_where_its_outputs_are_there(
    again: Restarted, made: bool
) -> None:
    again.succeeded(again.leave(Label("work", {}, ("out",), None), status=STOPPING))
    if made:
        Path("out").touch()
    member = wanted("out")
    taken, fresh, unclear = again.earlier.take_up([member], PERSISTENCE)
    assert unclear == []
    assert [one for one, _ in taken] == ([member] if made else [])
    assert fresh == ([] if made else [member])
