"""What the executor decides about faults, without a Slurm."""

from __future__ import annotations

import json
import os
import pickle
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_submitit import batches, live, pending, slurm
from snakemake_executor_plugin_submitit.cleaning import clean_up
from snakemake_executor_plugin_submitit.failed_nodes import FailedNodes, chosen_to_exclude
from snakemake_executor_plugin_submitit.jobs import Label
from snakemake_executor_plugin_submitit.ledger import ENDED, SUBMITTED, SUCCEEDED, Entry, Ledger
from snakemake_executor_plugin_submitit.outcomes import Outcome, judge
from snakemake_executor_plugin_submitit.pending import BLOCKED, MAY_PASS, NEVER, NORMAL, Waiting, read_reason
from snakemake_executor_plugin_submitit.ranks import RankReport, now
from snakemake_executor_plugin_submitit.restarts import (
    AGAIN,
    COUNTED,
    Restarts,
    at_the_same_attempt,
    without_retries,
)
from snakemake_executor_plugin_submitit.restarts import NEVER as GIVEN_UP
from snakemake_executor_plugin_submitit.status import Accounting, Node, Queued, read_sacct, read_sinfo
from snakemake_executor_plugin_submitit.submission import Request


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Priority", NORMAL),
        ("Resources", NORMAL),
        ("PartitionTimeLimit", NEVER),
        ("BadConstraints", NEVER),
        ("DependencyNeverSatisfied", NEVER),
        ("InvalidAccount", NEVER),
        ("InvalidQOS", NEVER),
        ("JobHoldMaxRequeue", NEVER),
        ("MaxMemPerLimit", NEVER),
        ("QOSMaxWallDurationPerJobLimit", BLOCKED),
        ("AssocMaxWallDurationPerJobLimit", BLOCKED),
        ("QOSMaxNodePerJobLimit", BLOCKED),
        ("AssocMaxCpuPerNode", BLOCKED),
        ("QOSMaxGRESPerNode", BLOCKED),
        ("QOSMinGRES", BLOCKED),
        ("AssocGrpCPUMinutesLimit", BLOCKED),
        ("AssocGrpCPURunMinutesLimit", MAY_PASS),
        ("AssocGrpCpuLimit", MAY_PASS),
        ("QOSGrpNodeLimit", MAY_PASS),
        ("QOSMaxJobsPerUserLimit", MAY_PASS),
        ("QOSMaxCpuPerUserLimit", MAY_PASS),
        ("MaxJobsPerAccount", MAY_PASS),
        ("AssocMaxJobsLimit", MAY_PASS),
        ("ReqNodeNotAvail, UnavailableNodes:node[1-2]", BLOCKED),
        ("(ReqNodeNotAvail, May be reserved for other job)", BLOCKED),
        ("Nodes_required_for_job_are_DOWN,_DRAINED_or_reserved_for_jobs_in_higher_priority_partitions", BLOCKED),
        ("PartitionDown", BLOCKED),
        ("Licenses", BLOCKED),
        ("ReservationDeleted", BLOCKED),
        ("JobHeldAdmin", BLOCKED),
        ("JobHeldUser", MAY_PASS),
        ("launch failed requeued held", MAY_PASS),
        ("SomethingOfTheFuture", MAY_PASS),
    ],
)
def test_what_only_the_request_changes_what_an_administrator_changes_and_what_others_use_up_are_told_apart(
    text: str, kind: str
) -> None:
    assert read_reason(text).kind == kind


@given(st.text())
def test_every_reason_can_be_read(text: str) -> None:
    assert read_reason(text).kind in (NORMAL, MAY_PASS, BLOCKED, NEVER)


