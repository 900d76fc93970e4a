"""Jobs that Slurm does not take yet."""

import inspect
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.scheduling.job_scheduler import JobScheduler

from snakemake_executor_plugin_submitit import backlog
from snakemake_executor_plugin_submitit.backlog import Backlog
from snakemake_executor_plugin_submitit.executor import Executor
from snakemake_executor_plugin_submitit.submission import Request

FULL = "AssocMaxSubmitJobLimit"


class Cluster:
    """Takes as many jobs as there is room for, whole batches only."""

    def __init__(self, room: int, hours: float = 72, own_thread: bool = False) -> None:
        self.room, self.largest = room, 1000
        self.taken: list[str] = []
        self.tries: list[int] = []
        self.at: list[float] = []
        self.threads: set[str] = set()
        self.told: list[str] = []
        self.given_up: list[tuple[list[Any], str]] = []
        self.live = True
        self.why_none: str | None = None
        self.hangs = threading.Event()
        self.hangs.set()
        self.closed: set[str | None] = set()
        self.backlog = Backlog(
            self._submit,
            lambda members, why: self.given_up.append((list(members), why)),
            lambda: self.live,
            hours,
            self.told.append,
            own_thread,
            lambda: self.why_none,
            lambda wanted: min(wanted, self.largest),
        )

    def _submit(self, request: Request, members: Sequence[Any], commands: Sequence[str]) -> str | None:
        assert len(members) == len(commands)
        self.threads.add(threading.current_thread().name)
        assert self.hangs.wait(20)
        self.tries.append(len(members))
        self.at.append(time.monotonic())
        if request.partition in self.closed or len(members) > self.room:
            return FULL
        self.room -= len(members)
        self.taken += commands
        return None

    def add(self, *names: str, partition: str | None = None) -> None:
        members: Any = list(names)
        self.backlog.add(Request(partition=partition), members, names)

    def until_taken(self, count: int) -> None:
        deadline = time.monotonic() + 20
        while len(self.taken) < count:
            assert time.monotonic() < deadline, self.taken
            time.sleep(0.01)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Cluster]]:
    """Pauses of a twentieth of a second; the clusters in the list are stopped afterwards."""
    monkeypatch.setattr(backlog, "_FIRST_PAUSE", 0.05)
    made: list[Cluster] = []
    yield made
    for cluster in made:
        cluster.backlog.stop(5)


def test_what_slurm_takes_at_once_is_one_batch_without_a_thread() -> None:
    cluster = Cluster(room=100)
    cluster.add(*map(str, range(40)))
    assert (cluster.tries, cluster.threads) == ([40], {"MainThread"})


def test_no_batch_has_more_jobs_than_an_array_may_have_also_where_that_is_learned_by_a_refusal() -> None:
    cluster = Cluster(room=100)
    cluster.largest = 11
    cluster.add(*(f"{i:03}" for i in range(25)))
    assert cluster.tries == [11, 11, 3]
    cluster.largest, submit = 1000, cluster.backlog._submit

    def refusing(request: Request, members: Sequence[Any], commands: Sequence[str]) -> str | None:
        if len(members) > 11:
            cluster.largest = 11
            return "Invalid job array specification"
        return submit(request, members, commands)

    cluster.backlog._submit = refusing
    cluster.add(*(f"{i:03}" for i in range(25, 65)))
    assert cluster.tries == [11, 11, 3, 11, 11, 11, 7]
    assert cluster.taken == [f"{i:03}" for i in range(65)]


def test_the_rest_is_submitted_in_order_as_room_appears_and_who_brings_jobs_never_waits(
    quick: list[Cluster],
) -> None:
    cluster = Cluster(room=5)
    quick.append(cluster)
    cluster.add(*(f"{i:03}" for i in range(40)))
    assert len(cluster.taken) == 5
    assert len(cluster.tries) < 12, "sizes are halved, not tried one by one"
    began, tries = time.monotonic(), len(cluster.tries)
    cluster.add("later")
    assert time.monotonic() - began < 1
    assert tries <= len(cluster.tries) <= tries + 1, "it is no main thread that tries"
    while len(cluster.taken) < 41:
        cluster.room += 5
        cluster.backlog.look(ended=True)
        cluster.until_taken(min(41, len(cluster.taken) + 1))
    assert cluster.taken == [*(f"{i:03}" for i in range(40)), "later"], "each once, and in order"
    assert cluster.threads == {"MainThread", "backlog"}
    assert len(cluster.told) == 1
    assert cluster.told[0].endswith(f"are submitted as jobs end: {FULL}")


