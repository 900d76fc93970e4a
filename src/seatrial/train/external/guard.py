"""Stands between a rank and the command it runs, so that the command never outlives the rank.

A program of its own: `python -P guard.py GRACE DIRECTORY OUTPUT_FD WORD...`. It starts the command in a session of
its own with both its outputs going to OUTPUT_FD. Once its standard input ends, because the rank asks for it or
because the rank is gone however that came about, it stops the command and everything the command started: TERM,
after GRACE seconds KILL. Its last line on standard output is JSON:
`{"code": returncode, "left": n}` with n processes that the command had left behind, or `{"problem": words}`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time

import psutil

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
KILL_SECONDS = 5.0
"""How long killed processes may take to go (one in the middle of a device call takes a while)."""


def guard(grace: float, directory: str, output: int, words: list[str]) -> dict[str, object]:
    """Run the command to its end or until it is to be stopped; what became of it, for the last line."""
    woken = _wake_on_signals()
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        command = subprocess.Popen(
            words,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=lambda: _prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
        )
    except (OSError, ValueError, subprocess.SubprocessError) as problem:
        return {"problem": f"{type(problem).__name__}: {problem}"}
    os.close(output)
    code = None
    while code is None:
        ready, _, _ = select.select([sys.stdin.fileno(), woken], [], [], 5.0)
        code = _reaped(command.pid)
        if code is None and (sys.stdin.fileno() in ready or _told_to_end(woken)):
            break
    left = len(_descendants()) if code is not None else 0
    stopped = _stop(command.pid, code, grace)
    return {"code": stopped if code is None else code, "left": left}


def _stop(pid: int, code: int | None, grace: float) -> int | None:
    """End the command and all that it started; its return code."""
    for signal_, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, KILL_SECONDS)):
        deadline = time.monotonic() + seconds
        told: set[int] = set()
        while (alive := _descendants()) and time.monotonic() < deadline:
            for process in alive:
                # told once: a second TERM makes some programs give up what the first one began
                if process.pid not in told:
                    told.add(process.pid)
                    _send(process, signal_)
            time.sleep(0.05)
            found = _reaped(pid)
            code = found if code is None else code
    return code


def _send(process: psutil.Process, signal_: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal_)


def _descendants() -> list[psutil.Process]:
    """Everything that the command has started and that still runs, also what has left its session."""
    return [p for p in psutil.Process().children(recursive=True) if _runs(p)]


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _reaped(pid: int) -> int | None:
    """Collect every child that has ended; the return code of `pid` if it is among them, as subprocess counts it."""
    code = None
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if ended == 0:
            return code
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)


def _wake_on_signals() -> int:
    """A descriptor that is readable after a signal: a child has ended, or this process shall end."""
    reading, writing = os.pipe()
    for end in (reading, writing):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(writing)
    for signal_ in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signal_, lambda *_: None)
    return reading


def _told_to_end(woken: int) -> bool:
    """Whether a signal asked this process to end."""
    try:
        return any(number != signal.SIGCHLD for number in os.read(woken, 4096))
    except BlockingIOError:
        return False


def _prctl(option: int, value: int) -> None:
    """Linux's prctl; elsewhere nothing, and what leaves the command's tree of processes is not found there."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


if __name__ == "__main__":
    end = guard(float(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:])
    print(json.dumps(end), flush=True)
