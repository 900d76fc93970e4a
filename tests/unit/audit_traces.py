"""Profiles of GPUs in Kineto's form, made from what each step shall go to, and a folder of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

MICROSECONDS = 1e6


class Step(NamedTuple):
    """Seconds of one step of one rank."""

    compute: float
    communication: float = 0.0
    data_wait: float = 0.0
    other: float = 0.0


def trace(rank: int, ranks: int, steps: Sequence[Step], host: str | None = None) -> dict[str, Any]:
    """A rank's profile: in every step first the data loader, then a product, then a collective, then nothing."""
    events: list[dict[str, Any]] = []
    now = 0.0
    for number, step in enumerate(steps):
        main = {"ph": "X", "cat": "user_annotation", "pid": 50 + rank, "tid": 50 + rank}
        events.append({**main, "name": f"ProfilerStep#{number}", **_at(now, sum(step))})
        if step.data_wait:
            events.append({**main, "name": "enumerate(DataLoader)#_Multi", **_at(now, step.data_wait)})
        kernel = {"ph": "X", "cat": "kernel", "pid": 0, "tid": 7, "args": {"device": 0}}
        begin = now + step.data_wait
        events.append({**kernel, "name": "sm90_xmma_gemm_bf16", **_at(begin, step.compute)})
        if step.communication:
            name = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL"
            events.append({**kernel, "name": name, **_at(begin + step.compute, step.communication)})
        now += sum(step)
    named = {} if host is None else {"host_name": host}
    info = {"backend": "nccl", "rank": rank, "world_size": ranks}
    return {"schemaVersion": 1, "distributedInfo": info, **named, "traceEvents": events}


def _at(begin: float, seconds: float) -> dict[str, float]:
    return {"ts": begin * MICROSECONDS, "dur": seconds * MICROSECONDS}


def together(
    folder: Path,
    own: Sequence[float],
    steps: int = 200,
    communication: float = 0.01,
    data_wait: float = 0.0,
    other: float = 0.0,
    spread: float = 0.01,
    hiccups: float = 0.0,
) -> None:
    """Write profiles of ranks whose own work takes `own` seconds, each waiting in the collective for the last.

    Own work scatters by `spread`, the same for the same arguments; a share `hiccups` of the steps takes three times
    as long on all ranks.
    """
    draw = np.random.default_rng(7)
    work = np.array(own) * draw.normal(1.0, spread, size=(steps, len(own)))
    work *= np.where(draw.random(steps) < hiccups, 3.0, 1.0)[:, None]
    waits = work.max(axis=1, keepdims=True) - work + communication
    folder.mkdir(parents=True, exist_ok=True)
    for rank in range(len(own)):
        made = [Step(w, c, data_wait, other) for w, c in zip(work[:, rank], waits[:, rank], strict=True)]
        document = trace(rank, len(own), made, host=f"node-{rank}")
        (folder / f"rank{rank}.pt.trace.json").write_text(json.dumps(document))
