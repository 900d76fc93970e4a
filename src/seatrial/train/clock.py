"""The training clock: it runs while steps run and stands still around evaluation and checkpointing."""

from __future__ import annotations

import time

import torch


class TrainingClock:
    """Times stretches of training, and the steps within each.

    On an accelerator work is queued ahead of the host: the stretch ends when the device has finished, and
    steps are timed by events in the device's own queue, so that timing never makes the queue run empty.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._started = 0.0
        self._marks: list[float] = []
        self._events: list[torch.cuda.Event] = []

    def start(self) -> None:
        """Start a stretch."""
        self._marks, self._events = [], []
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self._started = time.perf_counter()
        self.step_done()

    def step_done(self) -> None:
        """Note the end of a step."""
        if self.device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self.device))
            self._events.append(event)
        else:
            self._marks.append(time.perf_counter())

    def stop(self) -> tuple[float, list[float]]:
        """End the stretch: its seconds, and the seconds of each step."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        seconds = time.perf_counter() - self._started
        if self.device.type == "cuda":
            pairs = zip(self._events, self._events[1:], strict=False)
            return seconds, [first.elapsed_time(second) / 1e3 for first, second in pairs]
        return seconds, [b - a for a, b in zip(self._marks, self._marks[1:], strict=False)]
