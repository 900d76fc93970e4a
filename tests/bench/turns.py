"""Trainings that run by themselves, made to take turns: each in a thread of its own, one of them at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

PATIENCE_S = 600.0
"""A stretch that takes longer is taken for dead."""


class Enough(Exception):
    """Ends a training at the place where it waits for its next turn."""


class Turns:
    """Runs `run(pause)` in a thread. It calls `pause` where a stretch begins, and goes on when `go` says so."""

    def __init__(self, run: Callable[[Callable[[], None]], object]) -> None:
        self._paused, self._going = threading.Semaphore(0), threading.Semaphore(0)
        self._ending = False
        self._executor = ThreadPoolExecutor(1)
        self._future: Future[object] = self._executor.submit(run, self._pause)
        self._future.add_done_callback(lambda _: self._paused.release())

    def __enter__(self) -> Self:
        self._wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending = True
        self._going.release()
        self._executor.shutdown()

    def go(self) -> None:
        """Let it do one stretch. Raises what the training raised."""
        self._going.release()
        self._wait()

    def _wait(self) -> None:
        if not self._paused.acquire(timeout=PATIENCE_S):
            raise TimeoutError(f"a stretch of training is not done after {PATIENCE_S:g} s")
        if self._future.done():
            self._future.result()
            raise RuntimeError("the training ended before it was told to")

    def _pause(self) -> None:
        self._paused.release()
        if not self._going.acquire(timeout=PATIENCE_S):
            raise TimeoutError(f"nobody asked for a stretch of training for {PATIENCE_S:g} s")
        if self._ending:
            raise Enough


class CpuMeter:
    """CPU seconds of this process, those of all its threads, as they are charged to one work or the other.

    Telemetry's thread lives on while a peer has its turn: it is charged to the training it belongs to alone.
    """

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def __call__(self) -> float:
        return sum(self.spent.values())

    def charging(self, name: str, work: Callable[[], object], telemetry: bool) -> Callable[[], None]:
        """`work`, charged to `name` as it runs, with telemetry's thread or without it."""
        self.spent[name] = 0.0

        def charged() -> None:
            start, aside = time.process_time(), telemetry_seconds()
            work()
            seconds = time.process_time() - start
            self.spent[name] += seconds if telemetry else seconds - (telemetry_seconds() - aside)

        return charged


def telemetry_seconds() -> float:
    """CPU seconds of the sampler's threads that are alive."""
    threads = [thread.ident for thread in threading.enumerate() if thread.name == "telemetry"]
    clocks = [time.pthread_getcpuclockid(ident) for ident in threads if ident is not None]
    return sum(time.clock_gettime(clock) for clock in clocks)
