"""Which Snakemakes live, on whatever host: by the kernel's lock here, by their signs of life elsewhere."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snakemake_executor_plugin_submitit import run_locks
from snakemake_executor_plugin_submitit.run_locks import GONE_SECONDS, RunLock, owner

HERE = f"process 4711 on {socket.gethostname()}\n"
ELSEWHERE = "process 4711 on login2\n"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "run.lock"


def left(lock: Path, words: str, seconds_ago: float) -> None:
    """What a run has left, that long ago."""
    lock.write_text(words)
    then = time.time() - seconds_ago
    os.utime(lock, (then, then))


def test_a_run_is_held_until_it_is_let_go_and_leaves_no_file(lock: Path) -> None:
    mine = RunLock(lock)
    assert owner(lock) == f"process {os.getpid()} on {socket.gethostname()}"
    mine.let_go()
    assert not lock.exists()
    assert owner(lock) is None


def test_a_run_that_was_killed_here_is_gone_at_once(lock: Path) -> None:
    code = (
        "import pathlib, sys, time; from snakemake_executor_plugin_submitit.run_locks import RunLock\n"
        "held = RunLock(pathlib.Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    words = [sys.executable, "-c", code, str(lock)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        assert owner(lock) == f"process {process.pid} on {socket.gethostname()}"
        process.kill()
    assert owner(lock) is None
    assert not lock.exists()


@pytest.mark.parametrize("locked", [True, False], ids=["the server keeps its lock", "its lock is not seen here"])
@pytest.mark.parametrize("seconds", [60, GONE_SECONDS + 5])
def test_a_run_on_another_host_lives_by_its_signs_of_life_alone(lock: Path, locked: bool, seconds: float) -> None:
    left(lock, ELSEWHERE, seconds)
    with lock.open("r+") as held:
        if locked:
            fcntl.flock(held, fcntl.LOCK_EX)
        found = owner(lock)
    if seconds > GONE_SECONDS:
        assert (found, lock.exists()) == (None, False)
    else:
        assert found is not None
        assert found.startswith(
            "process 4711 on login2, which gave a sign of life 60 s ago; if it or its host is gone"
        )
        assert "its claim ends in 120 s" in found


@pytest.mark.parametrize("words", [HERE, "", "\0\0", "process x on y z"])
def test_what_lies_here_without_a_lock_is_nobodys(lock: Path, words: str) -> None:
    left(lock, words, 0)
    assert owner(lock) is None


def test_a_run_gives_signs_of_life(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_locks, "BEAT_SECONDS", 0.05)
    mine = RunLock(lock)
    os.utime(lock, (0, 0))
    deadline = time.monotonic() + 10
    while lock.stat().st_mtime < time.time() - 60 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert lock.stat().st_mtime > time.time() - 60
    mine.let_go()
