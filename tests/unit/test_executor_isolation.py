"""What is wrong with one job, or with the files of one batch, does not end the others."""

from __future__ import annotations

import asyncio
import errno
import io
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.exceptions import RuleException
from snakemake_interface_common.exceptions import WorkflowError

from snakemake_executor_plugin_submitit import batches
from snakemake_executor_plugin_submitit.backlog import Backlog
from snakemake_executor_plugin_submitit.ends import Ends
from snakemake_executor_plugin_submitit.executor import Executor
from snakemake_executor_plugin_submitit.jobs import Label, Prepared
from snakemake_executor_plugin_submitit.journal import Journal
from snakemake_executor_plugin_submitit.ledger import ENDED, Ledger, job_key
from snakemake_executor_plugin_submitit.orphans import Orphans
from snakemake_executor_plugin_submitit.preparing import make_ready
from snakemake_executor_plugin_submitit.restarts import Restarts
from snakemake_executor_plugin_submitit.resuming import EarlierRuns
from snakemake_executor_plugin_submitit.settings import ExecutorSettings
from snakemake_executor_plugin_submitit.submission import request_from_resources
from snakemake_executor_plugin_submitit.submitter import Submitter
from snakemake_executor_plugin_submitit.writing import said_where_it_fails

FULL = OSError(errno.ENOSPC, "No space left on device")


def prepared(name: str) -> Prepared:
    request = request_from_resources({"runtime": ord(name)}, 1, name, once=False)
    label = Label(name, {}, (), None)
    return Prepared(SimpleNamespace(name=name), label, job_key(name, [], ""), request, True, "true", ("sh", "-c"))


class Alone(Executor):
    """An executor beside no workflow: what it reports is written down."""

    def __init__(self, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.failed: dict[str, str] = {}
        self.followed: list[str] = []
        self.base, self.cluster = base, "slurm"
        self.ledger = Ledger(base, "cccccccccccc")
        watcher: Any = SimpleNamespace(jobs_were_submitted=lambda: None, look=lambda *_, **__: [])
        self.watcher = watcher
        nodes: Any = SimpleNamespace(exclude=lambda request: request)
        self.restarts = Restarts(base, 1, 20, again=False, tell=lambda _: None)
        self.ends = Ends(base, self.ledger, nodes, self.restarts, lambda _: None)
        self.earlier = EarlierRuns("slurm", self.ends, self.ledger, watcher, 5, 5, 5, lambda _: None)
        settings = ExecutorSettings(max_array_size=10)
        self.submitter = Submitter("slurm", base, self.ledger, settings, "study", nodes, lambda _: None)
        self.orphans = Orphans("slurm", self.ledger, self.earlier, 5, lambda _: None)
        self.backlog = Backlog(
            self._submit_batch,
            self._give_up,
            lambda: True,
            72,
            lambda _: None,
            largest=self.submitter.largest_array,
        )
        self.workflow: Any = SimpleNamespace(
            persistence=None,
            scheduler=SimpleNamespace(global_resources={}),
            async_run=lambda work: work.close(),
        )
        self._live = {}
        self._guard = threading.Lock()
        self._cleaned = True
        monkeypatch.setattr(batches, "submit", lambda *a, **_: [SimpleNamespace(job_id="7")])

    def run_job_pre(self, job: Any) -> None:
        pass

    def _describe(self, job: Any, label: Label) -> Prepared:
        if job.name == "w":
            raise WorkflowError("resource nodes='two' must be a whole number")
        return prepared(job.name)

    def _follow(self, job: Any, live: Any) -> None:
        self.followed.append(job.name)

    def report_job_error(self, job_info: Any, msg: Any = None, **_: Any) -> None:
        self.failed[job_info.job.name] = msg


def ready(name: str) -> Any:
    return SimpleNamespace(
        name=name, is_group=lambda: False, wildcards_dict={}, log=[], output=[], resources={}, threads=1
    )


def test_a_full_disk_under_one_batch_fails_its_jobs_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = Alone(tmp_path, monkeypatch)
    mkdir = Path.mkdir

    def full(self: Path, *args: Any, **kwargs: Any) -> None:
        if self.name == "cccccccccccc-2":
            raise FULL
        mkdir(self, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", full)
    executor.run_jobs([ready("a"), ready("b"), ready("c")])
    assert executor.followed == ["a", "c"]
    assert list(executor.failed) == ["b"]
    assert "could not be submitted" in executor.failed["b"]
    assert "No space left on device" in executor.failed["b"]
    assert executor.submitter.under_way == []
    executor.ledger.close()


def test_what_is_wrong_with_one_job_fails_that_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = Alone(tmp_path, monkeypatch)
    read = executor.ledger.read

    def stale(key: str) -> Any:
        if key == prepared("s").key:
            raise OSError(errno.ESTALE, "Stale file handle")
        return read(key)

    monkeypatch.setattr(executor.ledger, "read", stale)
    executor.run_jobs([ready("w"), ready("s"), ready("a")])
    assert executor.followed == ["a"]
    assert "nodes='two'" in executor.failed["w"]
    assert "Stale file handle" in executor.failed["s"]
    executor.ledger.close()


@pytest.mark.parametrize("error", [RuleException("protected"), ExceptionGroup("unhandled", [FULL])])
def test_a_job_that_snakemake_cannot_prepare_is_refused_alone(error: Exception) -> None:
    async def refuse() -> None:
        raise error

    async def prepare() -> None:
        pass

    ones = [prepared("a"), prepared("b")]
    ones[0].job.prepare, ones[1].job.prepare = refuse, prepare
    assert make_ready(ones, SimpleNamespace(async_run=asyncio.run)) == {0: error}


def test_a_job_that_slurm_took_is_followed_although_its_id_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    executor = Alone(tmp_path, monkeypatch)
    append = Journal.append

    def full(journal: Journal, objects: Any, durable: bool) -> Any:
        if any(entry["job_id"] is not None for entry in objects):
            raise FULL
        return append(journal, objects, durable)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", full)
        executor.run_jobs([ready("a")])
    assert executor.followed == ["a"]
    assert not executor.failed
    assert "No space left on device" in capsys.readouterr().err
    executor.ledger.close()  # now there is room
    again = Ledger(tmp_path, "dddddddddddd")
    entry = again.read(prepared("a").key)
    assert entry is not None
    assert entry.job_id == "7"
    again.note_end(entry, ENDED)
    again.close()


def test_a_job_that_slurm_took_is_followed_although_somebody_wrote_into_the_ledger_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Called not submitted, it would be submitted once more."""
    executor = Alone(tmp_path, monkeypatch)

    def submit(*_: Any, **__: Any) -> list[Any]:
        with (tmp_path / "ledger.jsonl").open("a") as ledger:
            ledger.write("a note of somebody's\n")
        return [SimpleNamespace(job_id="7")]

    monkeypatch.setattr(batches, "submit", submit)
    executor.run_jobs([ready("a")])
    assert (executor.followed, executor.failed) == (["a"], {})
    assert "has a line that is no note of a submitted job" in capsys.readouterr().err
    executor.run_jobs([ready("b")])
    assert (executor.followed, list(executor.failed)) == (["a"], ["b"]), "nothing new beside a ledger like that"
    executor.ledger.close()


class _OnAFullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise FULL


def test_a_full_disk_ends_no_run_although_that_cannot_be_said_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Snakemake says often goes to a file on the disk that is full."""
    monkeypatch.setattr("sys.stderr", _OnAFullDisk())
    with said_where_it_fails("the ledger"):
        raise FULL
