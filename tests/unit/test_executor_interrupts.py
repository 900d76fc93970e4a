"""Ctrl-C and SIGTERM end what waits, lose nothing, and are raised where the main thread waits."""

from __future__ import annotations

import signal
import subprocess
import sys
from types import FrameType

import pytest

from snakemake_executor_plugin_submitit import interrupts

HEAD = """
import asyncio, os, signal, sys, threading, time
from snakemake_executor_plugin_submitit.interrupts import take_interrupts
signal.signal(signal.SIGINT, signal.default_int_handler)
if sys.argv[1] == "taken":
    take_interrupts()
def send(*numbers, after=0.3):
    def late():
        global sent
        for count, number in enumerate(numbers, 1):
            time.sleep(after)
            sent = count
            os.kill(os.getpid(), number)
    threading.Thread(target=late, daemon=True).start()
"""


def said(code: str, how: str = "taken") -> str:
    """What a process prints that runs `code`."""
    words = [sys.executable, "-c", HEAD + code, how]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("waiting", ["threading.Semaphore(0).acquire()", "time.sleep(50)", "busy()"])
def test_what_waits_and_what_is_busy_is_interrupted(name: str, waiting: str) -> None:
    code = f"""
signal.signal(signal.SIGTERM, lambda *_: print("not taken"))  # as Snakemake's scheduler does
take_interrupts()
send(signal.{name})
def busy():
    while True:
        time.monotonic()
try:
    {waiting}
except KeyboardInterrupt:
    print("interrupted")
"""
    assert said(code) == "interrupted\n"


@pytest.mark.parametrize(("how", "then"), [("taken", "interrupted"), ("left", "lost")])
def test_ctrl_c_is_not_lost_in_a_coroutine_that_ends_well_when_it_is_cancelled(how: str, then: str) -> None:
    """Python's own handler is shown beside: it cancels the coroutine and raises nothing."""
    code = """
async def step():
    try:
        await asyncio.sleep(50)
    except asyncio.CancelledError:
        pass
send(signal.SIGINT)
try:
    asyncio.run(step())
    print("lost")
except KeyboardInterrupt:
    print("interrupted")
"""
    assert said(code, how) == f"{then}\n"


def test_a_second_sigterm_does_not_disturb_the_cancelling_and_a_second_ctrl_c_does() -> None:
    code = """
signal.signal(signal.SIGTERM, lambda *_: None)
take_interrupts()
send(signal.SIGTERM, signal.SIGTERM, signal.SIGINT)
for _ in range(2):
    try:
        time.sleep(50)
    except KeyboardInterrupt:
        print(signal.getsignal(signal.SIGTERM) is signal.SIG_IGN, sent)
"""
    assert said(code) == "True 1\nTrue 3\n"


def test_a_command_in_the_background_for_which_its_shell_ignores_ctrl_c_still_ignores_it() -> None:
    code = """
signal.signal(signal.SIGINT, signal.SIG_IGN)
take_interrupts()
print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
"""
    assert said(code, "left") == "True\n"


def frames() -> tuple[FrameType, FrameType]:
    """Two frames that stand at different places."""
    return sys._getframe(), sys._getframe(1)


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> interrupts.Interrupts:
    monkeypatch.setattr(interrupts.os, "write", lambda *_: None)  # it does not come again by itself
    return interrupts.Interrupts()


def test_an_interrupt_is_raised_only_where_the_main_thread_is_seen_twice(handler: interrupts.Interrupts) -> None:
    """Between two instructions of threading a lock would stay taken: Snakemake would hang when it ends."""
    one, another = frames()
    for frame in (one, another, one):
        handler.came(signal.SIGINT, frame)
    with pytest.raises(KeyboardInterrupt):
        handler.came(signal.SIGINT, one)
    handler.came(signal.SIGINT, one)  # the next Ctrl-C: seen for the first time


def test_an_interrupt_of_what_never_waits_is_raised_in_the_end(handler: interrupts.Interrupts) -> None:
    places = frames()
    for look in range(interrupts._MOST_LOOKS - 1):
        handler.came(signal.SIGINT, places[look % 2])
    with pytest.raises(KeyboardInterrupt):
        handler.came(signal.SIGINT, places[1])
