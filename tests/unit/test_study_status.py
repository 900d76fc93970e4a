"""How a study stands: repeats by state, jobs as the executor and Slurm know them, the estimated end."""

from __future__ import annotations

import datetime as dt
import json
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from study_on_disk import GEMM

from seatrial.cli import main
from seatrial.status.jobs import Job, jobs_under_way, read_queue
from seatrial.status.standing import standing
from seatrial.status.text import status_lines
from seatrial.study_lock import StudyLock

NOW = dt.datetime(2026, 1, 2, 4, 0, tzinfo=dt.UTC)
QUEUE = """\
70|0|71|RUNNING|2026-01-02T03:59:40|node[1-2]|None
70|1|72|PENDING|N/A||Resources
73|N/A|73|PENDING|N/A||QOSMaxJobsPerUserLimit
nonsense
"""


@pytest.fixture
def study(make_study):
    made = make_study()
    (made.case,) = made.experiment("gemm", GEMM, repeats=6)
    made.folder = made.paths.root.parent
    return made


@pytest.fixture
def held(study, monkeypatch):
    """The study is being worked on by this process, from the folder that it lies in."""
    monkeypatch.chdir(study.folder)
    lock = StudyLock(study.paths.lock)
    lock.take("submissions")
    yield lock
    lock.let_go()


def submitted(study, repeat, job_id, cluster="slurm", status="submitted"):
    """The executor's note that a repeat was submitted as a job; the folder of the submission."""
    folder = study.folder / "submissions" / "batches" / f"run-{repeat}"
    folder.mkdir(parents=True)
    log = study.paths.measure_log(study.case.case_id, repeat).relative_to(study.folder)
    entry = {
        "key": str(repeat),
        "cluster": cluster,
        "folder": str(folder),
        "log": str(log),
        "job_id": job_id,
        "status": status,
    }
    with (study.folder / "submissions" / "ledger.jsonl").open("a") as ledger:
        ledger.write(json.dumps(entry) + "\n")
    return folder


def slurm_says(tmp_path, monkeypatch, script):
    """Put a squeue of our own first on the PATH; the file that counts its calls."""
    calls = tmp_path / "calls"
    program = tmp_path / "bin" / "squeue"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho call >> {calls}\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return calls


def test_every_state_is_counted_named_and_told_with_what_is_known(study, held, tmp_path, monkeypatch):
    calls = slurm_says(tmp_path, monkeypatch, f"cat <<'END'\n{QUEUE}END")
    study.record(study.case, 0)
    study.failed(study.case, 1, "out_of_memory", "no room")
    submitted(study, 2, "70_0")
    submitted(study, 3, "70_1")
    submitted(study, 4, "73")
    found = standing(study.paths, NOW)
    assert calls.read_text() == "call\n"
    assert found.counts == {"completed": 1, "running": 1, "pending": 2, "waiting": 1, "failed": 1}
    lines = status_lines(found)
    assert lines[0] == "1 of 6 repeats completed; 1 running, 2 pending, 1 waiting, 1 failed"
    assert f"process {os.getpid()} on {socket.gethostname()}" in lines[1]
    text = "\n".join(lines)
    assert "running on node[1-2] since 2026-01-02 03:59 UTC (20 s), job 70_0" in text
    assert "gemm: 1 pending, Slurm's reason: Resources" in text
    assert "gemm: 1 pending, Slurm's reason: QOSMaxJobsPerUserLimit" in text
    assert "repeat 1: failed: out_of_memory: no room" in text
    # a repeat takes 30 s; 10 s are left of one, three are to come, one runs at a time
    assert found.estimate.end == NOW + dt.timedelta(seconds=10 + 3 * 30)
    assert "estimated end: 2026-01-02 04:01 UTC (in 100 s), from 1 completed repeat(s), 1 running at a time" in text


def test_no_end_is_estimated_where_nothing_like_it_has_completed_or_nothing_runs(study, held):
    found = standing(study.paths, NOW)
    assert found.counts == {"waiting": 6}
    assert found.estimate.end is None
    assert "estimated end: not known: no repeat of gemm has completed" in status_lines(found)
    study.record(study.case, 0)
    assert "estimated end: not known: nothing runs now" in status_lines(standing(study.paths, NOW))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exec sleep 60", "squeue did not answer within 0.5 s"),
        ("echo no controller >&2; exit 1", "squeue: no controller"),
    ],
)
def test_a_slurm_that_does_not_answer_is_said_and_what_the_ranks_left_is_taken(
    script, words, study, held, tmp_path, monkeypatch
):
    slurm_says(tmp_path, monkeypatch, script)
    folder = submitted(study, 0, "70_0")
    submitted(study, 1, "70_1")
    report = {"node": "node7", "started_at": "2026-01-02T03:50:00Z", "ended_at": None}
    (folder / "70_0_0_rank.json").write_text(json.dumps(report))
    begin = time.monotonic()
    found = standing(study.paths, NOW, seconds=0.5)
    assert time.monotonic() - begin < 20
    assert found.counts == {"running": 1, "submitted": 1, "waiting": 4}
    assert words in found.silent
    text = "\n".join(status_lines(found))
    assert words in text
    assert "running on node7 since 2026-01-02 03:50 UTC (10 min)" in text


