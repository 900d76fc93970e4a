"""When the end of a job counts, what stops a submission that was replaced, and files that cannot be read now."""

from __future__ import annotations

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from submitit.core.utils import DelayedSubmission

from snakemake_executor_plugin_submitit import slurm
from snakemake_executor_plugin_submitit.executor import Executor
from snakemake_executor_plugin_submitit.fencing import Fence, seconds_until_fenced
from snakemake_executor_plugin_submitit.gone import ACCOUNTING, Ended
from snakemake_executor_plugin_submitit.jobs import Label, Prepared
from snakemake_executor_plugin_submitit.ledger import ENDED, STOPPING, Entry, Ledger
from snakemake_executor_plugin_submitit.live import Live, Watcher
from snakemake_executor_plugin_submitit.outcomes import Outcome
from snakemake_executor_plugin_submitit.payload import SUPERSEDED, RankCommand
from snakemake_executor_plugin_submitit.ranks import RankReport, now, report_path, write_report
from snakemake_executor_plugin_submitit.reporting import write_failure
from snakemake_executor_plugin_submitit.resuming import EarlierRuns
from snakemake_executor_plugin_submitit.settings import ExecutorSettings
from snakemake_executor_plugin_submitit.status import Accounting, Node, Queued
from snakemake_executor_plugin_submitit.submission import request_from_resources

FENCED = seconds_until_fenced(5.0)


