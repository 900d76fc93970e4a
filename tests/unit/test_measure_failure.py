"""What an exception means for the record."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist

from seatrial.errors import ConfigError, MeasurementFailed, Unsupported
from seatrial.measure.failure import Failure, MissingRanks, failure_of, is_lost_peer

GLOO_CLOSED = "[/pytorch/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:26529"
GLOO_TIMEOUT = "[unbound_buffer.cc:78] Timed out waiting 3000ms for recv operation to complete"


@pytest.mark.parametrize(
    ("problem", "outcome", "kind", "rank"),
    [
        (MeasurementFailed("diverged", "loss is NaN"), "failed", "diverged", 2),
        (MissingRanks("rank 3 did not come"), "failed", "timeout", None),
        (Unsupported("no tf32"), "unsupported", "unsupported", 2),
        (ConfigError("no such model"), "failed", "crashed", 2),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "failed", "out_of_memory", 2),
        (MemoryError(), "failed", "out_of_memory", 2),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "failed", "out_of_memory", 2),
        (RuntimeError(GLOO_TIMEOUT), "failed", "timeout", None),
        (dist.DistStoreError("wait timeout after 5000ms, keys: /x"), "failed", "timeout", None),
        (TimeoutError("the server is slow"), "failed", "timeout", 2),
        (RuntimeError(GLOO_CLOSED), "failed", "crashed", 2),
        (KeyError("x"), "failed", "crashed", 2),
        (OSError(28, "No space left on device"), "failed", "crashed", 2),
    ],
)
def test_exceptions_become_outcome_and_kind(problem: Exception, outcome: str, kind: str, rank: int | None) -> None:
    found = failure_of(problem, 2)
    assert (found.outcome, found.kind, found.rank) == (outcome, kind, rank)
    assert Failure.from_json(found.to_json()) == found


@pytest.mark.parametrize(
    ("problem", "lost"),
    [
        (RuntimeError(GLOO_CLOSED), True),
        (RuntimeError("Read error [127.0.0.1]:18104: Connection reset by peer"), True),
        (dist.DistBackendError("NCCL error: ncclRemoteError: remote process exited"), True),
        (dist.DistNetworkError("Broken pipe"), True),
        (RuntimeError(GLOO_TIMEOUT), False),
        (ConnectionResetError("Connection reset by peer"), False),
        (RuntimeError("shape mismatch"), False),
    ],
)
def test_lost_peers_are_told_from_other_problems(problem: Exception, lost: bool) -> None:
    assert is_lost_peer(problem) is lost


def test_stack_of_torch_stays_out_of_the_message() -> None:
    problem = RuntimeError(
        "Broken pipe\nException raised from sendBytes at x.cpp:1 (most recent call first):\nframe #0"
    )
    assert failure_of(problem, 0).message == "RuntimeError: Broken pipe"
