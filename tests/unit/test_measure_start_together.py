"""Before a timed exchange: the device is kept busy, buffers are filled, and the meeting of the ranks comes last."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.utils._python_dispatch import TorchDispatchMode

from seatrial.measure import timing


class Watched(TorchDispatchMode):
    """Notes when something is cleared."""

    def __init__(self, seen: list[str]) -> None:
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "zero_" in str(func):
            self.seen.append("busy")
        return func(*args, **(kwargs or {}))


def test_ranks_meet_after_all_that_takes_one_of_them_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(dist, "all_reduce", lambda tensor: seen.append("meet"))
    cpu = torch.device("cpu")
    before = timing.start_together(cpu, lambda: seen.append("refill"), lambda: seen.append("check"))
    with Watched(seen):
        seconds = timing.time_iterations(cpu, lambda: seen.append("timed"), 1, 2, before)
    assert seen == ["check", "busy", "refill", "meet", "timed"] * 3
    assert len(seconds) == 2


def test_only_an_accelerator_is_kept_busy() -> None:
    assert timing.busy_bytes(torch.device("cpu")) == 0
    assert timing.busy_bytes(torch.device("cuda")) == timing.BUSY_BYTES