def test_pauses_grow_to_a_ceiling_until_something_is_taken_or_a_job_ends(
    quick: list[Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "_LONGEST_PAUSE", 0.2)
    cluster = Cluster(room=0)
    quick.append(cluster)
    cluster.add("a")
    deadline = time.monotonic() + 6
    while len(cluster.at) < 9 and time.monotonic() < deadline:
        time.sleep(0.01)
    pauses = [later - earlier for earlier, later in pairwise(cluster.at)]
    assert all(pause >= least for pause, least in zip(pauses, [0.05, 0.1] + [0.2] * 6, strict=False)), pauses
    assert len(pauses) >= 8, "doubled without a ceiling, the last were 6.4 s"


def test_a_limit_of_one_partition_keeps_no_other_waiting(quick: list[Cluster]) -> None:
    cluster = Cluster(room=100)
    quick.append(cluster)
    cluster.closed = {"full"}
    cluster.add("a", "b", partition="full")
    cluster.add("c", "d", partition="free")
    cluster.until_taken(2)
    assert cluster.taken == ["c", "d"]
    cluster.closed.clear()
    cluster.until_taken(4)


def test_jobs_are_given_up_after_the_stated_hours_unless_jobs_of_this_run_fill_the_queue(
    quick: list[Cluster],
) -> None:
    cluster = Cluster(room=0, hours=0.2 / 3600)
    quick.append(cluster)
    cluster.add("a", "b")
    time.sleep(0.6)
    assert not cluster.given_up
    cluster.live = False
    deadline = time.monotonic() + 20
    while not cluster.given_up and time.monotonic() < deadline:
        time.sleep(0.01)
    ((members, why),) = cluster.given_up
    assert members == ["a", "b"]
    assert why.endswith(FULL)


def test_a_first_try_that_takes_long_is_not_waited_for(
    quick: list[Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    """sbatch tries for two minutes where MaxJobCount is reached, and the executor longer where Slurm is away."""
    monkeypatch.setattr(backlog, "_LONGEST_WAIT", 0.5)
    cluster = Cluster(room=100, own_thread=True)
    quick.append(cluster)
    cluster.add("a", "b")
    assert (cluster.taken, cluster.threads) == (["a", "b"], {"backlog"}), "what is quick is waited for"
    cluster.hangs.clear()
    began = time.monotonic()
    cluster.add("c")
    cluster.add("d")
    assert time.monotonic() - began < 5
    assert cluster.taken == ["a", "b"]
    cluster.hangs.set()
    cluster.until_taken(4)
    assert cluster.taken == ["a", "b", "c", "d"]
    cluster.add("e")
    assert cluster.taken[-1] == "e"


def test_nothing_is_submitted_once_it_was_stopped(quick: list[Cluster]) -> None:
    cluster = Cluster(room=0)
    cluster.add("a")
    cluster.backlog.stop(5)
    cluster.room = 5
    time.sleep(0.3)
    assert not cluster.taken


def test_a_submission_that_has_not_come_to_sbatch_yet_is_interrupted_when_it_has(
    quick: list[Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "_LONGEST_WAIT", 0.1)
    monkeypatch.setattr(backlog, "_INTERRUPT_SECONDS", 0.05)
    cluster = Cluster(room=100, own_thread=True)
    quick.append(cluster)
    cluster.hangs.clear()
    cluster.add("a")
    interrupts: list[None] = []

    def interrupt() -> None:
        interrupts.append(None)
        if len(interrupts) == 3:
            cluster.hangs.set()  # only now there was something to interrupt

    assert not cluster.backlog.stop(0)
    assert cluster.backlog.stop(20, interrupt)
    assert len(interrupts) >= 3
    assert cluster.taken == ["a"], "it is over when who stops goes on"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_nobody_expected_reaches_who_looks_at_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snakemake's thread that watches ends the workflow for it."""
    cluster = Cluster(room=100, own_thread=True)

    def broken(*_: object) -> str | None:
        raise ValueError("zip() argument 2 is shorter than argument 1")

    monkeypatch.setattr(cluster.backlog, "_submit", broken)
    cluster.add("a")
    with pytest.raises(RuntimeError, match=r"failed.*zip\(\) argument 2"):
        cluster.backlog.look(ended=False)


def test_a_thread_that_just_starts_has_not_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not alive before, as it is not once it is done, and the executor may look at that very moment."""
    cluster = Cluster(room=100, own_thread=True)
    start = threading.Thread.start

    def looked_at(thread: threading.Thread) -> None:
        assert not thread.is_alive()
        cluster.backlog.look(ended=True)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", looked_at)
    cluster.add("a")
    assert cluster.taken == ["a"]


def test_what_is_held_is_given_up_once_nothing_more_is_to_be_submitted(quick: list[Cluster]) -> None:
    """For Snakemake held jobs run: it would wait for them although it has given up the workflow."""
    cluster = Cluster(room=1)
    quick.append(cluster)
    cluster.add("a", "b", "c")
    cluster.add("d", partition="other")
    cluster.why_none = "another job failed"
    cluster.room = 100
    deadline = time.monotonic() + 20
    while len(cluster.given_up) < 2 and time.monotonic() < deadline:
        cluster.backlog.look(ended=False)
        time.sleep(0.01)
    assert cluster.given_up == [(["b", "c"], "another job failed"), (["d"], "another job failed")]
    assert cluster.taken == ["a"]


@pytest.mark.parametrize(
    ("failed", "keep_going", "none"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_after_a_failure_only_keep_going_lets_others_be_submitted(
    failed: bool, keep_going: bool, none: bool
) -> None:
    executor: Any = object.__new__(Executor)
    executor.workflow = SimpleNamespace(
        scheduler=SimpleNamespace(failed={"job"} if failed else set()),
        execution_settings=SimpleNamespace(keep_going=keep_going),
    )
    assert (executor._why_none() is not None) == none


def test_snakemakes_scheduler_lists_what_failed_where_the_executor_looks() -> None:
    assert "self.failed.add(job)" in inspect.getsource(JobScheduler._handle_error)
