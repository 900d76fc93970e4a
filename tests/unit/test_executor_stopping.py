"""At an interrupt every job of the run is cancelled: those that run first, those that are being submitted too."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from submitit.core.utils import DelayedSubmission, cloudpickle_dump

from snakemake_executor_plugin_submitit import ends, processes, slurm, stopping
from snakemake_executor_plugin_submitit.executor import Executor
from snakemake_executor_plugin_submitit.jobs import Label, Prepared
from snakemake_executor_plugin_submitit.journal import Journal
from snakemake_executor_plugin_submitit.ledger import STOPPING, Entry, Ledger
from snakemake_executor_plugin_submitit.live import Live
from snakemake_executor_plugin_submitit.payload import RankBatch, RankCommand
from snakemake_executor_plugin_submitit.resuming import EarlierRuns
from snakemake_executor_plugin_submitit.stopping import stop_jobs
from snakemake_executor_plugin_submitit.submission import Request
from snakemake_executor_plugin_submitit.submitter import Submission

SIZE = 20


def entry(key: str, job_id: str | None = None, folder: str = "/x", index: int = 0, size: int = 1) -> Entry:
    made = Entry(key, "run", "slurm", folder, "u-l-run-1-r", index, size, 1, None, "2026-01-01T00:00:00.000Z")
    made.job_id = job_id
    return made


def stale(*_: object) -> None:
    raise OSError(errno.ESTALE, "Stale file handle")


def live(key: str, job_id: str) -> Live:
    return Live(entry(key, job_id), Label("r", {}, (), None))


class Commands:
    """Slurm's client commands, with the words of each call; those of `fail` fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[list[str]] = []
        self.fail: set[str] = set()
        self.queue = ""
        monkeypatch.setattr(slurm, "_run", self._run)
        monkeypatch.setattr(stopping, "time", SimpleNamespace(sleep=lambda _: None))

    def _run(self, words: list[str], timeout: float, hidden: object = ()) -> str:
        self.calls.append(words)
        if self.fail & set(words):
            raise slurm.SlurmUnavailable("scancel: no answer")
        return self.queue if words[0] == "squeue" else ""


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(monkeypatch)


def test_a_call_of_scancel_that_fails_keeps_no_other_from_being_made_and_it_alone_is_repeated(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "_IDS_PER_CALL", 2)
    commands.fail = {"12"}
    jobs = [live(str(number), str(number)) for number in range(10, 16)]
    with pytest.raises(slurm.NotCancelled) as failed:
        stop_jobs(jobs, 1)
    made = [words[2:] for words in commands.calls]
    assert made == [["10", "11"], ["12", "13"], ["14", "15"], ["12", "13"], ["12", "13"]]
    assert list(failed.value.ids) == ["12", "13"]


