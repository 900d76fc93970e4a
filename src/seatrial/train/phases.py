"""Where the time of a training step goes, and the training clock: it runs in stretches between pauses.

Every moment of a stretch is in exactly one phase: a phase that is entered within another takes its time from it,
and what is in none is `other`. On an accelerator the host runs ahead of the device: phases end where the device
reaches that place in its queue (events on the compute stream), so that timing never makes the queue run empty, and
a wait that the queue hides is none.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from types import TracebackType
from typing import Literal

import torch

Phase = Literal["compute", "communication", "data_wait", "other"]
PHASES: tuple[Phase, ...] = ("compute", "communication", "data_wait", "other")
OTHER = PHASES.index("other")


class _Within:
    """What `with phases("compute"):` enters; made once for each phase, it may be entered within itself."""

    __slots__ = ("index", "phases")

    def __init__(self, phases: Phases, index: int) -> None:
        self.phases, self.index = phases, index

    def __enter__(self) -> None:
        self.phases._enter(self.index)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.phases._leave()


class Phases:
    """Times stretches of training, the steps within each, and the phases within each step.

    Outside a stretch (in an evaluation, say) phases are entered and left without being timed.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._events = device.type == "cuda"
        self._within = {phase: _Within(self, index) for index, phase in enumerate(PHASES)}
        self._stack: list[int] = []
        self._running = False
        self._marks: list[tuple[float | torch.cuda.Event, int]] = []
        """From when on time belongs to which phase."""
        self._ends: list[int] = []
        """The marks at which steps ended."""
        self._started = 0.0

    def __call__(self, phase: Phase) -> contextlib.AbstractContextManager[None]:
        """The phase as a context."""
        return self._within[phase]

    def start(self) -> None:
        """Start a stretch."""
        self._synchronize()
        self._marks, self._ends, self._running = [], [], True
        self._started = time.perf_counter()
        self._mark()

    def step_done(self) -> None:
        """Note the end of a step."""
        self._ends.append(len(self._marks))
        self._mark()

    def stop(self) -> tuple[float, list[list[float]]]:
        """End the stretch: its seconds, and for each step the seconds of every phase, [steps][PHASES]."""
        self._synchronize()
        seconds = time.perf_counter() - self._started
        marks, steps, first = self._marks, [], 0
        for end in self._ends:
            current = [0.0] * len(PHASES)
            for (before, phase), (after, _) in itertools.pairwise(marks[first : end + 1]):
                current[phase] += _elapsed(before, after)
            steps.append(current)
            first = end
        self._marks, self._ends, self._running = [], [], False
        return seconds, steps

    def _enter(self, index: int) -> None:
        self._stack.append(index)
        if self._running:
            self._mark()

    def _leave(self) -> None:
        self._stack.pop()
        if self._running:
            self._mark()

    def _mark(self) -> None:
        """From now on time belongs to the innermost phase that is open."""
        began = self._stack[-1] if self._stack else OTHER
        if not self._events:
            self._marks.append((time.perf_counter(), began))
            return
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        self._marks.append((event, began))

    def _synchronize(self) -> None:
        if self._events:
            torch.cuda.synchronize(self.device)


class Untimed(Phases):
    """Times stretches alone, every step an even part of its stretch: shows by its absence what phases cost."""

    def __call__(self, phase: Phase) -> contextlib.AbstractContextManager[None]:
        return _UNTIMED

    def start(self) -> None:
        self._synchronize()
        self._steps = 0
        self._started = time.perf_counter()

    def step_done(self) -> None:
        self._steps += 1

    def stop(self) -> tuple[float, list[list[float]]]:
        """End the stretch: its seconds, all of them `other`."""
        self._synchronize()
        seconds = time.perf_counter() - self._started
        split = [0.0] * len(PHASES)
        split[OTHER] = seconds / max(1, self._steps)
        return seconds, [split for _ in range(self._steps)]


_UNTIMED = contextlib.nullcontext()


def _elapsed(before: float | torch.cuda.Event, after: float | torch.cuda.Event) -> float:
    if isinstance(before, float) and isinstance(after, float):
        return after - before
    assert isinstance(before, torch.cuda.Event) and isinstance(after, torch.cuda.Event)
    return before.elapsed_time(after) / 1e3
