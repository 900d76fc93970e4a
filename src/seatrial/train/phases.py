"""Where the time of a training step goes, and the training clock: it runs in stretches between pauses.

Every moment of a stretch is in exactly one phase: a phase that is entered within another takes its time from it,
and what is in none is `other`. On an accelerator the host runs ahead of the device: phases end where the device
reaches that place in its queue (events on the compute stream), so that timing never makes the queue run empty, and
a wait that the queue hides is none.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Literal

import torch

Phase = Literal["compute", "communication", "data_wait", "other"]
PHASES: tuple[Phase, ...] = ("compute", "communication", "data_wait", "other")
OTHER = PHASES.index("other")
STEP_ENDS = -1


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
    """Times stretches of training, the steps within each, and the phases within each step."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._events = device.type == "cuda"
        self._within = {phase: _Within(self, index) for index, phase in enumerate(PHASES)}
        self._stack: list[int] = []
        self._marks: list[tuple[float | torch.cuda.Event, int]] = []
        self._started = 0.0

    def __call__(self, phase: Phase) -> _Within:
        """The phase as a context."""
        return self._within[phase]

    def start(self) -> None:
        """Start a stretch."""
        self._synchronize()
        self._stack = []
        self._started = time.perf_counter()
        self._marks = []
        self._mark(OTHER)

    def step_done(self) -> None:
        """Note the end of a step."""
        self._mark(STEP_ENDS)

    def stop(self) -> tuple[float, list[list[float]]]:
        """End the stretch: its seconds, and for each step the seconds of every phase, [steps][PHASES]."""
        self._synchronize()
        seconds = time.perf_counter() - self._started
        steps: list[list[float]] = []
        current = [0.0] * len(PHASES)
        phase = OTHER
        for (before, began), (after, _) in zip(self._marks, self._marks[1:], strict=False):
            if began == STEP_ENDS:
                steps.append(current)
                current = [0.0] * len(PHASES)
                phase = OTHER
            else:
                phase = began
            current[phase] += _elapsed(before, after)
        if self._marks and self._marks[-1][1] == STEP_ENDS:
            steps.append(current)
        self._marks = []
        return seconds, steps

    def _enter(self, index: int) -> None:
        self._stack.append(index)
        self._mark(index)

    def _leave(self) -> None:
        self._stack.pop()
        self._mark(self._stack[-1] if self._stack else OTHER)

    def _mark(self, began: int) -> None:
        """From now on time belongs to phase `began`."""
        if not self._events:
            self._marks.append((time.perf_counter(), began))
            return
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        self._marks.append((event, began))

    def _synchronize(self) -> None:
        if self._events:
            torch.cuda.synchronize(self.device)


def _elapsed(before: float | torch.cuda.Event, after: float | torch.cuda.Event) -> float:
    if isinstance(before, float) and isinstance(after, float):
        return after - before
    assert isinstance(before, torch.cuda.Event) and isinstance(after, torch.cuda.Event)
    return before.elapsed_time(after) / 1e3