class Cluster:
    """A Slurm that answers as it is told, and counts what it is asked; its clock stands still."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1000.0
        self.accounting: dict[str, Accounting] = {}
        self.queue: dict[str, str] = {}
        self.down: set[str] = set()
        self.asked: list[str] = []
        self.given_up: list[str] = []
        self.words: list[str] = []
        self.disk_full = False
        monkeypatch.setattr(time, "monotonic", lambda: self.seconds)
        monkeypatch.setattr(slurm, "accounting", lambda *_: self._answer("sacct", self.accounting))
        monkeypatch.setattr(slurm, "queue", lambda *_: self._answer("squeue", self._queue()))
        monkeypatch.setattr(slurm, "nodes", lambda *_: self._answer("sinfo", self._nodes()))
        self.watcher = Watcher(0, 5, self.words.append, self._revoke, 5.0)

    def _answer(self, command: str, value: Any) -> Any:
        self.asked.append(command)
        return value

    def _queue(self) -> dict[str, Queued]:
        return {job_id: Queued(job_id, state, "None", "n") for job_id, state in self.queue.items()}

    def _nodes(self) -> list[Node]:
        return [Node(n, "main", True, True, frozenset(), n in self.down) for n in ("node1", "node2")]

    def _revoke(self, entry: Entry) -> None:
        if self.disk_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        assert entry.fenced
        self.given_up.append(str(entry.job_id))

    def state(self, job: Live) -> str | None:
        """What the watcher makes of a job now."""
        self.watcher.look([job])
        return job.outcome.state if job.outcome else None


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(monkeypatch)


def job_of(folder: Path, job_id: str = "7", ranks: int = 1) -> Live:
    folder.chmod(0o700)
    entry = Entry("k", "r", "slurm", str(folder), "n", 0, 1, ranks, None, now(), job_id=job_id)
    return Live(entry, Label("a", {}, (), None), known_since=time.monotonic() - 500)


def says(folder: Path, ended: bool, rank: int = 0) -> None:
    report = RankReport(rank=rank, node="node1", pid=1, started_at=now())
    if ended:
        report.set_end(1)
    write_report(folder, "7", report)


@pytest.mark.parametrize("state", ["TIMEOUT", "PREEMPTED", "CANCELLED", "FAILED", "COMPLETED"])
def test_an_end_counts_once_the_queue_shows_the_job_as_finished_or_not_at_all(
    tmp_path: Path, cluster: Cluster, state: str
) -> None:
    job = job_of(tmp_path)
    says(tmp_path, ended=False)
    cluster.accounting = {"7": Accounting(state, nodes=("node1",))}
    for shown in ("RUNNING", "COMPLETING", "STOPPED", "COMPLETING"):
        cluster.queue = {"7": shown}
        assert cluster.state(job) is None
        cluster.seconds += 60
    cluster.queue = {"7": state} if state != "FAILED" else {}
    if state == "FAILED":  # its rank's word could still make it another end
        assert cluster.state(job) is None
        cluster.seconds += 5
    assert cluster.state(job) == state
    assert cluster.given_up == []


def test_a_queue_that_does_not_answer_lets_no_end_count(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: Any) -> None:
        raise slurm.SlurmUnavailable("no answer")

    monkeypatch.setattr(slurm, "queue", silent)
    cluster.accounting = {"7": Accounting("TIMEOUT")}
    assert cluster.state(job_of(tmp_path)) is None


def test_what_completes_for_ever_is_said_fenced_and_then_over(tmp_path: Path, cluster: Cluster) -> None:
    job = job_of(tmp_path)
    cluster.accounting = {"7": Accounting("TIMEOUT", nodes=("node1",))}
    cluster.queue = {"7": "COMPLETING"}
    for wait in (0, 599):
        cluster.seconds += wait
        assert cluster.state(job) is None
    assert cluster.given_up == []
    cluster.seconds += 1
    assert cluster.state(job) is None
    assert cluster.given_up == ["7"]
    (words,) = cluster.words
    assert "COMPLETING for 600 s" in words
    cluster.seconds += FENCED - 1
    assert cluster.state(job) is None
    cluster.seconds += 1
    assert cluster.state(job) == "TIMEOUT"
    assert cluster.given_up == ["7"], "told once"


@pytest.mark.parametrize("state", ["NODE_FAIL", "CANCELLED"])
def test_of_a_node_that_is_down_ranks_must_have_ended_or_been_given_the_time_to(
    tmp_path: Path, cluster: Cluster, state: str
) -> None:
    cluster.down = {"node1"}
    cluster.accounting = {"7": Accounting(state, nodes=("node1", "node2"))}
    job = job_of(tmp_path, ranks=2)
    says(tmp_path, ended=True)
    says(tmp_path, ended=False, rank=1)
    assert cluster.state(job) is None
    cluster.seconds += FENCED
    assert cluster.state(job) == state
    says(tmp_path, ended=True, rank=1)
    assert cluster.state(job_of(tmp_path, ranks=2)) == state, "nothing is left of it"
    assert cluster.given_up == ["7"]


def test_nothing_is_taken_for_fenced_that_could_not_be_written_down(tmp_path: Path, cluster: Cluster) -> None:
    job = job_of(tmp_path)
    cluster.accounting = {"7": Accounting("NODE_FAIL", nodes=("node1",))}
    cluster.disk_full = True
    for _ in range(3):
        assert cluster.state(job) is None
        cluster.seconds += 1000
    assert len(cluster.words) == 1
    cluster.disk_full = False
    assert cluster.state(job) is None
    cluster.seconds += FENCED
    assert cluster.state(job) == "NODE_FAIL"


def test_slurm_is_asked_the_same_few_questions_for_any_number_of_ends(tmp_path: Path, cluster: Cluster) -> None:
    for count in (1, 50):
        cluster.asked.clear()
        jobs = [job_of(tmp_path, str(number)) for number in range(count)]
        cluster.accounting = {job.job_id: Accounting("FAILED", nodes=("node1",)) for job in jobs}
        assert cluster.watcher.look(jobs, ask=True) == [], "what their ranks say may be seen late"
        cluster.seconds += 5
        assert len(cluster.watcher.look(jobs, ask=True)) == count
        assert cluster.asked == ["sacct", "squeue", "sinfo"]
    for number in range(50):
        report = RankReport(rank=0, node="node1", pid=1, started_at=now())
        report.set_end(1)
        write_report(tmp_path, str(number), report)
    cluster.asked.clear()
    cluster.watcher.look([job_of(tmp_path, str(number)) for number in range(50)], ask=True)
    assert cluster.asked == ["sacct", "squeue"], "the ranks have said so themselves"


@pytest.mark.parametrize(
    ("ended", "code", "state"), [(True, 0, "COMPLETED"), (True, 3, "FAILED"), (False, 0, "FAILED")]
)
def test_while_accounting_stays_away_queue_and_ranks_decide_and_what_is_not_known_is_said(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, ended: bool, code: int, state: str
) -> None:
    def silent(*_: Any) -> None:
        raise slurm.SlurmUnavailable("no answer")

    monkeypatch.setattr(slurm, "accounting", silent)
    job = job_of(tmp_path)
    report = RankReport(rank=0, node="node1", pid=1, started_at=now())
    if ended:
        report.set_end(code)
    write_report(tmp_path, "7", report)
    assert cluster.state(job) is None
    cluster.seconds += 1790
    assert cluster.state(job) is None
    cluster.seconds += 10
    if not ended:
        assert cluster.state(job) is None
        assert cluster.given_up == ["7"]
        cluster.seconds += FENCED
    assert cluster.state(job) == state
    if state == "FAILED":
        assert job.outcome is not None
        assert "accounting has not answered for 30 min; what its ranks have not said is not known" in str(
            job.outcome.reason
        )


@pytest.mark.parametrize("unreadable", ["result.pkl", "rank.json"])
def test_files_that_cannot_be_read_are_tried_again_and_at_last_fail_their_own_job_alone(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, unreadable: str
) -> None:
    stale = OSError(errno.ESTALE, "Stale file handle")
    real_open, real_read = os.open, Path.read_text
    bad = f"7_0_{unreadable}"

    def opened(path: Any, *args: Any, **known: Any) -> int:
        if str(path).endswith(bad):
            raise stale
        return real_open(path, *args, **known)

    def read(self: Path, *args: Any, **known: Any) -> str:
        if self.name == bad:
            raise stale
        return real_read(self, *args, **known)

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(Path, "read_text", read)
    (tmp_path / "7_0_result.pkl").write_bytes(pickle.dumps(("error", "it failed")))
    (tmp_path / "8_0_result.pkl").write_bytes(pickle.dumps(("success", {"returncode": 0})))
    says(tmp_path, ended=True)
    cluster.accounting = {"7": Accounting("FAILED", nodes=("node1",))}
    bad_job, good_job = job_of(tmp_path), job_of(tmp_path, "8")
    assert cluster.watcher.look([bad_job, good_job]) == [good_job]
    assert any("cannot be read, tried again" in line for line in cluster.words)
    cluster.seconds += 599
    assert cluster.state(bad_job) is None
    cluster.seconds += 1
    assert cluster.state(bad_job) == "FAILED"
    assert bad_job.outcome is not None
    assert "Stale file handle" in str(bad_job.outcome.reason)


@pytest.mark.parametrize("owner", ["others too", "nobody"])
def test_a_folder_that_is_not_safely_ours_is_tried_again_and_at_last_fails_its_own_jobs_alone(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, owner: str
) -> None:
    good, bad = (tmp_path / name for name in ("good", "bad"))
    for folder in (good, bad):
        folder.mkdir()
        (folder / "7_0_result.pkl").write_bytes(pickle.dumps(("success", {"returncode": 0})))
    bad_job, healed, good_job = job_of(bad), job_of(bad), job_of(good)
    says(bad, ended=True)
    cluster.accounting = {"7": Accounting("FAILED", nodes=("node1",))}
    with monkeypatch.context() as foreign:
        if owner == "nobody":  # a file server that cannot map users for now
            foreign.setattr(os, "geteuid", lambda: os.getuid() + 65534)
            assert cluster.watcher.look([bad_job, good_job]) == []
        else:
            bad.chmod(0o770)
            assert cluster.watcher.look([bad_job, good_job]) == [good_job]
        assert cluster.state(healed) is None
        assert any("tried again: --submitit-folder" in line for line in cluster.words)
        cluster.seconds += 600
        assert cluster.state(bad_job) == "FAILED"
    assert bad_job.outcome is not None
    assert "what its ranks left cannot be read: --submitit-folder" in str(bad_job.outcome.reason)
    bad.chmod(0o700)
    assert cluster.state(good_job) == cluster.state(healed) == "COMPLETED"


def test_the_end_of_a_job_that_was_not_judged_by_its_ranks_is_said_though_they_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stale(*_: Any, **__: Any) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    job = job_of(tmp_path)
    says(tmp_path, ended=False)
    monkeypatch.setattr(Path, "read_text", stale)
    message = write_failure(job, Outcome("CANCELLED", reason="it can never start", hopeless=True))
    assert "ended as CANCELLED: it can never start" in message.text
    assert "Stale file handle" in capsys.readouterr().err


def test_files_that_can_be_read_again_leave_no_trace(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(tmp_path, ended=True)
    cluster.accounting = {"7": Accounting("FAILED", nodes=("node1",))}
    job = job_of(tmp_path)
    with monkeypatch.context() as away:
        away.setattr(Path, "read_text", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EIO, "I/O error")))
        assert cluster.state(job) is None
    assert cluster.state(job) == "FAILED"
    assert job.outcome is not None
    assert "cannot be read" not in str(job.outcome.reason)


def test_what_an_interrupt_cancelled_is_submitted_anew_once_nothing_of_it_lives(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(tmp_path, "cccccccccccc")
    entry = job_of(tmp_path).entry
    entry.run, entry.status = "bbbbbbbbbbbb", STOPPING
    ledger.write(entry)
    cluster.accounting = {"7": Accounting("CANCELLED", nodes=("node1",))}
    cluster.queue = {"7": "COMPLETING"}
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        cluster.seconds += seconds
        if len(waited) == 40:
            cluster.queue = {"7": "CANCELLED"}

    monkeypatch.setattr(time, "sleep", sleep)
    told: list[str] = []
    ends: Any = SimpleNamespace(close=lambda live, success: ledger.note_end(live.entry, ENDED))
    earlier = EarlierRuns("slurm", ends, ledger, cluster.watcher, 5, 5, 5, told.append)
    request = request_from_resources({}, 1, "a", once=False)
    member = Prepared(SimpleNamespace(), Label("a", {}, (), None), "k", request, True, "true", ("/bin/sh", "-c"))
    taken, fresh, unclear = earlier.take_up([member], None)
    assert (taken, fresh, unclear) == ([], [member], [])
    assert len(waited) == 40
    assert set(waited[4:]) == {5.0}, "Slurm is asked about one job every few seconds at most"
    assert "cancelled by an interrupt and is still ending" in told[0]
    assert earlier.take_up([member], None)[1] == [member], "it is known to have ended now"
    assert len(waited) == 40
    ledger.close()


# -- two threads look: the one that watches, and the scheduler's that takes jobs up ---------------------------


def test_asking_about_one_job_puts_off_no_question_about_the_others(tmp_path: Path, cluster: Cluster) -> None:
    cluster.watcher = Watcher(10, 5, cluster.words.append)
    watched, ending = job_of(tmp_path, "7"), job_of(tmp_path, "8")
    cluster.queue = {"7": "RUNNING", "8": "COMPLETING"}
    cluster.accounting = {"7": Accounting("RUNNING"), "8": Accounting("CANCELLED")}
    cluster.watcher.look([watched])
    cluster.queue.pop("7")
    cluster.accounting["7"] = Accounting("TIMEOUT")
    for _ in range(20):
        assert watched.outcome is None
        cluster.seconds += 0.5
        cluster.watcher.look([ending], ask=True)
        cluster.watcher.look([watched])
    assert watched.outcome is not None, "its own question was due after 10 s"


def test_the_queue_is_asked_about_the_others_in_its_time(tmp_path: Path, cluster: Cluster) -> None:
    watched, ending = job_of(tmp_path, "7"), job_of(tmp_path, "8")
    cluster.queue = {"7": "PENDING", "8": "COMPLETING"}
    cluster.accounting = {"7": Accounting("PENDING"), "8": Accounting("CANCELLED")}
    cluster.watcher.look([watched])
    for _ in range(20):
        cluster.seconds += 0.5
        cluster.watcher.look([ending], ask=True)
    cluster.asked.clear()
    cluster.watcher.look([watched])
    assert cluster.asked == ["sacct", "squeue"]


def test_one_thread_looks_at_a_time(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, most = 0, 0

    def accounting(*_: Any) -> dict[str, Accounting]:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.05)
        inside -= 1
        return {}

    monkeypatch.setattr(slurm, "accounting", accounting)
    jobs = [job_of(tmp_path, str(number)) for number in range(4)]
    threads = [threading.Thread(target=cluster.watcher.look, args=([job], True)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == 1


# -- fencing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "latency_wait", "seconds"),
    [(ExecutorSettings(), 5, 80), (ExecutorSettings(file_latency=5), 5, 25), (ExecutorSettings(), 120, 140)],
)
def test_a_rank_has_the_time_to_see_that_it_was_given_up_whatever_an_output_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: ExecutorSettings, latency_wait: int, seconds: int
) -> None:
    settings.folder, settings.cluster = str(tmp_path / "base"), "slurm"
    executor: Any = Executor.__new__(Executor)
    executor.logger = SimpleNamespace(info=print, warning=print)
    executor.workflow = SimpleNamespace(
        executor_settings=settings,
        execution_settings=SimpleNamespace(latency_wait=latency_wait),
        config_settings=SimpleNamespace(overwrite_config={}),
    )
    executor.dag = None
    executor.__post_init__()
    job = job_of(tmp_path)
    said: list[str] = []
    monkeypatch.setattr(executor.watcher._gone, "_warn", said.append)
    ended = Ended(job, Accounting("NODE_FAIL", nodes=("node1",)), ACCOUNTING)
    assert executor.watcher._gone.look([ended], {}) == []
    assert f"it counts as ended in {seconds} s" in said[0]
    executor.ledger.close()


def entry_of(folder: Path, submitted_at: str, **known: Any) -> Entry:
    return Entry("k", "r", "slurm", str(folder), "n", 0, 1, 1, None, submitted_at, job_id="7", **known)


@pytest.mark.parametrize(
    ("token", "stops"),
    [
        ({}, False),
        ({"submitted_at": "2026-01-01T00:00:01.000Z"}, True),  # another was submitted in its place
        ({"submitted_at": "2025-12-31T23:59:59.000Z", "fenced": True}, False),  # an old token, seen late
        ({"fenced": True}, True),
        ({"requeues": True}, False),
        ({"requeues": True, "restart": 1}, True),
    ],
)
def test_a_rank_goes_on_only_as_the_current_start_of_the_current_submission(
    tmp_path: Path, token: dict[str, Any], stops: bool
) -> None:
    folder = tmp_path / "batches" / "r-1"
    (tmp_path / "ledger").mkdir()
    folder.mkdir(parents=True)
    at = "2026-01-01T00:00:00.000Z"
    fence = Fence("k", folder, "7", at, rank=0, restart=0)
    assert fence.superseded() is None, "there is no token"
    restart = token.pop("restart", 0)
    write_report(folder, "7", RankReport(rank=0, node="n", pid=1, started_at=at, restart=restart))
    entry = entry_of(folder, token.pop("submitted_at", at), **token)
    (tmp_path / "ledger" / "k.json").write_text(json.dumps(vars(entry)))
    assert (fence.superseded() is not None) == stops
    (tmp_path / "ledger" / "k.json").write_text("half a tok")
    assert fence.superseded() is None, "what cannot be read decides nothing"


def test_the_ledger_shows_a_token_where_ranks_look_for_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "cccccccccccc")
    folder = tmp_path / "batches" / "r-1"
    first, second = (entry_of(folder, f"2026-01-01T00:00:0{n}.000Z") for n in (1, 2))
    fence = Fence("k", folder, "7", first.submitted_at, rank=0, restart=0)
    ledger.write(first)
    assert fence.superseded() is None
    first.fenced = True
    ledger.write(first)
    assert fence.superseded() == "it was given up as lost"
    ledger.write(second)
    assert "was submitted in its place" in str(fence.superseded())
    assert Fence("k", folder, "7", second.submitted_at, rank=0, restart=0).superseded() is None
    ledger.close()


RANK = """
import sys
from snakemake_executor_plugin_submitit import command
from submitit.core.submission import process_job
command.INTERVAL = 0.5
process_job(sys.argv[1])
"""


@pytest.fixture
def rank(tmp_path: Path) -> Any:
    """Start the real payload as on Slurm, in a base folder; everything is killed at the end."""
    folder = tmp_path / "batches" / "r-1"
    folder.mkdir(parents=True, mode=0o700)
    (tmp_path / "ledger").mkdir()
    started: list[subprocess.Popen[str]] = []

    def start(command: str) -> subprocess.Popen[str]:
        payload = RankCommand(
            key="k", index=0, command=command, shell=("/bin/sh", "-c"), prefix=(), folder=str(folder),
            cwd=str(tmp_path), threads=1, spmd=True, port=None, minutes=None, signal_delay=0, debug=False,
            submitted_at="2026-01-01T00:00:00.000Z",
        )  # fmt: skip
        submission = DelayedSubmission(payload)
        submission.set_timeout(5, 1)
        submission.dump(folder / "7_submitted.pkl")
        place = {"JOB_ID": 7, "NTASKS": 1, "JOB_NUM_NODES": 1, "NODEID": 0, "PROCID": 0, "LOCALID": 0}
        env = {**os.environ, **{f"SLURM_{name}": str(value) for name, value in place.items()}}
        env |= {"SLURM_JOB_NODELIST": "node1", "SLURMD_NODENAME": "node1", "SUBMITIT_EXECUTOR": "slurm"}
        words = [sys.executable, "-c", RANK, str(folder)]
        process = subprocess.Popen(words, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        started.append(process)
        return process

    yield SimpleNamespace(start=start, base=tmp_path, folder=folder)
    for process in started:
        process.kill()
        process.wait(10)
        path = report_path(folder, "7", 0)
        pid = json.loads(path.read_text())["command_pid"] if path.exists() else None
        if pid and _alive(pid):
            os.killpg(pid, signal.SIGKILL)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _submitted_again(base: Path, folder: Path) -> None:
    newer = entry_of(folder.with_name("r-2"), "2026-01-01T00:05:00.000Z")
    (base / "ledger" / "k.json").write_text(json.dumps(vars(newer)))


def test_a_rank_that_wakes_after_another_took_its_place_kills_its_command_and_writes_nothing(rank: Any) -> None:
    process = rank.start("trap '' TERM INT HUP; while :; do date +%s.%N >> lives; sleep 0.05; done")
    report = report_path(rank.folder, "7", 0)
    _until(lambda: (rank.base / "lives").exists() and report.exists())
    before, group = report.read_text(), json.loads(report.read_text())["command_pid"]
    os.killpg(group, signal.SIGSTOP)  # the node is lost, and sleeps
    process.send_signal(signal.SIGSTOP)
    _submitted_again(rank.base, rank.folder)
    time.sleep(0.6)
    process.send_signal(signal.SIGCONT)
    assert process.wait(30) == SUPERSEDED
    assert not _alive(group)
    assert report.read_text() == before
    assert not list(rank.folder.glob("*_result.pkl"))
    assert process.stderr is not None
    assert "stops and writes nothing: job 7 was submitted in its place" in process.stderr.read()


@pytest.mark.parametrize("command", ["touch begun", "touch begun; until [ -e go ]; do sleep 0.05; done; exit 3"])
def test_a_rank_that_is_late_starts_no_command_and_says_no_end(rank: Any, command: str) -> None:
    starts_late = "go" not in command
    if starts_late:
        _submitted_again(rank.base, rank.folder)
    process = rank.start(command)
    if not starts_late:
        _until((rank.base / "begun").exists)
        process.send_signal(signal.SIGSTOP)
        _submitted_again(rank.base, rank.folder)
        (rank.base / "go").touch()
        time.sleep(0.3)
        process.send_signal(signal.SIGCONT)
    assert process.wait(30) == SUPERSEDED
    assert (rank.base / "begun").exists() != starts_late
    assert not list(rank.folder.glob("*_result.pkl"))
    report = report_path(rank.folder, "7", 0)
    assert json.loads(report.read_text())["ended_at"] is None if report.exists() else starts_late