def test_a_silent_slurm_is_asked_twice_to_cancel_however_many_jobs_there_are(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(words: list[str], *_: object) -> str:
        commands.calls.append(words)
        raise slurm.TimedOut("scancel did not answer within 60 s")

    monkeypatch.setattr(slurm, "_run", silent)
    monkeypatch.setattr(slurm, "_IDS_PER_CALL", 2)
    told: list[str] = []
    assert not stopping.told_to_stop([live(str(number), str(number)) for number in range(10, 25)], 60, told.append)
    assert [words[2:] for words in commands.calls] == [["10", "11"]] * 2
    (words,) = told
    assert "(scancel 10 11 12 13 14 15 16 17 18 19 and 5 more): scancel did not answer" in words


def test_a_command_that_does_not_answer_in_time_is_told_from_one_that_fails() -> None:
    with pytest.raises(slurm.TimedOut):
        slurm._run(["sleep", "5"], 0.05)
    with pytest.raises(slurm.SlurmUnavailable) as failed:
        slurm._run(["false"], 5)
    assert not isinstance(failed.value, slurm.TimedOut)


STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"


def test_local_jobs_that_do_not_stop_have_their_seconds_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C would take as many times as long as there are jobs, and the last would run on until its turn."""
    monkeypatch.setattr(processes, "_GRACE_SECONDS", 1.0)
    words = [sys.executable, "-c", STUBBORN, str(tmp_path)]
    started = [subprocess.Popen(words, stdout=subprocess.PIPE) for _ in range(4)]
    try:
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()  # from here on it ignores SIGTERM
        jobs = [live(str(process.pid), str(process.pid)) for process in started]
        for job in jobs:
            job.entry.cluster, job.entry.folder = "local", str(tmp_path)
        began = time.monotonic()
        stop_jobs(jobs, 1)
        assert time.monotonic() - began < 3
        assert not any(processes.controller(job.job_id, tmp_path) for job in jobs)
    finally:
        for process in started:
            process.kill()
            process.communicate()


def test_an_sbatch_that_a_script_of_the_site_calls_is_ended_too(tmp_path: Path) -> None:
    """It would submit after the interrupt, when nobody looks any more."""
    real, script = tmp_path / "real" / "sbatch", tmp_path / "sbatch"
    real.parent.mkdir()
    real.symlink_to(shutil.which("sleep") or "/bin/sleep")
    script.write_text(f"#!/bin/bash\n{real} 60\necho submitted\n")
    script.chmod(0o755)
    called = subprocess.Popen([str(script)], stdout=subprocess.PIPE)
    mine = psutil.Process(called.pid)
    try:
        until = time.monotonic() + 10
        while not (children := mine.children()) and time.monotonic() < until:
            time.sleep(0.05)
        assert [child.name() for child in children] == ["sbatch"]
        processes.end_calls_of_sbatch()
        assert called.communicate(timeout=10)[0] == b"", "and nobody holds its output open"
    finally:
        for process in (*mine.children(), mine) if mine.is_running() else ():
            process.kill()
        called.communicate()


class Interrupted(Executor):
    """An executor that follows one job while a batch is being submitted of which no id is known."""

    def __init__(self, base: Path) -> None:
        (base / "batches").mkdir(mode=0o700)
        folder = base / "batches" / "run-1"
        folder.mkdir(mode=0o700)
        self.base, self.cluster, self.run = base, "slurm", "run"
        self.ledger = Ledger(base, "run")
        nothing: Any = None
        self.earlier = EarlierRuns("slurm", nothing, self.ledger, nothing, 1, 0, 5, lambda _: None)
        self.settings: Any = SimpleNamespace(command_timeout=1)
        self.backlog: Any = SimpleNamespace(stop=lambda *_: True)
        orphans: Any = SimpleNamespace(to_be_cancelled=lambda: [], in_the_way=lambda *_: None)
        self.orphans = orphans
        watcher: Any = SimpleNamespace(jobs_were_submitted=lambda: None)
        self.watcher = watcher
        self.errors: list[str] = []
        self.logger: Any = SimpleNamespace(error=self.errors.append)
        self._live = {"one": live("one", "5")}
        self._guard = threading.Lock()
        under_way = [entry(f"k{index}", None, str(folder), index, SIZE) for index in range(SIZE)]
        self.submitter: Any = SimpleNamespace(under_way=under_way, unclear={})
        self.ledger.write(self._live["one"].entry, *under_way)
        ranks = [
            RankCommand(
                key=e.key, index=e.index, command="true", shell=("/bin/sh", "-c"), prefix=(), folder=e.folder,
                cwd="/", threads=1, spmd=True, port=None, minutes=5, signal_delay=2, debug=False,
            )
            for e in under_way
        ]  # fmt: skip
        cloudpickle_dump(DelayedSubmission(RankBatch(ranks)), folder / "0.pkl")
        for index in range(1, SIZE):
            (folder / f"{index}.pkl").hardlink_to(folder / "0.pkl")

    def report_job_submission(self, job_info: Any, register_job: bool = True) -> None:
        pass

    @property
    def _limits(self) -> dict[str, int]:
        return {}


@pytest.fixture
def interrupted(tmp_path: Path) -> Iterator[Interrupted]:
    made = Interrupted(tmp_path)
    yield made
    made.ledger.close()


def test_what_runs_is_cancelled_before_slurm_is_asked_anything_and_that_once_for_a_batch(
    commands: Commands, interrupted: Interrupted
) -> None:
    commands.queue = "".join(f"77|{index}|{77 + index}|RUNNING|1|p|None|n\n" for index in range(SIZE))
    interrupted.cancel_jobs([])
    names = [words[0] for words in commands.calls]
    assert names[0] == "scancel"
    assert len(names) <= 4, names
    assert commands.calls[-1] == ["scancel", "--quiet", "77"]
    left = [interrupted.ledger.read(f"k{index}") for index in range(SIZE)]
    assert {(found.status, found.job_id) for found in left if found} == {
        (STOPPING, f"77_{index}") for index in range(SIZE)
    }
    assert not interrupted.errors


def test_slurm_is_asked_once_for_a_batch_that_it_does_not_have(
    commands: Commands, interrupted: Interrupted
) -> None:
    interrupted.cancel_jobs([])
    assert [words[0] for words in commands.calls if words[0] != "scancel"] == ["squeue", "sacct"]


def test_what_runs_is_cancelled_although_slurm_does_not_say_what_became_of_a_batch(
    commands: Commands, interrupted: Interrupted
) -> None:
    commands.fail = {"squeue"}
    interrupted.cancel_jobs([])
    assert ["scancel", "--quiet", "5"] in commands.calls
    assert len(interrupted.errors) == 1, "once for the batch"
    assert "u-l-run-1-r" in interrupted.errors[0]


def test_a_batch_that_slurm_takes_after_the_interrupt_is_cancelled_at_once(
    commands: Commands, interrupted: Interrupted
) -> None:
    member = Prepared(None, Label("a", {}, (), None), "late", Request(), True, "true", ("/bin/sh", "-c"))
    late = Submission(accepted=[(member, live("late", "88"))])
    interrupted.submitter.submit = lambda *_: late
    interrupted._cancelled = True
    began = time.monotonic()
    assert interrupted._submit_batch(Request(), [member], ["true"]) is None
    assert time.monotonic() - began < 5
    assert ["scancel", "--quiet", "88"] in commands.calls
    for _ in range(2):
        entry = interrupted.ledger.read("late")
        assert entry is not None
        assert entry.status == STOPPING, "the next run submits it again, once nothing of it lives"
        interrupted.cancel_jobs([])  # it tells all that it knows of


@pytest.mark.parametrize(
    "left", [None, "a batch under way", "a batch nobody knows of", "a job not noted", "a full disk"]
)
def test_a_run_says_that_it_cancels_its_jobs_until_none_of_them_can_come_late(
    commands: Commands, interrupted: Interrupted, monkeypatch: pytest.MonkeyPatch, left: str | None
) -> None:
    """What is cancelled later is nobody else's doing either: the next run asks for it."""
    if left == "a batch under way":
        interrupted.backlog.stop = lambda *_: False
    elif left == "a job not noted":
        monkeypatch.setattr(ends, "note_interrupted", stale)
    elif left == "a full disk":
        monkeypatch.setattr(Journal, "append", stale)
    elif left is not None:
        commands.fail = {"squeue"}
    interrupted.cancel_jobs([])
    assert stopping.was_stopping(interrupted.base, "run") == (left is not None)


def test_a_batch_of_which_slurm_never_said_whether_it_took_it_is_asked_for_once_more(
    commands: Commands, interrupted: Interrupted
) -> None:
    """Its jobs were called failed, and may run all the same."""
    submitter = interrupted.submitter
    submitter.unclear, submitter.under_way = {each.key: each for each in submitter.under_way}, []
    commands.queue = "".join(f"77|{index}|{77 + index}|RUNNING|1|p|None|n\n" for index in range(SIZE))
    interrupted.cancel_jobs([])
    assert commands.calls[-1] == ["scancel", "--quiet", "77"]
    found = interrupted.ledger.read("k0")
    assert found is not None
    assert found.status == STOPPING


def test_a_batch_that_cannot_be_read_keeps_none_of_another_from_being_found() -> None:
    bad, good = entry("bad"), entry("good")
    bad.name = "u-l-run-2-r"
    told: list[str] = []
    ids = [OSError(errno.ESTALE, "Stale file handle"), "9"]
    found, found_all = stopping.found_under_way([bad, good], lambda _: ids, told.append)
    assert ([each.job_id for each in found], found_all) == (["9"], False)
    (words,) = told
    assert words.startswith("Job u-l-run-2-r may have been submitted")


def test_files_of_one_batch_that_cannot_be_read_keep_no_other_job_from_being_cancelled_and_noted(
    commands: Commands, interrupted: Interrupted, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands.queue = "77|0|77|RUNNING|1|p|None|n\n"
    interrupted.orphans.to_be_cancelled = lambda: [live("two", "6")]  # type: ignore[method-assign]
    note = ends.note_interrupted

    def note_or_not(job: Live, *others: Any) -> None:
        stale() if job.job_id == "5" else note(job, *others)

    monkeypatch.setattr(ends, "note_interrupted", note_or_not)
    monkeypatch.setattr(Path, "rename", stale)
    interrupted.cancel_jobs([])
    assert [words[2:] for words in commands.calls if words[0] == "scancel"] == [["5"], ["6"]]
    other = interrupted.ledger.read("two")
    assert other is not None
    assert other.status == STOPPING
    assert len(interrupted.errors) == 2, interrupted.errors
    assert all("Stale file handle" in words for words in interrupted.errors)
    assert stopping.was_stopping(interrupted.base, "run"), "the next run asks for what is not noted"
