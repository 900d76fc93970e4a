"""Jobs without Slurm are processes of one machine: seen from there, and by nobody's number alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_study_status import NOW, study, submitted

from seatrial.status.standing import standing
from seatrial.status.text import status_lines
from seatrial.study_lock import StudyLock

__all__ = ["study"]  # a fixture, found by its name
REPORT = {"node": "login1", "started_at": "2026-01-02T03:50:00Z", "ended_at": None}


@pytest.fixture
def controller() -> Iterator[Any]:
    """Starts a process whose command line names a folder, as that of a local job's controller does."""
    started = []

    def start(folder: Path | str) -> str:
        words = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(300)", str(folder)]
        process = subprocess.Popen(words, start_new_session=True, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        return str(process.pid)

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=30)


def holder_on(study: Any, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The study is being worked on by process 99 of a host, which gave a sign of life just now."""
    monkeypatch.chdir(study.folder)
    words = {
        "process": 99, "host": host, "since": "2026-01-02T03:00:00+00:00", "folder": str(study.folder),
        "submissions": "submissions",
    }  # fmt: skip
    study.paths.lock.write_text(json.dumps(words))


def noted(study: Any, **more: Any) -> None:
    """Say more in the ledger's last line."""
    ledger = study.folder / "submissions" / "ledger.jsonl"
    *lines, last = ledger.read_text().splitlines()
    ledger.write_text("\n".join([*lines, json.dumps({**json.loads(last), **more})]) + "\n")


@pytest.mark.parametrize("host_noted", [False, True])
def test_jobs_of_a_snakemake_on_another_host_are_told_by_their_ranks(
    study: Any, monkeypatch: pytest.MonkeyPatch, host_noted: bool
) -> None:
    holder_on(study, "login1", monkeypatch)
    for repeat, report in enumerate([REPORT, None, {**REPORT, "ended_at": "2026-01-02T03:55:00Z"}]):
        folder = submitted(study, repeat, "999999999", cluster="local")
        if host_noted:
            noted(study, host="login1")
        if report is not None:
            (folder / "999999999_0_rank.json").write_text(json.dumps(report))
    found = standing(study.paths, NOW)
    assert [r.state for r in found.repeats[:3]] == ["running", "submitted", "ended"]
    text = "\n".join(status_lines(found))
    assert "running on login1 since 2026-01-02 03:50 UTC (10 min), job 999999999" in text
    assert "jobs of login1 cannot be seen from here: what their ranks have written last is told" in text


def test_a_job_that_another_host_started_is_not_looked_for_here_where_snakemake_runs_now(
    study: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study.folder)
    lock = StudyLock(study.paths.lock)
    lock.take("submissions")
    folder = submitted(study, 0, "999999999", cluster="local")
    noted(study, host="login1")
    (folder / "999999999_0_rank.json").write_text(json.dumps(REPORT))
    try:
        assert standing(study.paths, NOW).repeats[0].state == "running"
    finally:
        lock.let_go()


def test_here_a_job_runs_while_its_own_process_does(
    study: Any, monkeypatch: pytest.MonkeyPatch, controller: Any
) -> None:
    monkeypatch.chdir(study.folder)
    lock = StudyLock(study.paths.lock)
    lock.take("submissions")
    try:
        for repeat in (0, 1, 2):
            folder = study.folder / "submissions" / "batches" / f"run-{repeat}"
            # the second has the number of a process that has nothing to do with it
            process = controller(folder) if repeat == 0 else (str(os.getpid()), "999999999")[repeat - 1]
            submitted(study, repeat, process, cluster="local")
            (folder / f"{process}_0_rank.json").write_text(json.dumps(REPORT))
        assert [r.state for r in standing(study.paths, NOW).repeats[:3]] == ["running", "ended", "ended"]
    finally:
        lock.let_go()


def test_a_process_that_ended_and_was_not_waited_for_does_not_run(
    study: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study.folder)
    folder = study.folder / "submissions" / "batches" / "run-0"
    lock = StudyLock(study.paths.lock)
    lock.take("submissions")
    zombie = subprocess.Popen([sys.executable, "-c", "pass", str(folder)])
    try:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        submitted(study, 0, str(zombie.pid), cluster="local")
        (folder / f"{zombie.pid}_0_rank.json").write_text(json.dumps(REPORT))
        assert standing(study.paths, NOW).repeats[0].state == "ended"
    finally:
        zombie.wait(timeout=30)
        lock.let_go()