class Clock:
    """Monotonic seconds that pass when told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.seconds)


def waits(reason: str, job: str = "7") -> Queued:
    return Queued(job, "PENDING", reason, "n", 2, "main")


def test_a_hopeless_reason_must_be_seen_twice_and_others_are_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, told = Clock(monkeypatch), []
    waiting = Waiting(told.append)
    for _ in range(3):
        assert waiting.look([("a", waits("ReqNodeNotAvail")), ("b", waits("Priority", "8"))], lambda _: True) == {}
        clock.seconds += 5
    assert len(told) == 1
    assert "a: job 7" in told[0]
    assert "ReqNodeNotAvail" in told[0]
    assert waiting.look([("a", waits("BadConstraints"))], lambda _: True) == {}
    clock.seconds += 30
    (why,) = waiting.look([("a", waits("BadConstraints"))], lambda _: True).values()
    assert "no node has what it asks for (Slurm's reason: BadConstraints)" in why


def test_what_an_administrator_can_change_is_said_at_once_and_waited_for_a_stated_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, told = Clock(monkeypatch), []
    waiting = Waiting(told.append, blocked_hours=2)

    def seen(reason: str, hours: float) -> dict[str, str]:
        clock.seconds += hours * 3600
        return waiting.look([("a", waits(reason))], lambda _: True)

    assert seen("PartitionDown", 0) == {}
    assert "for 2 hours at most" in told[0]
    assert "its partition is down (Slurm's reason: PartitionDown); a: job 7" in told[0]
    assert seen("PartitionInactive", 1.9) == {}, "another word of the same kind goes on counting"
    assert seen("Priority", 0.01) == {}, "it was not blocked for a moment: counted anew"
    assert seen("PartitionDown", 0.01) == {}
    assert seen("PartitionDown", 1.9) == {}
    assert seen("AssocGrpCpuLimit", 0.2) == {}, "what others use up is waited for as long as it takes"
    assert seen("AssocGrpCpuLimit", 500) == {}
    assert seen("Licenses", 0) == {}
    (why,) = seen("Licenses", 2).values()
    assert why.startswith("nobody has changed for 2 hours")
    assert "(Slurm's reason: Licenses)" in why
    forever = Waiting(told.append, blocked_hours=0)
    for _ in range(3):
        assert forever.look([("a", waits("PartitionDown"))], lambda _: True) == {}
        clock.seconds += 1e6


class TestHoursForWhichAJobIsBlocked:
    """Each Snakemake may be killed before the time is over; the jobs wait on."""

    @pytest.fixture
    def snakemakes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
        clock, told = Clock(monkeypatch), list[str]()

        def run(*reasons: str, hours: float = 1.0, job: str = "7") -> list[str]:
            """Watch a job in a Snakemake of its own, which is killed; what it gives up."""
            clock.seconds = 5.0  # the machine was started again
            waiting = Waiting(told.append, blocked_hours=2, kept_in=tmp_path / "blocked.json")
            given_up: list[str] = []
            for number, reason in enumerate(reasons):
                clock.seconds += hours * 3600 if number else 0
                given_up += waiting.look([("a", waits(reason, job))], lambda _: True)
            return given_up

        return run

    def test_are_those_of_all_snakemakes_that_watched_it(self, snakemakes: Callable[..., list[str]]) -> None:
        down = ["PartitionDown"] * 2
        assert snakemakes(*down, hours=0.9) == []
        assert snakemakes(*down, hours=0.9, job="8") == [], "of another job"
        assert snakemakes(*down, hours=0.9) == []
        assert snakemakes("Licenses") == [], "1.8 hours so far"
        assert snakemakes(*down, hours=0.3) == ["7"]

    @pytest.mark.parametrize("free", ["Priority", "AssocGrpCpuLimit"])
    def test_begin_anew_once_it_was_not_blocked(self, snakemakes: Callable[..., list[str]], free: str) -> None:
        assert snakemakes("PartitionDown", "PartitionDown", hours=1.9) == []
        assert snakemakes(free) == []
        assert snakemakes("PartitionDown", "PartitionDown", hours=1.9) == []
        assert snakemakes("PartitionDown", "PartitionDown", free, "PartitionDown", hours=0.05) == []
        assert snakemakes("PartitionDown", "PartitionDown", hours=1.9) == []
        assert snakemakes("PartitionDown", "PartitionDown", hours=0.2) == ["7"]

    def test_begin_anew_where_the_file_holds_something_else(
        self, tmp_path: Path, snakemakes: Callable[..., list[str]]
    ) -> None:
        for content in ("[]", "{", '{"n 7": 5}', '{"n 7": [1e9, 5]}'):
            (tmp_path / "blocked.json").write_text(content)
            assert snakemakes("PartitionDown", "PartitionDown", hours=1.9) == []

    def test_of_two_snakemakes_in_one_folder_are_kept_side_by_side(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock, file = Clock(monkeypatch), tmp_path / "blocked.json"
        both = [Waiting(lambda _: None, 72, file) for _ in range(2)]
        for _ in range(3):
            for waiting, job in zip(both, "78", strict=True):
                waiting.look([("a", waits("PartitionDown", job))], lambda _: True)
            clock.seconds += 700
        found = {key: seconds for key, (seconds, _) in json.loads(file.read_text()).items()}
        assert found == {"n 7": 1400, "n 8": 1400}
        both[0].look([("a", waits("Priority", "7"))], lambda _: True)
        assert list(json.loads(file.read_text())) == ["n 8"]


def test_a_reason_that_comes_and_goes_is_not_said_at_every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, told = Clock(monkeypatch), []
    waiting = Waiting(told.append)
    for look in range(40):
        reason = ("Priority", f"ReqNodeNotAvail, UnavailableNodes:n{look}")[look % 2]
        waiting.look([("a", waits(reason))], lambda _: True)
        clock.seconds += 60
    assert len(told) == 1


def test_too_many_nodes_is_hopeless_only_where_the_partition_gives_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """squeue(1): PartitionNodeLimit can also mean that required nodes are down."""
    clock, told = Clock(monkeypatch), []
    for fits, hopeless in ((True, False), (False, True)):
        waiting = Waiting(told.append)
        waiting.look([("a", waits("PartitionNodeLimit"))], lambda _, f=fits: f)  # type: ignore[misc]
        clock.seconds += 30
        assert bool(waiting.look([("a", waits("PartitionNodeLimit"))], lambda _, f=fits: f)) == hopeless  # type: ignore[misc]
    assert any("nodes that it needs are down" in line for line in told)


def job_of(tmp_path: Path, requeues: bool = False) -> live.Live:
    entry = Entry("k", "r", "slurm", str(tmp_path), "n", 0, 1, 1, None, now(), job_id="7", requeues=requeues)
    return live.Live(entry, Label("a", {}, (), None), known_since=time.monotonic() - 500)


Answer = dict[str, Any] | None


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer, Answer, type[Exception]], None]:
    """Make sacct and squeue answer as told; None: no answer, by that exception."""

    def tell(accounting: Answer, queue: Answer, error: type[Exception] = slurm.SlurmUnavailable) -> None:
        def answer(value: Answer) -> Callable[..., Any]:
            def call(*_: Any) -> Any:
                if value is None:
                    raise error("no answer")
                return value

            return call

        monkeypatch.setattr(slurm, "accounting", answer(accounting))
        monkeypatch.setattr(slurm, "queue", answer(queue))

    return tell


@pytest.mark.parametrize(
    ("accounting", "queue", "seconds", "ended"),
    [
        ({}, {}, 60, False),
        ({}, {}, 130, True),  # both have answered all the while that they do not have it
        (None, {}, 1200, False),  # accounting is down: how it ended is not known
        (None, {}, 1900, True),  # and stays away: all that is left to ask has been asked
        (None, None, 1e6, False),
        ({}, None, 1e6, False),
        ({"7": Accounting("RUNNING")}, {}, 600, False),  # its end may be on the way to accounting
        ({"7": Accounting("RUNNING")}, {}, 1000, True),
        ({"7": Accounting("RUNNING")}, {"7": Queued("7", "RUNNING", "None", "n")}, 1e6, False),
    ],
)
def test_not_there_takes_two_answers_and_time_and_no_answer_is_none(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answering: Any,
    accounting: Answer,
    queue: Answer,
    seconds: float,
    ended: bool,
) -> None:
    clock, warnings = Clock(monkeypatch), []
    watcher, job = live.Watcher(10, 5, warnings.append), job_of(tmp_path)
    answering(accounting, queue)
    for wait in (seconds, 25):  # what is lost is given time to stop by itself
        assert watcher.look([job]) == []
        clock.seconds += wait
    assert bool(watcher.look([job])) == ended
    assert bool(warnings) == (ended or accounting is None or queue is None)


def test_time_in_which_accounting_was_down_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answering: Any
) -> None:
    clock = Clock(monkeypatch)
    watcher, job = live.Watcher(10, 5, lambda _: None), job_of(tmp_path)
    for accounting, seconds in (({}, 100), (None, 1000), ({}, 100), ({}, 10)):
        answering(accounting, {})
        assert watcher.look([job]) == []
        clock.seconds += seconds
    answering({"7": Accounting("COMPLETED")}, {})
    assert [ended.outcome.state for ended in watcher.look([job]) if ended.outcome] == ["COMPLETED"]


def test_a_slurm_that_keeps_no_accounts_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answering: Any
) -> None:
    clock = Clock(monkeypatch)
    watcher, job = live.Watcher(10, 5, lambda _: None), job_of(tmp_path)
    monkeypatch.setattr(slurm, "accounting", lambda *_: (_ for _ in ()).throw(slurm.NoAccounting("disabled")))
    monkeypatch.setattr(slurm, "queue", lambda *_: {})
    for wait in (130, 25):
        assert watcher.look([job]) == []
        clock.seconds += wait
    assert [ended.outcome.state for ended in watcher.look([job]) if ended.outcome] == ["FAILED"]


def test_a_job_that_nobody_knows_is_noticed_though_its_submission_is_of_a_clock_that_is_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answering: Any
) -> None:
    """A later submission is written down as later than the one before it, by whatever clock that was."""
    clock = Clock(monkeypatch)
    ahead = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    job = job_of(tmp_path)
    job.entry.submitted_at = ahead
    fresh = live.Live(job.entry, job.label)
    assert fresh.age() == 0
    answering({}, {})
    watcher = live.Watcher(10, 5, lambda _: None)
    for wait in (121, 60):  # nobody has it; its ranks have had the time to stop by themselves
        assert watcher.look([job, fresh]) == []
        clock.seconds += wait
    assert watcher.look([job, fresh]) == [job, fresh]


def test_results_of_a_job_that_may_be_requeued_count_only_when_slurm_says_that_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answering: Any
) -> None:
    clock = Clock(monkeypatch)
    tmp_path.chmod(0o700)
    (tmp_path / "7_0_result.pkl").write_bytes(pickle.dumps(("success", {"returncode": 0})))
    answering({"7": Accounting("PENDING")}, {})
    watcher = live.Watcher(10, 5, lambda _: None)
    assert watcher.look([job_of(tmp_path, requeues=True)]) == []
    assert watcher.look([job_of(tmp_path)]), "another's count at once"
    clock.seconds += 10
    answering({"7": Accounting("COMPLETED")}, {})
    assert watcher.look([job_of(tmp_path, requeues=True)])


@pytest.mark.parametrize(
    ("state", "retries", "hows"),
    [
        ("FAILED", 1, [COUNTED] * 4),
        ("OUT_OF_MEMORY", 1, [COUNTED] * 4),
        ("TIMEOUT", 1, [AGAIN, AGAIN, GIVEN_UP, GIVEN_UP]),
        ("PREEMPTED", 1, [AGAIN, AGAIN, AGAIN, GIVEN_UP]),
        ("NODE_FAIL", 1, [AGAIN, AGAIN, AGAIN, GIVEN_UP]),
        ("CANCELLED", 5, [GIVEN_UP] * 4),
        ("PREEMPTED", 0, [COUNTED] * 3 + [GIVEN_UP]),
        ("TIMEOUT", 0, [COUNTED] * 2 + [GIVEN_UP] * 2),
        ("CANCELLED", 0, [GIVEN_UP] * 4),
    ],
)
def test_what_slurm_did_to_a_job_is_no_retry_and_is_repeated_a_stated_number_of_times(
    tmp_path: Path, state: str, retries: int, hows: list[str]
) -> None:
    restarts = Restarts(tmp_path, max_timeouts=2, max_interruptions=3, again=False, tell=lambda _: None)
    assert [restarts.decide("k", Outcome(state), True, retries).how for _ in range(4)] == hows
    assert restarts.decide("other", Outcome(state), True, retries).how == hows[0]


def test_a_job_is_told_how_often_it_would_be_submitted_again_after_its_time_limit(tmp_path: Path) -> None:
    restarts = Restarts(tmp_path, max_timeouts=2, max_interruptions=3, again=False, tell=lambda _: None)
    left = []
    for _ in range(4):
        left.append(restarts.timeouts_left("k", 1))
        restarts.decide("k", Outcome("PREEMPTED"), True, 1)
        restarts.decide("k", Outcome("TIMEOUT"), True, 1)
    assert left == [2, 1, 0, 0]
    assert (restarts.timeouts_left("other", 1), restarts.timeouts_left("other", 0)) == (2, 0)


def test_snakemakes_attempts_are_left_or_used_up() -> None:
    """As its scheduler counts: a job is started again where restart_times > attempt - 1, with attempt + 1."""
    job = SimpleNamespace(attempt=2, restart_times=3)
    at_the_same_attempt(job)
    assert job.restart_times > job.attempt - 1
    assert job.attempt + 1 == 2
    without_retries(job)
    assert not job.restart_times > job.attempt - 1


def node(name: str, usable: bool = True, features: str = "", partition: str = "main") -> Node:
    return Node(name, partition, partition == "main", usable, frozenset(features.split(",")), down=not usable)


FOUR = [node(f"n{i}") for i in range(1, 5)]


@pytest.mark.parametrize(
    ("failed", "listed", "request_", "chosen"),
    [
        (["n2"], FOUR, Request(), ["n2"]),
        (["n2", "n1"], FOUR, Request(nodes=3), ["n2"]),  # the latest; without the other too few were left
        (["n2"], FOUR, Request(nodes=4), []),
        (["n1", "n2", "n3", "n4"], FOUR, Request(), ["n1", "n2", "n3"]),
        (["n1"], [node("n1", usable=False), *FOUR[1:]], Request(nodes=3), ["n1"]),
        (["n9"], FOUR, Request(), []),
        (["n1"], FOUR, Request(options=(("nodelist", "n[1-2]"),)), []),
        (["n1"], FOUR, Request(options=(("exclude", "n[2-4]"),)), []),
        (["n1"], [node("n1", features="fast"), *FOUR[1:]], Request(options=(("constraint", "fast"),)), []),
        (["n1"], FOUR, Request(options=(("constraint", "a|b"),)), []),
        (["n1"], [*FOUR, node("n1", partition="p")], Request(partition="p"), []),
    ],
)
def test_failed_nodes_are_excluded_as_far_as_enough_are_left(
    failed: list[str], listed: list[Node], request_: Request, chosen: list[str]
) -> None:
    assert chosen_to_exclude(failed, listed, request_) == chosen


def test_the_node_that_is_down_is_the_one_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drained = Node("n4", "main", True, False, frozenset())
    listed = [node("n1"), node("n2", usable=False), node("n3", usable=False), drained]
    monkeypatch.setattr(slurm, "nodes", lambda _: listed)
    told: list[str] = []
    failed = FailedNodes(tmp_path, 5, told.append)
    assert failed.note(Outcome("FAILED", nodes=("n1",))) == ()
    assert failed.note(Outcome("NODE_FAIL", nodes=("n1", "n2"))) == ("n2",)
    assert failed.note(Outcome("NODE_FAIL", nodes=("n1", "n2"), failing_node="n1")) == ("n2",), "what Slurm says"
    assert failed.note(Outcome("NODE_FAIL", nodes=("n1", "n3"), failing_node="n3")) == ("n3",)
    assert failed.note(Outcome("NODE_FAIL", nodes=("n1",), failing_node="n1")) == (), "Slurm would use it"
    assert failed.note(Outcome("NODE_FAIL", nodes=("n1", "n4"))) == (), "somebody drained one, that is no fault"
    listed[1:3] = [node("n2"), node("n3")]
    again = FailedNodes(tmp_path, 5, told.append).exclude(Request(options=(("exclude", "n4"),)))
    assert dict(again.options)["exclude"] == "n4,n2,n3" or dict(again.options)["exclude"] == "n4,n3,n2"
    assert told
    assert failed.exclude(Request(nodes=4)).nodes == 4


def test_a_node_whose_rank_left_no_report_is_one_of_the_jobs() -> None:
    healthy = RankReport(0, "n1", 1, "2026-01-01T00:00:00Z")
    outcome = judge([healthy], Accounting("NODE_FAIL", nodes=("n1", "n2")), None, True, False)
    assert outcome.nodes == ("n1", "n2")


def test_names_in_another_encoding_do_not_end_the_watching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    squeue = tmp_path / "squeue"
    squeue.write_bytes(b"#!/bin/sh\nprintf '7|N/A|7|RUNNING|1|main|None|caf\\351\\n'\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert slurm.queue(5)["7"].state == "RUNNING"


def test_the_rank_that_fell_silent_is_to_blame_for_a_lost_node_and_not_the_one_that_missed_it() -> None:
    began = "2026-01-01T00:00:00Z"
    missed = RankReport(0, "n1", 1, began, ended_at="2026-01-01T00:00:05Z", exit_code=1)
    silent = RankReport(1, "n2", 1, began)
    assert judge([missed, silent], Accounting("NODE_FAIL"), None, True, False).failing_node == "n2"
    assert judge([missed, silent], Accounting("FAILED"), None, True, False).failing_node == "n1"


def test_sinfo_is_read() -> None:
    text = "n1|main*|idle|(null)\nn1|high|idle|(null)\nn2|main*|down*|fast,big\nn3|main*|drained|x\nbroken\n"
    assert [n.down for n in read_sinfo(text)] == [False, False, True, False]
    found = [(n.name, n.partition, n.default, n.usable) for n in read_sinfo(text)]
    assert found == [
        ("n1", "main", True, True),
        ("n1", "high", False, True),
        ("n2", "main", True, False),
        ("n3", "main", True, False),
    ]


def test_who_cancelled_a_job_is_read() -> None:
    text = "5|CANCELLED by 1000|0:0|n1|2026-01-01T00:00:00|2026-01-01T00:00:09|2026-01-01T00:00:00|None|n\n"
    assert read_sacct(text)["5"].cancelled_by == 1000


def test_names_of_jobs_hold_user_study_and_a_random_part() -> None:
    name = batches.job_name("my study", "0123456789ab", 3, ["measure", "measure"])
    user = batches._plain(batches._user(), 16)
    assert name == f"{user}-my_study-0123456789ab-3-measure"
    assert "0123456789ab-3-" in batches.job_name("x" * 300, "0123456789ab", 3, ["y" * 300])


def test_what_sbatch_says_of_a_controller_that_is_away_is_told_from_a_refusal() -> None:
    away = "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)"
    assert batches.SubmissionFailed(away).no_answer
    assert not batches.SubmissionFailed("sbatch: error: invalid partition specified: x").no_answer


@pytest.mark.parametrize(
    ("run", "status", "age", "left"),
    [
        ("aaaaaaaaaaaa", ENDED, 0, ["7_0_output.log"]),
        ("aaaaaaaaaaaa", SUCCEEDED, 2, ["7_0_output.log"]),
        ("aaaaaaaaaaaa", SUCCEEDED, 0, ["7_0_output.log", "7_0_result.pkl"]),  # Snakemake may not know of it yet
        ("aaaaaaaaaaaa", SUBMITTED, 2, ["7_0_output.log", "7_0_result.pkl"]),
        ("bbbbbbbbbbbb", ENDED, 2, ["7_0_output.log", "7_0_result.pkl"]),  # a living Snakemake's
        ("mine", ENDED, 2, ["7_0_output.log", "7_0_result.pkl"]),  # no name that we give
    ],
)
def test_finished_batches_are_cleaned_and_their_logs_kept(
    tmp_path: Path, run: str, status: str, age: float, left: list[str]
) -> None:
    other, ledger = Ledger(tmp_path, "bbbbbbbbbbbb"), Ledger(tmp_path, "cccccccccccc")
    folder = tmp_path / "batches" / f"{run}-1"
    folder.mkdir(parents=True)
    (folder / "7_0_output.log").write_text("said\n")
    (folder / "7_0_result.pkl").write_text("pickle")
    os.utime(folder, (time.time() - age * 86400,) * 2)
    ledger.write(Entry("k", run, "slurm", str(folder), "n", 0, 1, 1, None, "2026-01-01T00:00:00Z", status=status))
    clean_up(tmp_path, ledger)
    assert sorted(path.name for path in folder.iterdir()) == left
    other.close()
    ledger.close()


def test_the_table_of_reasons_ends_with_one_that_fits_all() -> None:
    assert pending.REASONS[-1][0] == "*"
    assert {kind for _, kind, _ in pending.REASONS} == {NORMAL, MAY_PASS, BLOCKED, NEVER}


def test_slurm_is_asked_about_the_first_jobs_when_an_interval_has_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answering: Any
) -> None:
    clock = Clock(monkeypatch)
    answering({"7": Accounting("FAILED")}, {})
    watcher = live.Watcher(10, 5, lambda _: None)
    watcher.jobs_were_submitted()
    clock.seconds += 9
    watcher.jobs_were_submitted()  # more of them put nothing off
    assert watcher.look([job_of(tmp_path)]) == []
    clock.seconds += 1
    assert watcher.look([job_of(tmp_path)])


def test_while_jobs_leave_results_slurm_is_asked_every_third_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answering: Any
) -> None:
    clock = Clock(monkeypatch)
    answering({"7": Accounting("FAILED")}, {})
    watcher = live.Watcher(10, 5, lambda _: None)
    watcher.jobs_were_submitted()
    monkeypatch.setattr(watcher, "_judge", lambda job, *_, **__: setattr(job, "outcome", Outcome("COMPLETED")))
    silent = job_of(tmp_path)
    for _ in range(3):
        clock.seconds += 9
        done = job_of(tmp_path)
        monkeypatch.setattr(watcher, "_results", lambda job, done=done: [True] if job is done else [])
        assert watcher.look([done, silent]) == [done]
    clock.seconds += 3
    assert watcher.look([silent]) == [silent], "thirty seconds after the last question"