def test_local_jobs_need_no_slurm(study, held, tmp_path, monkeypatch):
    calls = slurm_says(tmp_path, monkeypatch, "exit 1")
    submitted(study, 1, "999999999", cluster="local")
    found = standing(study.paths, NOW)
    assert found.counts == {"ended": 1, "waiting": 5}
    assert found.silent is None
    assert not calls.exists()


def test_with_nobody_at_work_what_has_no_record_is_missing_with_the_reason_that_is_known(study, tmp_path):
    study.record(study.case, 0)
    study.paths.record(study.case.case_id, 1).write_text("{")
    attempts = study.paths.attempts(study.case.case_id, 2)
    attempts.parent.mkdir(parents=True)
    attempts.write_text(json.dumps([{"state": "NODE_FAIL", "external_jobid": "9", "nodes": ["node3"]}]))
    found = standing(study.paths, NOW)
    assert found.counts == {"completed": 1, "missing": 5}
    text = "\n".join(status_lines(found))
    assert "nobody works on it" in text
    assert "repeat 1: missing: 1.json cannot be read: not JSON" in text
    assert "the next start puts it aside" in text
    assert "repeat 2: missing: node_fail: a node failed (NODE_FAIL); job 9 on node3" in text
    assert "estimated end" not in text


def test_an_attempt_that_this_run_saw_fail_is_not_called_waiting(study, held):
    attempts = study.paths.attempts(study.case.case_id, 2)
    attempts.parent.mkdir(parents=True)
    ended = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=5)).isoformat()
    attempts.write_text(json.dumps([{"state": "FAILED", "external_jobid": "9", "ended_at": ended}]))
    assert standing(study.paths, NOW).counts == {"waiting": 5, "missing": 1}
    attempts.write_text(
        json.dumps([{"state": "FAILED", "external_jobid": "9", "ended_at": "2020-01-01T00:00:00Z"}])
    )
    assert standing(study.paths, NOW).counts == {"waiting": 6}


def test_the_executors_folder_of_another_user_is_said(study, held, monkeypatch):
    submitted(study, 0, "1")

    read = Path.read_text

    def refused(path, **how):
        if path.name == "ledger.jsonl":
            raise PermissionError(13, "Permission denied")
        return read(path, **how)

    monkeypatch.setattr(Path, "read_text", refused)
    assert "belongs to another user" in jobs_under_way(study.paths).silent


def test_squeues_lines_are_read_by_job_and_others_passed_over():
    assert read_queue(QUEUE) == {
        "70_0": Job("70_0", "running", nodes="node[1-2]", since=NOW - dt.timedelta(seconds=20)),
        "70_1": Job("70_1", "pending", reason="Resources"),
        "73": Job("73", "pending", reason="QOSMaxJobsPerUserLimit"),
    }


def test_the_command_prints_lines_or_json_and_watches_until_nobody_is_at_work(study, capsys):
    study.record(study.case, 0)
    assert main(["status", str(study.paths.root), "--watch", "1"]) == 0
    assert capsys.readouterr().out.startswith("1 of 6 repeats completed; 5 missing\n")
    assert main(["status", str(study.paths.root), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["counts"] == {"completed": 1, "missing": 5}
    assert content["estimate"] == {"end": None, "how": "not known: nothing is under way"}
    assert [r["state"] for r in content["repeats"]] == ["completed"] + 5 * ["missing"]
    assert main(["status", str(study.folder / "nothing")]) == 2
    assert "study.json" in capsys.readouterr().err


def test_a_finished_study_is_one_line(study):
    for repeat in range(6):
        study.record(study.case, repeat)
    assert status_lines(standing(study.paths, NOW)) == ["6 of 6 repeats completed, 1 of 1 cases"]


def test_output_that_goes_to_a_full_disk_is_said_and_is_no_fault_of_the_program(study):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "seatrial.cli", "status", str(study.paths.root)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (2, "seatrial status: No space left on device\n")
