"""One Snakemake at a time on a study, from whatever host; what one that is gone has left blocks nobody."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import time

import pytest

from seatrial.errors import ConfigError, StudyBusy
from seatrial.study_lock import GONE_SECONDS, StudyLock, held, read_holder, working

HOLDER = {"process": 4711, "since": "2026-01-02T03:04:05+00:00", "folder": "/home/me", "submissions": None}


@pytest.fixture
def lock(tmp_path):
    return tmp_path / "study" / ".lock"


def left_by(lock, host, seconds_ago):
    """What a holder on a host has left, that long ago."""
    lock.parent.mkdir(exist_ok=True)
    lock.write_text(json.dumps({**HOLDER, "host": host}) + "\n")
    then = time.time() - seconds_ago
    os.utime(lock, (then, then))


def test_the_second_is_refused_with_the_firsts_host_and_process_and_may_follow_it(lock):
    first = StudyLock(lock)
    first.take("submissions")
    holder = read_holder(lock)
    assert holder is not None
    assert (holder.process, holder.host, holder.submissions) == (os.getpid(), socket.gethostname(), "submissions")
    assert working(lock) == holder
    with pytest.raises(
        StudyBusy, match=rf"process {os.getpid()} on {socket.gethostname()}.*wait for it or stop it"
    ):
        StudyLock(lock).take()
    first.let_go()
    assert read_holder(lock) is None
    assert working(lock) is None
    second = StudyLock(lock)
    second.take()
    second.let_go()


@pytest.mark.parametrize(
    "damaged",
    [
        {"process": "x"},
        {"process": True},
        {"process": 0},
        {"process": 1 << 70},
        {"host": 7},
        {"since": None},
        {"folder": 5},
        {"folder": "a\0b"},
        {"submissions": [1]},
        {"more": 1},
    ],
    ids=str,
)
def test_a_lock_in_words_that_are_not_ours_names_nobody(lock, damaged):
    ours = {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": "now",
        "folder": "a\u00fc",
        "submissions": None,
    }
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text(json.dumps(ours))
    assert working(lock) is not None
    lock.write_text(json.dumps({**ours, **damaged}))
    assert read_holder(lock) is None
    assert working(lock) is None


def test_the_lock_of_a_process_that_was_killed_blocks_nobody(lock):
    code = (
        "import pathlib, sys, time; from seatrial.study_lock import StudyLock\n"
        "StudyLock(pathlib.Path(sys.argv[1])).take(); print('taken', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(lock)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "taken\n"
            with pytest.raises(StudyBusy, match=f"process {process.pid}"):
                StudyLock(lock).take()
        finally:
            process.kill()
            process.wait(timeout=30)
    assert read_holder(lock).process == process.pid  # it could not say that it ended
    assert working(lock) is None
    mine = StudyLock(lock)
    mine.take()
    mine.let_go()


def test_another_host_that_gives_signs_of_life_is_respected_where_file_locks_stay_on_one_host(lock):
    left_by(lock, "login2", 60)
    words = r"process 4711 on login2 .* sign of life \d+ s ago; wait for it or stop it there.*start again in \d+ s"
    with pytest.raises(StudyBusy, match=words):
        StudyLock(lock).take()
    assert working(lock).host == "login2"
    assert read_holder(lock).process == 4711  # whoever is refused changes nothing


def test_what_a_host_that_crashed_has_left_blocks_nobody_after_a_while(lock):
    left_by(lock, "login2", GONE_SECONDS + 5)
    assert working(lock) is None
    mine = StudyLock(lock)
    mine.take()
    assert read_holder(lock).host == socket.gethostname()
    mine.let_go()


def test_a_lock_that_the_file_server_keeps_for_a_host_that_is_gone_comes_with_the_way_out(lock):
    left_by(lock, "login2", 3600)
    with lock.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(StudyBusy, match=r"locked by process 4711 on login2.*no sign of life.*delete .*\.lock"):
            StudyLock(lock).take()


def test_the_holder_gives_signs_of_life(lock, monkeypatch):
    monkeypatch.setattr("seatrial.study_lock.BEAT_SECONDS", 0.05)
    mine = StudyLock(lock)
    mine.take()
    os.utime(lock, (0, 0))
    deadline = time.monotonic() + 10
    while lock.stat().st_mtime < time.time() - 60 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert lock.stat().st_mtime > time.time() - 60
    mine.let_go()


def taken_over_by(lock, host):
    """Another host, which the kernel's lock does not keep away, writes itself into the same file."""
    lock.write_text(json.dumps({**HOLDER, "host": host}) + "\n")


def test_a_holder_whose_study_another_has_taken_over_is_told_once_and_leaves_the_others_claim(lock, monkeypatch):
    monkeypatch.setattr("seatrial.study_lock.BEAT_SECONDS", 0.05)
    told = []
    mine = StudyLock(lock, told.append)
    mine.take()
    time.sleep(0.2)
    assert told == []
    taken_over_by(lock, "login2")
    os.utime(lock, (0, 0))
    deadline = time.monotonic() + 10
    while not told and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    (problem,) = told
    assert "was taken over by process 4711 on login2" in str(problem)
    assert "ends here and writes nothing more" in str(problem)
    assert lock.stat().st_mtime == 0, "no sign of life under another's name"
    mine.let_go()
    assert read_holder(lock).host == "login2"


@pytest.mark.parametrize("how", ["taken over", "removed"])
def test_a_process_that_lost_the_study_ends_in_one_sentence_and_does_nothing_more(how, lock):
    code = (
        "import atexit, pathlib, sys, time; from seatrial import study_lock as s\n"
        "s.BEAT_SECONDS = 0.05\n"
        "atexit.register(lambda: print('wrote more'))\n"
        "s.StudyLock(pathlib.Path(sys.argv[1])).take(); print('taken', flush=True); time.sleep(60); print('on')"
    )
    words = [sys.executable, "-c", code, str(lock)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "taken\n"
            taken_over_by(lock, "login2") if how == "taken over" else lock.unlink()
            out, said = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, out) == (2, "")
    assert said.count("\n") == 1
    assert said.startswith("seatrial: ") and f"process {process.pid} on" in said
    assert ("login2" in said) == (how == "taken over")


def test_a_study_that_is_held_for_a_while_is_free_afterwards_whatever_happened(lock):
    with pytest.raises(KeyboardInterrupt), held(lock):
        with pytest.raises(StudyBusy), held(lock):
            pass
        raise KeyboardInterrupt
    assert working(lock) is None


@pytest.mark.parametrize("content", ["", "process 12 on vm\n", "{", "[]", '{"process": 1}'])
def test_words_of_another_version_in_the_file_block_nobody(content, lock):
    lock.parent.mkdir()
    lock.write_text(content)
    assert working(lock) is None
    mine = StudyLock(lock)
    mine.take()
    mine.let_go()


def test_a_folder_that_cannot_be_made_is_said_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="the study's folder cannot be written: Not a directory"):
        StudyLock(tmp_path / "file" / "study" / ".lock").take()
