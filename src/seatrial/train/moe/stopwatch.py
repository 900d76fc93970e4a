"""The time that a device spends between places in its queue."""

from __future__ import annotations

import time

import torch


class Stopwatch:
    """Adds up intervals: wall time on CPUs; on accelerators between events on the compute stream."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._seconds = 0.0
        self._began: float | torch.cuda.Event | None = None
        self._pending: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def start(self) -> None:
        """An interval begins."""
        self._began = self._now()

    def stop(self) -> None:
        """The interval that began ends; nothing where none did."""
        began, now = self._began, self._now()
        self._began = None
        if isinstance(began, float) and isinstance(now, float):
            self._seconds += now - began
        elif isinstance(began, torch.cuda.Event) and isinstance(now, torch.cuda.Event):
            self._pending.append((began, now))

    @property
    def running(self) -> bool:
        return self._began is not None

    def seconds(self) -> float:
        """The intervals so far together; the device must have reached their ends. Starts again from zero."""
        total = self._seconds + sum(began.elapsed_time(ended) for began, ended in self._pending) / 1e3
        self._seconds, self._pending = 0.0, []
        return total

    def _now(self) -> float | torch.cuda.Event:
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event
