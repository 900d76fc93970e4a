"""Trainings that run by themselves, made to take turns: each in a thread of its own, one of them at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import torch

PATIENCE_S = 600.0
"""A stretch that takes longer is taken for dead."""


TURN, PAIRS = 2, 2
"""Stretches of a turn, and turns of each side before both are made anew."""


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


class Training(Protocol):
    """What can be asked for a stretch of steps at a time."""

    model: torch.nn.Module

    def __enter__(self) -> Self: ...

    def __exit__(self, *ending: object) -> None: ...

    def stretch(self) -> None:
        """Some steps, always as many."""
        ...


@dataclass(frozen=True)
class Side:
    """One of two ways to train; `telemetry`: whether that is its own."""

    name: str
    make: Callable[[], Training]
    telemetry: bool


class Afresh:
    """Two trainings side by side, both made anew every PAIRS turns of theirs.

    Where a training's memory comes to lie is worth 2 % of a step and stays as it is while it lives: more turns of
    the same two would measure that more and more precisely. `check` is called with both when they are new.
    """

    def __init__(self, slow: Side, fast: Side, check: Callable[[Training, Training], float]) -> None:
        self._sides, self._check = (slow, fast), check
        self._alive: dict[str, Training] = {}
        self._turns = {slow.name: 0, fast.name: 0}
        self._stack = ExitStack()
        self.checks: list[float] = []
        """What every check said."""

    def __enter__(self) -> Self:
        self._renew()
        return self

    def __exit__(self, *ending: object) -> None:
        self._stack.close()

    def taking_turns(self, side: Side, meter: CpuMeter) -> Callable[[], None]:
        """A turn of `side`, charged to `meter`; making it anew is charged to nobody."""

        def turn() -> None:
            for _ in range(TURN):
                self._alive[side.name].stretch()

        charged = meter.charging(side.name, turn, side.telemetry)

        def renewed() -> None:
            if min(self._turns.values()) == PAIRS:
                self._renew()
            charged()
            self._turns[side.name] += 1

        return renewed

    def _renew(self) -> None:
        self._stack.close()
        self._alive.clear()
        # Each is the first to be made every other time.
        for side in self._sides if len(self.checks) % 2 else self._sides[::-1]:
            self._alive[side.name] = self._stack.enter_context(side.make())
            self._turns[side.name] = 0
        self.checks.append(self._check(*(self._alive[side.name] for side in self._sides)))


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
